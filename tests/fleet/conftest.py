"""What the tests of fleets share: servers that a test may kill, and a view of the shared one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.fleet.server import RedisServer


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may stop and kill."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def admin(redis_server: RedisServer) -> Iterator[Redis]:
    with redis_server.client() as client:
        client.flushall()
        yield client
