"""Faults of Redis, with real processes: it is killed, frozen, emptied, full or demoted. Callers never notice."""

import random
import time
from pathlib import Path

import anyio
import pytest

from recloser.fleet._store.wire import Namespace
from tests.fleet.processes.kit import (
    LEASE_SECONDS,
    OPEN_SECONDS,
    ROUNDS,
    bring_to,
    check_as_before,
    check_degraded,
    crew_of,
    share_of,
    until,
)
from tests.fleet.processes.worker import NAME
from tests.fleet.server import RedisServer

pytestmark = pytest.mark.anyio
RECORD, EVIDENCE = Namespace("default").keys(NAME)
STATES = share_of("closed", "open", "half_open")
WORKERS = 3


@pytest.mark.parametrize("state", STATES)
async def test_redis_is_killed_and_comes_back_empty(state: str, own_server: RedisServer, seed: int) -> None:
    async with crew_of(WORKERS, own_server.url, probe_timeout_seconds=1.0) as crew:
        await bring_to(crew, state)
        await anyio.sleep(random.Random(seed).uniform(0, OPEN_SECONDS))
        own_server.kill()
        await check_degraded(crew)
        own_server.start()
        await check_as_before(crew)


@pytest.mark.parametrize("state", STATES)
async def test_redis_is_killed_and_comes_back_with_what_it_knew(state: str, tmp_path: Path, seed: int) -> None:
    with RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        async with crew_of(WORKERS, server.url, probe_timeout_seconds=1.0) as crew:
            await bring_to(crew, state)
            await anyio.sleep(random.Random(seed).uniform(0, OPEN_SECONDS))
            server.restart()
            await check_as_before(crew)


@pytest.mark.parametrize("seconds", share_of(0.05, 0.5, *([6.0] if ROUNDS else [])))
async def test_redis_is_frozen_now_and_again(seconds: float, own_server: RedisServer, seed: int) -> None:
    draw = random.Random(seed)
    async with crew_of(WORKERS, own_server.url) as crew:
        await crew.open_all()
        for _ in range(3):
            await anyio.sleep(draw.uniform(0, OPEN_SECONDS))
            own_server.freeze()
            await anyio.sleep(seconds)
            own_server.thaw()
        thawed = time.monotonic()
        await crew.until_reported("connected", value=True)
        await until(lambda: bool(crew.downstream.probes(thawed)), "a probe, since no lease is an orphan")
        await check_as_before(crew)


@pytest.mark.parametrize("state", STATES)
async def test_everything_in_redis_is_lost(state: str, own_server: RedisServer, seed: int) -> None:
    async with crew_of(WORKERS, own_server.url, probe_timeout_seconds=1.0) as crew:
        await bring_to(crew, state)
        await anyio.sleep(random.Random(seed).uniform(0, OPEN_SECONDS))
        with own_server.client() as client:
            client.flushall()
        assert crew.are(state) or state == "half_open"
        await check_as_before(crew)


@pytest.mark.parametrize("key", share_of(RECORD, EVIDENCE))
async def test_a_key_is_lost(key: str, own_server: RedisServer, seed: int) -> None:
    async with crew_of(WORKERS, own_server.url) as crew:
        await bring_to(crew, "open")
        await anyio.sleep(random.Random(seed).uniform(0, OPEN_SECONDS))
        with own_server.client() as client:
            client.delete(key)
        await check_as_before(crew)


async def test_the_scripts_are_flushed_again_and_again(own_server: RedisServer) -> None:
    async with crew_of(WORKERS, own_server.url) as crew:
        flushed = True

        async def flush() -> None:
            with own_server.client() as client:
                while flushed:
                    client.script_flush()
                    await anyio.sleep(0.003)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(flush)
            await crew.until_called()
            await check_as_before(crew)
            flushed = False
        await crew.check_callers()


async def test_redis_is_full_and_refuses_to_write(own_server: RedisServer) -> None:
    async with crew_of(WORKERS, own_server.url) as crew:
        await crew.until_called()
        with own_server.client() as client:
            client.config_set("maxmemory", "1")
            await crew.open_all()
            await anyio.sleep(2 * OPEN_SECONDS)
            await crew.check_callers()
            await crew.close_all()
            client.config_set("maxmemory", "0")
        await check_as_before(crew)


async def test_redis_is_full_and_forgets(own_server: RedisServer) -> None:
    async with crew_of(WORKERS, own_server.url) as crew:
        with own_server.client() as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
            client.config_set("maxmemory", client.info("memory")["used_memory"])
            await crew.open_all()
            await anyio.sleep(2 * OPEN_SECONDS)
            await crew.check_callers()
            client.config_set("maxmemory", "0")
        await check_as_before(crew)


async def test_redis_becomes_a_replica_that_can_not_be_written(own_server: RedisServer) -> None:
    async with crew_of(WORKERS, own_server.url) as crew:
        await bring_to(crew, "open")
        with own_server.client() as client:
            client.replicaof("127.0.0.1", "1")
            await anyio.sleep(2 * OPEN_SECONDS)
            await crew.close_all()
            await crew.check_callers()
            client.replicaof("NO", "ONE")
        await check_as_before(crew)


async def test_another_program_writes_what_no_worker_would(own_server: RedisServer, seed: int) -> None:
    draw = random.Random(seed)
    async with crew_of(WORKERS, own_server.url) as crew:
        await crew.until_called()
        with own_server.client() as client:
            for fields in hostile(draw):
                client.delete(RECORD)
                client.hset(RECORD, mapping=fields)
                await anyio.sleep(0.05)
            client.set(EVIDENCE, "no hash")
            client.publish(Namespace("default").channel, b"\xff garbage")
            client.publish(Namespace("default").channel, f"9|{NAME}|o|1|2|3")
            client.publish(Namespace("default").channel, "|" * 1_000)
        await check_as_before(crew)


def hostile(draw: random.Random) -> list[dict[str, str]]:
    values = ["9" * 400, "-1", "nan", "inf", "", "\x00", "1e308", "{}", "open" * 1_000]
    names = ["v", "st", "gen", "til", "ok", "n", "trips"]
    return [{name: draw.choice(values) for name in names} for _ in range(5)]


async def test_callers_wait_for_redis_no_longer_than_its_time_limit(own_server: RedisServer) -> None:
    limit_seconds = 0.1
    async with crew_of(WORKERS, own_server.url) as crew:
        await crew.open_all()
        await crew.reports()
        own_server.freeze()
        await anyio.sleep(2 * OPEN_SECONDS + LEASE_SECONDS)
        reports = await crew.reports()
        own_server.thaw()
        for report in reports:
            assert report["longest"] < limit_seconds + 1.0  # the machine may be busy; the benchmark tells the figure
            assert report["connected"] is False
        await check_as_before(crew)
