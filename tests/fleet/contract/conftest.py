"""The worlds in which the contract of a store is tested: in memory on both event loops, and in Redis."""

import pytest

from tests.fleet.contract.worlds import MemoryWorld, RedisWorld, World


@pytest.fixture(params=["memory-asyncio", "memory-trio", "redis-asyncio"])
def setting(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def anyio_backend(setting: str) -> str:
    return setting.partition("-")[2]


@pytest.fixture
def world(setting: str, request: pytest.FixtureRequest) -> World:
    if setting.startswith("memory"):
        return MemoryWorld()
    return RedisWorld(request.getfixturevalue("redis_server").url, request.getfixturevalue("admin"))
