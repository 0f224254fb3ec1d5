"""What a person does to the whole fleet: force open, disable, reset, with author, reason and end."""

import logging
from functools import partial

import anyio
import pytest

from recloser import CircuitBreakerOpenError
from recloser._breaker.loop_bound import LoopLock
from recloser.fleet import Fleet, FleetError
from recloser.fleet._store.wire import Namespace
from recloser.fleet.store.memory import InMemoryStore
from tests.fleet.breakers.kit import (
    NAME,
    OPEN_SECONDS,
    POLLED_SECONDS,
    SOON_SECONDS,
    Process,
    answer,
    fleet_of,
    make_ready,
    new_server,
    open_all,
    process,
    running,
    settle,
    states,
)
from tests.handover import in_thread

pytestmark = pytest.mark.anyio
RECORD, EVIDENCE = Namespace("default").keys(NAME)


async def rejection(one: Process) -> CircuitBreakerOpenError:
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await one.breaker.call(answer)
    return caught.value


async def test_all_processes_reject_what_one_has_forced_open() -> None:
    async with fleet_of(3) as processes:
        await processes[0].fleet.force_open(NAME, "the vendor is down", author="ada")
        await settle()
        assert states(processes) == ["forced_open"] * 3
        for one in processes:
            assert "the vendor is down" in str(await rejection(one))
            assert "forced open by ada until reset: the vendor is down" in one.breaker.explain()
        shown = processes[2].fleet.status()["breakers"][NAME]
        assert (shown["author"], shown["reason"]) == ("ada", "the vendor is down")


async def test_all_processes_admit_what_one_has_disabled() -> None:
    async with fleet_of(3) as processes:
        await open_all(processes)
        await processes[0].fleet.disable(NAME, "a false alarm")
        await settle()
        assert states(processes) == ["disabled"] * 3
        await processes[1].fail(10)
        assert states(processes) == ["disabled"] * 3


async def test_a_reset_closes_all_and_says_who_did_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "recloser")
    async with fleet_of(3) as processes:
        await open_all(processes)
        caplog.clear()
        await processes[1].fleet.reset(NAME, "repaired", author="ada")
        await settle()
        assert states(processes) == ["closed"] * 3
        assert sum("reset by ada: repaired" in record.getMessage() for record in caplog.records) == 3


async def test_what_came_before_a_reset_counts_no_more() -> None:
    async with fleet_of(2) as processes:
        await processes[0].fail()
        await settle()
        await processes[1].fleet.reset(NAME, "repaired")
        await settle()
        await processes[1].fail()
        await settle()
        assert states(processes) == ["closed", "open"]


async def test_a_forced_breaker_tries_one_call_in_all_processes_when_its_time_is_over() -> None:
    async with fleet_of(3) as processes:
        await processes[0].fleet.force_open(NAME, "maintenance", for_seconds=30)
        await settle()
        assert (await rejection(processes[1])).retry_after == pytest.approx(30, abs=SOON_SECONDS * 2)
        await anyio.sleep(30)
        permit = await processes[2].breaker.acquire()
        assert permit.is_probe
        assert [await one.is_admitted() for one in processes] == [False] * 3
        permit.succeed()
        await settle()
        assert states(processes) == ["closed"] * 3


async def test_a_disabled_breaker_closes_in_all_processes_when_its_time_is_over() -> None:
    async with fleet_of(3) as processes:
        await processes[0].fleet.disable(NAME, "a false alarm", for_seconds=30)
        await settle()
        await anyio.sleep(30 + POLLED_SECONDS)
        assert states(processes) == ["closed"] * 3


async def test_a_process_that_starts_late_learns_who_forced_a_breaker() -> None:
    server = new_server()
    one, late = process(server), process(server)
    async with one.fleet:
        await one.fleet.force_open(NAME, "maintenance", author="ada")
        async with late.fleet:
            assert late.state == "forced_open"
            assert "maintenance" in str(await rejection(late))


async def test_a_breaker_that_this_process_does_not_have_is_controlled_too() -> None:
    server = new_server()
    one, operator = process(server), process(server)
    async with running(one):
        async with operator.fleet:
            await operator.fleet.force_open("another", "maintenance")
        another = one.registry.breaker("another")
        await settle()
        assert another.get_state() == "forced_open"


async def test_a_reason_of_many_lines_is_told_on_one() -> None:
    async with fleet_of(1) as processes:
        await processes[0].fleet.force_open(NAME, "down\nfor\r\n  good")
        await settle()
        assert "down for good" in str(await rejection(processes[0]))


async def test_without_a_reason_a_rejection_says_so() -> None:
    async with fleet_of(1) as processes:
        await processes[0].fleet.force_open(NAME, "", author="ada")
        await settle()
        assert "no reason given" in str(await rejection(processes[0]))


