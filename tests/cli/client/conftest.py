"""Virtual time on asyncio, which the command runs on, so that a wait takes no time."""

from random import Random

import pytest

from recloser.testing import ManualClock
from recloser.testing.explorer._loop import ScheduleLoop


def _virtual_loop() -> ScheduleLoop:
    return ScheduleLoop(Random(7), seed=7, max_steps=10_000_000)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    """Time jumps to the next timer as soon as every task waits."""
    return "asyncio", {"loop_factory": _virtual_loop}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
