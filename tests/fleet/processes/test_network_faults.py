"""Faults of the network to Redis: it is slow, trickles, swallows data, tears connections. Callers never notice."""

import asyncio
from pathlib import Path

import anyio
import pytest

from tests.fleet.processes.kit import OPEN_SECONDS, bring_to, check_as_before, check_degraded, crew_of, share_of
from tests.fleet.proxy import Proxy, proxy_to
from tests.fleet.server import RedisServer

pytestmark = pytest.mark.anyio
WORKERS = 3
PATIENCE_SECONDS = 60.0


def url(proxy: Proxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}"


@pytest.mark.parametrize("latency_seconds", share_of(0.005, 0.02))
async def test_a_slow_way_is_still_a_way(redis_server: RedisServer, latency_seconds: float, admin: object) -> None:
    assert admin is not None
    async with proxy_to(redis_server.socket) as proxy:
        proxy.latency_seconds, proxy.jitter_seconds = latency_seconds, latency_seconds
        async with crew_of(WORKERS, url(proxy)) as crew:
            await crew.until_called()
            await check_as_before(crew)
            with anyio.fail_after(PATIENCE_SECONDS):  # a busy machine may hold up a reply for too long now and then
                while not all(report["connected"] for report in await crew.reports()):  # noqa: ASYNC110 - nobody tells
                    await anyio.sleep(0.05)


async def test_a_way_slower_than_the_time_limit_is_none(redis_server: RedisServer, admin: object) -> None:
    assert admin is not None
    async with proxy_to(redis_server.socket) as proxy, crew_of(WORKERS, url(proxy)) as crew:
        await crew.until_called()
        proxy.latency_seconds = 0.4
        await check_degraded(crew)
        await crew.open_all()
        await check_degraded(crew)
        proxy.latency_seconds = 0
        await check_as_before(crew)


async def test_replies_that_trickle_are_replies(redis_server: RedisServer, admin: object) -> None:
    assert admin is not None
    async with proxy_to(redis_server.socket) as proxy:
        proxy.one_byte_at_a_time = True
        async with crew_of(WORKERS, url(proxy)) as crew:
            await check_as_before(crew)


@pytest.mark.parametrize("fault", share_of("swallow_requests", "swallow_replies"))
@pytest.mark.parametrize("state", share_of("closed", "open", "half_open"))
async def test_a_black_hole_leaves_each_worker_alone(
    redis_server: RedisServer, fault: str, state: str, admin: object
) -> None:
    assert admin is not None
    async with (
        proxy_to(redis_server.socket) as proxy,
        crew_of(WORKERS, url(proxy), probe_timeout_seconds=1.0) as crew,
    ):
        await bring_to(crew, state)
        setattr(proxy, fault, True)
        await check_degraded(crew)
        setattr(proxy, fault, False)
        await check_as_before(crew)


async def test_connections_that_are_torn_again_and_again_are_made_again(
    redis_server: RedisServer, admin: object, seed: int
) -> None:
    assert admin is not None
    async with proxy_to(redis_server.socket) as proxy, crew_of(WORKERS, url(proxy)) as crew:
        await crew.open_all()
        for number in range(6):
            await anyio.sleep(OPEN_SECONDS / (3 + (seed + number) % 4))
            if number % 2:
                proxy.cut()
            else:
                proxy.reset_in_reply = True
        await crew.check_callers()
        await check_as_before(crew)


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_one_kind_of_connection_is_torn_and_the_other_is_not(own_server: RedisServer, kind: str) -> None:
    async with crew_of(WORKERS, own_server.url) as crew:
        await crew.open_all()
        for _ in range(4):
            await anyio.sleep(OPEN_SECONDS / 2)
            with own_server.client() as client:
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        await check_as_before(crew)


async def test_nobody_waits_for_a_server_that_takes_connections_and_says_nothing(tmp_path: Path) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(say_nothing, tmp_path / "silent.sock")
    async with server, crew_of(WORKERS, f"unix://{tmp_path}/silent.sock") as crew:
        await crew.until_called()
        await crew.open_all()
        await check_degraded(crew)
