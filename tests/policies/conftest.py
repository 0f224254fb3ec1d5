"""What the tests of the policies share: both backends, on virtual time, so that a wait takes no time."""

from random import Random

import pytest
import trio.testing

from recloser.testing.explorer._loop import ScheduleLoop


def _virtual_loop() -> ScheduleLoop:
    return ScheduleLoop(Random(7), seed=7, max_steps=1_000_000)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """Time jumps to the next timer as soon as every task waits; `anyio.current_time` is the clock that tells it."""
    if request.param == "trio":
        return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": _virtual_loop}
