"""Faults of processes in a fleet: they are killed, frozen, busy, poisoned or out of date. The others go on."""

import random
import subprocess
import sys
import time

import anyio
import pytest

from tests.fleet.processes.kit import (
    LEASE_SECONDS,
    OPEN_SECONDS,
    Crew,
    Hand,
    bring_to,
    check_as_before,
    crew_of,
    until,
)
from tests.fleet.server import RedisServer

pytestmark = pytest.mark.anyio
WORKERS = 3


def prober(crew: Crew) -> Hand:
    """Returns the worker that runs the probe."""
    return crew.hands[crew.downstream.probes()[-1].worker]


@pytest.fixture
def url(redis_server: RedisServer, admin: object) -> str:
    assert admin is not None
    return redis_server.url


async def test_the_process_that_runs_the_probe_is_killed(url: str, seed: int) -> None:
    async with crew_of(WORKERS, url) as crew:
        await bring_to(crew, "half_open")
        await anyio.sleep(random.Random(seed).uniform(0, LEASE_SECONDS))
        killed, begun = prober(crew), time.monotonic()
        killed.kill()
        crew.downstream.hold_seconds = 0
        crew.hands.remove(killed)
        await until(lambda: bool(crew.downstream.probes(begun)), "the next probe")
        assert crew.downstream.probes(begun)[0].worker != killed.number
        await check_as_before(crew)


async def test_the_process_that_runs_the_probe_is_frozen_past_its_lease(url: str) -> None:
    async with crew_of(WORKERS, url) as crew:
        await bring_to(crew, "half_open")
        frozen, begun = prober(crew), time.monotonic()
        frozen.freeze()
        crew.downstream.hold_seconds = 0
        others = [hand for hand in crew.hands if hand is not frozen]
        await until(lambda: bool(crew.downstream.probes(begun)), "the next probe")
        await until(lambda: all(hand.state in {"open", "half_open"} for hand in others), "that it failed")
        generation = max([(await hand.report())["generation"] for hand in others])
        frozen.thaw()
        await anyio.sleep(OPEN_SECONDS)
        assert (await others[0].report())["generation"] >= generation
        await check_as_before(crew)


async def test_a_poisoned_worker_is_alone(url: str) -> None:
    async with crew_of(4, url) as crew:
        crew.downstream.poisoned.add(0)
        await until(lambda: crew.hands[0].state == "open", "that it opens")
        await anyio.sleep(5 * OPEN_SECONDS)
        for hand in crew.hands[1:]:
            report = await hand.report()
            assert "rejections" not in report
            assert hand.changes == []
        crew.downstream.poisoned.clear()
        await check_as_before(crew)


async def test_a_process_that_is_busy_holds_up_nobody(url: str) -> None:
    async with crew_of(WORKERS, url) as crew:
        await bring_to(crew, "open")
        await crew.hands[0].order(busy=4 * OPEN_SECONDS)
        begun = time.monotonic()
        others = [hand for hand in crew.hands if hand.number]
        crew.downstream.is_down = False
        await until(lambda: all(hand.state == "closed" for hand in others), "that the others close")
        await until(lambda: all(crew.downstream.calls(begun, hand.number) >= 5 for hand in others), "their calls")
        await check_as_before(crew)


async def test_workers_of_several_releases_share_a_breaker(url: str) -> None:
    each = {0: {"failure_threshold": 10, "open_seconds": 2 * OPEN_SECONDS}, 1: {"quorum": 1, "lease_seconds": 1.0}}
    async with crew_of(WORKERS, url, each=each) as crew:
        await crew.until_called()
        await check_as_before(crew)


async def test_the_time_of_day_of_workers_does_not_matter(url: str) -> None:
    each = {0: {"wall_clock_ahead_seconds": 3_600.0}, 1: {"wall_clock_ahead_seconds": -3_600.0}}
    async with crew_of(WORKERS, url, each=each) as crew:
        await crew.until_called()
        await check_as_before(crew)


def test_a_child_that_was_forked_makes_its_own_fleet(url: str) -> None:
    script = f"""
import os, sys, anyio
from recloser import BreakerRegistry
from recloser.fleet import RedisFleet

async def share():
    async with RedisFleet({url!r}) as fleet:
        breaker = BreakerRegistry(fleet=fleet).breaker("one")
        await breaker.call(anyio.lowlevel.checkpoint)
        return fleet.is_connected

assert anyio.run(share)
child = os.fork()
if not child:
    os._exit(0 if anyio.run(share) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


async def test_workers_come_and_go(url: str, seed: int) -> None:
    draw = random.Random(seed)
    async with crew_of(4, url) as crew:
        await bring_to(crew, "open")
        for _ in range(2):
            leaver = draw.choice(crew.hands)
            crew.hands.remove(leaver)
            await leaver.process.stdin.aclose()
            await until(lambda hand=leaver: hand.has_left, "that it leaves")
        async with crew_of(2, url) as newcomers:
            await newcomers.until_all("open" if crew.are("open") else "half_open")
            newcomers.downstream.is_down = True
            await crew.open_all()
        await check_as_before(crew)


@pytest.mark.parametrize("frozen", [False, True])
async def test_leaving_leaves_nothing_behind_even_if_redis_hangs(own_server: RedisServer, *, frozen: bool) -> None:
    async with crew_of(1, own_server.url) as crew:
        (hand,) = crew.hands
        await crew.until_called()
        if frozen:
            own_server.freeze()
        await hand.process.stdin.aclose()
        await until(lambda: hand.has_left, "that it leaves")
        assert await hand.process.wait() == 0
        own_server.thaw()


async def test_a_process_of_many_breakers_begins_and_shares(url: str) -> None:
    async with crew_of(2, url, other_breakers=1_000) as crew:
        await crew.until_called()
        await check_as_before(crew)
