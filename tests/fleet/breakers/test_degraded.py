"""The store is unreachable: callers don't notice, each process decides alone, and reset timeouts are spread."""

import logging
from collections.abc import Callable

import anyio
import pytest

from recloser import CircuitBreakerOpenError
from recloser.fleet.store.memory import InMemoryServer
from tests.fleet.breakers.kit import (
    OPEN_SECONDS,
    DownError,
    Process,
    answer,
    fail,
    fleet_of,
    make_probing,
    make_ready,
    new_server,
    open_all,
    process,
    running,
    settle,
    states,
)

pytestmark = pytest.mark.anyio

Fault = Callable[[InMemoryServer, list[Process]], object]


def stop(server: InMemoryServer, _: list[Process]) -> None:
    server.stop()


def freeze(server: InMemoryServer, _: list[Process]) -> None:
    server.freeze()


def cut(_: InMemoryServer, processes: list[Process]) -> None:
    for one in processes:
        one.store.cut()


def lose_replies(_: InMemoryServer, processes: list[Process]) -> None:
    for one in processes:
        one.store.lose_replies = True


FAULTS = [stop, freeze, cut, lose_replies]


@pytest.mark.parametrize("fault", FAULTS)
async def test_while_the_store_is_away_closed_breakers_go_on_and_open_alone(fault: Fault) -> None:
    server = new_server()
    async with fleet_of(3, server) as processes:
        fault(server, processes)
        await processes[0].fail()
        await settle(2)
        assert [one.fleet.is_connected for one in processes] == [False] * 3
        assert states(processes) == ["open", "closed", "closed"]
        with pytest.raises(CircuitBreakerOpenError):
            await processes[0].breaker.call(answer)
        with pytest.raises(DownError):
            await processes[1].breaker.call(fail)
        assert await processes[1].breaker.call(answer) == "answer"


