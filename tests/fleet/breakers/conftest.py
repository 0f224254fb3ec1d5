"""Both event loops, on virtual time: a test that waits for ten minutes takes none, and ends the same way each time."""

from typing import Any

import pytest
from trio.testing import MockClock

from tests.fleet.breakers.virtual_time import VirtualLoop


@pytest.fixture(params=["asyncio", "trio"])
def loop_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def anyio_backend(loop_name: str) -> tuple[str, dict[str, Any]]:
    if loop_name == "asyncio":
        return loop_name, {"loop_factory": VirtualLoop}
    return loop_name, {"clock": MockClock(autojump_threshold=0)}
