"""Entering and leaving a fleet: `async with`, twice, with an error, cancelled, with a store that does not answer."""

import asyncio
import logging
import sys
from typing import NoReturn

import anyio
import pytest
import trio

from recloser import BreakerRegistry
from recloser.fleet import FleetStoreError, RedisFleet
from tests.fleet.breakers.kit import (
    NAME,
    OPEN_SECONDS,
    DownError,
    Process,
    fleet_of,
    make_ready,
    new_server,
    open_all,
    process,
    running,
    settle,
    states,
)

pytestmark = pytest.mark.anyio


def tasks_of(loop_name: str) -> int:
    """Returns how many tasks there are."""
    if loop_name == "asyncio":
        return len(asyncio.all_tasks())
    return trio.lowlevel.current_statistics().tasks_living


async def test_a_fleet_may_be_entered_again_after_it_was_left() -> None:
    one = process(new_server(), quorum=1)
    identities = set()
    for _ in range(2):
        async with one.fleet as entered:
            assert entered is one.fleet
            assert one.fleet.is_connected
            identities.add(one.fleet.status()["worker"])
        assert not one.fleet.is_connected
    assert len(identities) == 2


async def test_a_fleet_that_is_entered_again_shares_as_before() -> None:
    server = new_server()
    one, other = process(server), process(server)
    async with running(one, other):
        pass
    async with running(one, other):
        await open_all([one, other])


async def test_a_fleet_that_runs_cannot_be_entered() -> None:
    one = process(new_server())
    async with one.fleet:
        with pytest.raises(RuntimeError, match="running already"):
            await one.fleet.__aenter__()
        assert one.fleet.is_connected


async def test_a_fleet_that_does_not_run_cannot_be_left() -> None:
    with pytest.raises(RuntimeError, match="not running"):
        await process(new_server()).fleet.__aexit__(None, None, None)


@pytest.mark.parametrize("error", [DownError("down"), ExceptionGroup("several", [DownError("down")])])
async def test_an_error_in_the_body_goes_through_as_it_is(error: Exception) -> None:
    one = process(new_server())
    with pytest.raises(type(error)) as caught:
        async with one.fleet:
            raise error
    assert caught.value is error
    assert not one.fleet.is_connected


async def test_a_fault_of_the_store_that_is_no_failure_ends_the_body_and_is_told() -> None:
    class BrokenError(Exception):
        pass

    async def execute(_: object) -> NoReturn:
        raise BrokenError

    one = process(new_server())

    async def meet_the_fault() -> None:
        async with one.fleet:
            one.store.execute = execute
            await one.fail()
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await meet_the_fault()
    assert caught.value.subgroup(BrokenError)
    assert not one.fleet.is_connected


async def test_nothing_is_left_of_a_fleet_that_was_left(loop_name: str) -> None:
    server = new_server()
    before = tasks_of(loop_name)
    async with fleet_of(3, server) as processes:
        await make_ready(processes)
        permit = await processes[0].breaker.acquire()
        await settle()
        assert tasks_of(loop_name) > before
    assert tasks_of(loop_name) == before
    permit.ignore()


@pytest.mark.parametrize("how", ["freeze", "stop"])
async def test_leaving_waits_at_most_for_the_time_limit_of_a_store_that_is_gone(how: str) -> None:
    server = new_server()
    one = process(server, quorum=1)
    async with one.fleet:
        await open_all([one], voters=1)
        await anyio.sleep(OPEN_SECONDS)
        permit = await one.breaker.acquire()
        getattr(server, how)()
        begun = anyio.current_time()
    assert anyio.current_time() - begun <= one.store.op_timeout_seconds + 0.001
    permit.ignore()


async def test_the_result_of_the_last_probe_is_told_on_leaving() -> None:
    server = new_server()
    one, other = process(server), process(server)
    async with other.fleet:
        async with one.fleet:
            await make_ready([one, other])
            permit = await one.breaker.acquire()
            await settle()
            permit.succeed()
        await settle()
        assert other.state == "closed"