@pytest.mark.parametrize("fault", FAULTS)
async def test_while_the_store_is_away_each_process_tries_and_closes_alone(fault: Fault) -> None:
    server = new_server()
    async with fleet_of(3, server) as processes:
        await open_all(processes)
        fault(server, processes)
        await settle(OPEN_SECONDS * 1.6)
        begun = anyio.current_time()
        async with processes[0].breaker.guard() as permit:
            assert permit.is_probe
            assert permit.generation == processes[0].breaker.generation
        assert anyio.current_time() - begun < 0.001
        assert states(processes) == ["closed", "open", "open"]
        with pytest.raises(DownError):
            await processes[1].breaker.call(fail)
        assert states(processes) == ["closed", "open", "open"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_only_who_asks_when_the_store_goes_away_waits_and_is_rejected_or_tries_alone(fault: Fault) -> None:
    server = new_server()
    async with fleet_of(2, server) as processes:
        await make_ready(processes)
        fault(server, processes)
        begun = anyio.current_time()
        for one in processes:
            with pytest.raises(CircuitBreakerOpenError):
                await one.breaker.call(answer)
        assert anyio.current_time() - begun <= 2 * processes[0].store.op_timeout_seconds + 0.001


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_probe_that_is_under_way_when_the_store_goes_away_decides_for_its_process(fault: Fault) -> None:
    server = new_server()
    async with fleet_of(2, server) as processes:
        permit = await make_probing(processes)
        fault(server, processes)
        await settle(2)
        permit.succeed()
        assert processes[0].state == "closed"
        await settle(OPEN_SECONDS)
        assert await processes[1].is_admitted()
        assert states(processes) == ["closed"] * 2


async def test_waiting_for_another_process_ends_with_the_lease_when_the_store_goes_away() -> None:
    server = new_server()
    async with fleet_of(2, server) as processes:
        permit = await make_probing(processes)
        server.stop()
        begun = anyio.current_time()
        assert await processes[1].breaker.wait_until_ready(OPEN_SECONDS * 2)
        assert anyio.current_time() - begun <= 5 + OPEN_SECONDS / 2
        assert await processes[1].is_admitted()
        permit.ignore()


async def test_reset_timeouts_are_spread_by_up_to_half_when_the_store_is_away_at_opening() -> None:
    server = new_server()
    server.stop()
    processes = [process(server, number) for number in range(40)]
    async with running(*processes):
        waits = []
        for one in processes:
            await one.fail()
            waits.append(one.breaker.retry_after / OPEN_SECONDS)
    assert min(waits) >= 1
    assert max(waits) <= 1.5
    assert max(waits) - min(waits) >= 0.25
    assert any(wait >= 1.25 for wait in waits)
    assert len(set(waits)) == 40


async def test_reset_timeouts_are_spread_when_the_store_goes_away_afterwards() -> None:
    server = new_server()
    async with fleet_of(20, server) as processes:
        await open_all(processes)
        before = processes[0].breaker.retry_after
        server.stop()
        await settle(0.01)
        later = [one.breaker.retry_after - before for one in processes]
        assert min(later) >= -0.011
        assert max(later) <= OPEN_SECONDS / 2
        assert max(later) - min(later) >= OPEN_SECONDS / 4


async def test_a_store_that_flaps_delays_no_probe_beyond_one_and_a_half_reset_timeouts() -> None:
    server = new_server()
    async with fleet_of(10, server) as processes:
        await open_all(processes)
        opened = anyio.current_time()
        for _ in range(30):
            server.stop()
            await settle(0.01)
            for one in processes:
                assert anyio.current_time() + (one.breaker.retry_after or 0) - opened <= 1.5 * OPEN_SECONDS + 0.01
            server.start()
            await settle()
        server.stop()
        await anyio.sleep(1.5 * OPEN_SECONDS + opened - anyio.current_time() + 0.01)
        for one in processes:
            await one.succeed()
            assert one.state == "closed"


async def test_the_event_of_an_opening_tells_the_time_with_the_spread() -> None:
    server = new_server()
    server.stop()
    one = process(server)
    told = []
    async with one.fleet:
        one.breaker.subscribe(lambda event: told.append(event.retry_after) if hasattr(event, "old") else None)
        await one.fail()
        assert told == [pytest.approx(one.breaker.retry_after)]


async def test_while_the_fleet_is_reachable_reset_timeouts_are_not_spread() -> None:
    async with fleet_of(2) as (one, _):
        await one.fail()
        assert one.breaker.retry_after == OPEN_SECONDS


async def test_a_process_that_is_cut_off_decides_alone_and_the_others_go_on() -> None:
    async with fleet_of(3) as processes:
        processes[0].store.cut()
        await settle()
        await open_all(processes[1:])
        assert processes[0].state == "closed"
        assert await processes[0].is_admitted()


async def test_what_is_wrong_with_the_store_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "recloser")
    server = new_server()
    async with fleet_of(1, server):
        caplog.clear()
        server.stop()
        await settle(60)
        server.start()
        await settle(3)
    assert [record.getMessage().rpartition("; ")[2].rpartition(": ")[2] for record in caplog.records] == [
        "the connection for messages was lost",
        "no connection to be had",
        "breakers share their state",
    ]


async def test_connecting_is_tried_again_after_at_most_two_seconds() -> None:
    server = new_server()
    async with fleet_of(8, server) as processes:
        server.stop()
        await settle(300)
        server.start()
        await settle(2.1)
        assert [one.fleet.is_connected for one in processes] == [True] * 8


async def test_a_store_that_comes_and_goes_leaks_nothing_to_callers() -> None:
    server = new_server()
    async with fleet_of(2, server) as processes:
        for round_of_faults in range(30):
            server.stop() if round_of_faults % 2 else server.freeze()
            await processes[0].fail(1)
            await settle(0.3)
            server.start()
            server.thaw()
            await settle(0.3)
            assert await processes[1].is_admitted()


def forbid(one: Process) -> None:
    """Has the test fail if the process touches the store from now on."""

    def refuse(*_: object) -> None:
        pytest.fail("the store was touched")

    for name in ("execute", "connect", "subscribe"):
        setattr(one.store, name, refuse)


async def test_the_closed_path_never_touches_the_store() -> None:
    async with fleet_of(2, poll_seconds=10_000) as processes:
        for one in processes:
            forbid(one)
            for _ in range(1000):
                await one.breaker.call(answer)
                with one.breaker.try_acquire_nowait():
                    pass
            await one.fail(2)
        await settle()


async def test_rejections_of_an_open_fleet_never_touch_the_store() -> None:
    async with fleet_of(2, poll_seconds=10_000) as processes:
        await open_all(processes)
        for one in processes:
            forbid(one)
            for _ in range(1000):
                assert not await one.is_admitted()
                assert one.breaker.try_acquire_nowait() is None
        await settle()
