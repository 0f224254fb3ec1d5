"""Both event loops, on virtual time: a test that waits for ten minutes takes no time, and comes out the same each time.

What needs worker threads runs in real time: see `in_real_time`.
"""

from typing import Any

import pytest
from trio.testing import MockClock

from tests.fleet.breakers.virtual_time import VirtualLoop


@pytest.fixture(params=["asyncio", "trio"])
def loop_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def anyio_backend(loop_name: str, request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    if request.node.get_closest_marker("in_real_time"):
        return loop_name, {}
    if loop_name == "asyncio":
        return loop_name, {"loop_factory": VirtualLoop}
    return loop_name, {"clock": MockClock(autojump_threshold=0)}