async def test_a_probe_that_is_under_way_on_leaving_is_left_to_others() -> None:
    server = new_server()
    one, other = process(server), process(server)
    async with other.fleet:
        async with one.fleet:
            await make_ready([one, other])
            permit = await one.breaker.acquire()
            await settle()
            assert other.state == "half_open"
        await settle()
        assert await other.is_admitted()
    permit.succeed()


async def test_a_cancelled_scope_around_a_fleet_ends_it(loop_name: str) -> None:
    before = tasks_of(loop_name)
    one = process(new_server())
    with anyio.CancelScope() as scope:
        async with one.fleet:
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert not one.fleet.is_connected
    assert tasks_of(loop_name) == before
    async with one.fleet:
        assert one.fleet.is_connected


async def test_entering_may_be_cancelled(loop_name: str) -> None:
    server = new_server()
    one = process(server)
    server.freeze()
    before = tasks_of(loop_name)
    with anyio.move_on_after(0.05) as scope:
        async with one.fleet:
            pytest.fail("entered")
    assert scope.cancelled_caught
    assert tasks_of(loop_name) == before
    server.thaw()
    with pytest.raises(FleetStoreError, match="closed"):
        await one.store.connect()


async def test_a_fleet_whose_store_is_away_is_entered_and_says_what_is_wrong(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "recloser")
    server = new_server()
    server.stop()
    one = process(server, quorum=1)
    async with one.fleet:
        assert not one.fleet.is_connected
        assert one.fleet.status()["problem"] == "no connection to be had"
        server.start()
        await settle(5)
        assert one.fleet.is_connected
        assert one.fleet.status()["problem"] is None
    assert one.fleet.status()["problem"] == "not running"
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "The fleet's store is unreachable, and breakers decide alone: no connection to be had",
        "The fleet's store is reachable; breakers share their state",
    ]


async def test_a_fleet_shows_what_it_knows_of_its_breakers() -> None:
    async with fleet_of(2) as processes:
        await open_all(processes)
        processes[1].registry.breaker("another")
        status = processes[1].fleet.status()
        assert (status["connected"], status["quorum"]) == (True, 2)
        assert list(status["breakers"]) == ["another", NAME]
        shown = status["breakers"][NAME]
        assert (shown["state"], shown["trips"], shown["holds_probe"]) == ("open", 1, False)
        await anyio.sleep(OPEN_SECONDS)
        permit = await processes[1].breaker.acquire()
        assert processes[1].fleet.status()["breakers"][NAME]["holds_probe"]
        permit.ignore()


async def test_a_breaker_outside_of_async_with_decides_alone() -> None:
    one = process(new_server())
    await one.fail()
    assert one.state == "open"
    assert not await one.is_admitted()


async def test_redis_is_refused_in_an_event_loop_that_is_not_asyncio(loop_name: str) -> None:
    registry = BreakerRegistry(fleet=(fleet := RedisFleet("redis://localhost:1")))
    registry.breaker(NAME)
    if loop_name == "asyncio":
        return
    with pytest.raises(RuntimeError, match="asyncio"):
        async with fleet:
            pytest.fail("entered")
    assert sys.exception() is None
    with pytest.raises(RuntimeError, match="not running"):
        await fleet.__aexit__(None, None, None)


async def test_a_process_that_starts_late_learns_where_the_fleet_is() -> None:
    server = new_server()
    late: Process = process(server)
    async with fleet_of(2, server) as processes:
        await open_all(processes)
        async with late.fleet:
            assert states([*processes, late]) == ["open"] * 3


async def test_a_process_of_many_breakers_asks_for_them_in_turn() -> None:
    server = new_server()
    one = process(server)
    breakers = [one.registry.breaker(f"dependency-{number}") for number in range(1_000)]
    operator = process(server, poll_seconds=1_000)
    async with operator.fleet:
        for breaker in breakers[::100]:
            await operator.fleet.force_open(breaker.name, "maintenance")
        begun = anyio.current_time()
        async with one.fleet:
            assert sum(breaker.get_state() == "forced_open" for breaker in breakers) == 10
            assert 0 < anyio.current_time() - begun < 2