async def test_what_a_person_did_to_one_breaker_alone_holds_until_its_reset() -> None:
    async with fleet_of(2) as processes:
        processes[1].breaker.force_open("this host only")
        await processes[0].fleet.disable(NAME, "a false alarm")
        await settle()
        assert states(processes) == ["disabled", "forced_open"]
        processes[1].breaker.reset()
        await settle()
        assert states(processes) == ["disabled", "disabled"]


async def test_a_breaker_that_its_process_has_reset_goes_where_the_fleet_is() -> None:
    async with fleet_of(2) as processes:
        await open_all(processes)
        processes[1].breaker.reset()
        await settle()
        assert states(processes) == ["open"] * 2


async def test_a_person_who_acts_in_a_thread_while_the_fleet_moves_the_breaker_is_obeyed() -> None:
    async with fleet_of(2) as (one, other):
        await open_all([one, other])
        clock = one.breaker.engine.now
        read = clock.raw

        def act() -> float:  # the fleet's task reads the clock before it moves the breaker
            clock.raw = read
            in_thread(partial(one.breaker.force_open, "maintenance"))
            return read()

        clock.raw = act
        await other.fleet.reset(NAME, "the vendor says it is back")
        await settle(POLLED_SECONDS)
        assert states([one, other]) == ["forced_open", "closed"]


async def test_a_person_who_acts_in_a_thread_while_a_granted_probe_is_admitted_is_obeyed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        breaker, take = processes[0].breaker, LoopLock.take

        def take_late(lock: LoopLock) -> anyio.Lock | None:  # after the first look at the breaker's state
            in_thread(partial(breaker.force_open, "maintenance"))
            return take(lock)

        monkeypatch.setattr(LoopLock, "take", take_late)
        await rejection(processes[0])
        monkeypatch.undo()
        await settle(POLLED_SECONDS)
        assert await processes[1].is_admitted()


async def test_control_needs_a_fleet_that_runs() -> None:
    with pytest.raises(FleetError, match="not running in this event loop"):
        await process(new_server()).fleet.reset(NAME, "repaired")


@pytest.mark.parametrize("action", ["force_open", "disable", "reset"])
async def test_control_that_does_not_reach_the_store_is_an_error_that_names_the_call(action: str) -> None:
    async with fleet_of(1) as processes:
        processes[0].store.cut()
        with pytest.raises(FleetError) as caught:
            await getattr(processes[0].fleet, action)(NAME, "maintenance")
        assert f"{action}() of circuit breaker 'payments' may not have reached the fleet" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"for_seconds": 0}, "for_seconds"),
        ({"for_seconds": float("nan")}, "for_seconds"),
        ({"for_seconds": "soon"}, "for_seconds"),
        ({"author": 7}, "author"),
        ({"reason": None}, "reason"),
        ({"name": ""}, "name"),
        ({"name": "x" * 300}, "name"),
    ],
)
async def test_bad_arguments_are_refused_by_name(arguments: dict[str, object], names: str) -> None:
    async with fleet_of(1) as processes:
        with pytest.raises((TypeError, ValueError), match=names):
            await processes[0].fleet.force_open(**{"name": NAME, "reason": "maintenance", **arguments})
        assert states(processes) == ["closed"]


async def test_control_takes_effect_where_the_record_was_damaged() -> None:
    server = new_server()
    async with fleet_of(2, server) as processes:
        server.keyspace.hashes[RECORD] = "what another program has left"
        await processes[0].fleet.force_open(NAME, "maintenance")
        await settle()
        assert states(processes) == ["forced_open"] * 2


async def test_control_over_a_record_of_another_version_is_an_error_that_says_so() -> None:
    server = new_server()
    async with fleet_of(1, server) as processes:
        await processes[0].fleet.force_open(NAME, "maintenance")
        server.keyspace.write(RECORD, {"v": "2"})
        with pytest.raises(
            FleetError,
            match=r"^reset\(\) of circuit breaker .* was not carried out: the record is of another protocol version",
        ):
            await processes[0].fleet.reset(NAME, "repaired")


async def test_control_takes_effect_though_the_servers_clock_has_gone_back_by_days() -> None:
    server = new_server()
    async with fleet_of(2, server) as processes:
        await open_all(processes)
        server.flush()
        server.step_clock(-3 * 86_400)
        await processes[0].fleet.force_open(NAME, "maintenance")
        await settle(POLLED_SECONDS)
        assert states(processes) == ["forced_open"] * 2


async def test_control_takes_effect_though_the_servers_clock_has_gone_ahead() -> None:
    server = new_server()
    async with fleet_of(1, server, poll_seconds=100 * OPEN_SECONDS) as processes:
        await settle()
        server.step_clock(3_600)
        await processes[0].fleet.force_open(NAME, "maintenance")
        assert processes[0].state == "forced_open"


async def test_a_process_without_breakers_may_control_those_of_others() -> None:
    server = new_server()
    async with Fleet(lambda: InMemoryStore(server)) as operator:
        await operator.force_open(NAME, "maintenance")
        async with fleet_of(1, server) as processes:
            assert states(processes) == ["forced_open"]
