"""The store is back: differences are settled by the newest state, by proof, and by reports that count once."""

import anyio
import pytest

from recloser import FailureCount, TimeWindow
from recloser.fleet.store.memory import InMemoryServer
from tests.fleet.breakers.kit import (
    LEASE_SECONDS,
    NAME,
    OPEN_SECONDS,
    POLLED_SECONDS,
    Process,
    fleet_of,
    make_probing,
    make_ready,
    new_server,
    open_all,
    settle,
    states,
)

pytestmark = pytest.mark.anyio

BACK_SECONDS = 3.0
"""Within this time all have connected again."""


def fleet_state(one: Process) -> str:
    state: str = one.fleet.status()["breakers"][NAME]["state"]
    return state


async def end_outage(server: InMemoryServer, processes: list[Process]) -> None:
    server.start()
    server.thaw()
    for one in processes:
        one.store.mend()
    await settle(BACK_SECONDS)
    assert all(one.fleet.is_connected for one in processes)


async def test_a_process_that_is_back_takes_over_that_the_fleet_has_opened() -> None:
    server = new_server()
    async with fleet_of(3, server) as processes:
        processes[0].store.cut()
        await settle()
        await open_all(processes[1:])
        await end_outage(server, processes)
        assert states(processes) == ["open"] * 3


async def test_a_process_that_is_back_takes_over_that_the_fleet_has_closed() -> None:
    server = new_server()
    async with fleet_of(3, server) as processes:
        await make_ready(processes)
        processes[0].store.cut()
        await settle()
        await processes[1].succeed()
        await settle()
        assert states(processes) == ["open", "closed", "closed"]
        await end_outage(server, processes)
        assert states(processes) == ["closed"] * 3


async def test_a_process_that_is_back_takes_over_a_later_open_time() -> None:
    server = new_server()
    async with fleet_of(3, server) as processes:
        await make_ready(processes)
        processes[0].store.cut()
        await settle()
        await processes[1].fail(1)
        await end_outage(server, processes)
        waits = [one.breaker.retry_after for one in processes]
        assert waits == [pytest.approx(waits[1], abs=0.01)] * 3


async def test_a_process_that_is_back_while_another_tries_waits_for_that_one() -> None:
    server = new_server()
    async with fleet_of(2, server) as processes:
        await make_ready(processes)
        processes[0].store.cut()
        await settle()
        permit = await processes[1].breaker.acquire()
        await end_outage(server, processes)
        assert states(processes) == ["half_open"] * 2
        assert not await processes[0].is_admitted()
        permit.succeed()


@pytest.mark.parametrize("loses", ["record", "all"])
async def test_a_store_that_has_lost_its_data_is_told_of_an_opening_by_who_knows_it(loses: str) -> None:
    server = new_server()
    async with fleet_of(3, server) as processes:
        await open_all(processes)
        server.flush() if loses == "all" else server.evict(NAME, record=True)
        await settle(POLLED_SECONDS)
        assert states(processes) == ["open"] * 3
        assert server.keyspace.hashes
        await anyio.sleep(OPEN_SECONDS)
        await processes[0].succeed()
        await settle()
        assert states(processes) == ["closed"] * 3


async def test_a_store_that_comes_back_empty_learns_of_an_opening() -> None:
    server = new_server()
    async with fleet_of(3, server) as processes:
        await open_all(processes)
        server.stop()
        server.flush()
        await settle()
        await end_outage(server, processes)
        assert states(processes) == ["open"] * 3
        assert [fleet_state(one) for one in processes] == ["open"] * 3


async def test_a_store_that_loses_its_data_while_a_process_tries_learns_of_the_probe() -> None:
    server = new_server()
    async with fleet_of(3, server, probe_timeout_seconds=60) as processes:
        permit = await make_probing(processes)
        server.flush()
        await anyio.sleep(2 * LEASE_SECONDS)
        assert not await processes[1].is_admitted()
        permit.succeed()
        await settle()
        assert states(processes) == ["closed"] * 3


async def test_a_stale_replica_is_told_what_happened_since() -> None:
    server = new_server()
    async with fleet_of(2, server) as processes:
        await open_all(processes)
        stale = server.backup()
        await anyio.sleep(OPEN_SECONDS)
        await processes[0].succeed()
        await settle()
        server.restore(stale)
        await settle(POLLED_SECONDS)
        assert states(processes) == ["closed"] * 2
        assert await processes[0].is_admitted()


@pytest.mark.parametrize("success_threshold", [1, 2])
async def test_who_closed_alone_on_evidence_closes_the_fleet(success_threshold: int) -> None:
    server = new_server()
    async with fleet_of(3, server, success_threshold=success_threshold) as processes:
        await open_all(processes)
        server.stop()
        await settle(OPEN_SECONDS * 1.6)
        await processes[0].succeed(success_threshold)
        assert states(processes) == ["closed", "open", "open"]
        await end_outage(server, processes)
        assert states(processes) == ["closed"] * 3
        assert [fleet_state(one) for one in processes] == ["closed"] * 3


async def test_who_closed_alone_but_meets_a_reset_timeout_that_lasts_goes_back_to_it() -> None:
    server = new_server()
    async with fleet_of(2, server) as processes:
        await make_ready(processes)
        processes[0].store.cut()
        await settle(OPEN_SECONDS * 0.6)
        await processes[0].succeed()
        await processes[1].fail(1)
        assert processes[0].state == "closed"
        await end_outage(server, processes)
        assert states(processes) == ["open"] * 2


async def test_who_opened_alone_votes_when_the_store_is_back() -> None:
    server = new_server()
    async with fleet_of(3, server) as processes:
        server.stop()
        await processes[0].fail()
        await processes[1].fail()
        await settle(1)
        assert states(processes) == ["open", "open", "closed"]
        await end_outage(server, processes)
        assert states(processes) == ["open"] * 3


async def test_one_who_opened_alone_opens_nobody_when_the_store_is_back() -> None:
    server = new_server()
    async with fleet_of(3, server) as processes:
        server.stop()
        await processes[0].fail()
        await settle(1)
        await end_outage(server, processes)
        assert states(processes) == ["open", "closed", "closed"]


async def test_a_vote_whose_reply_was_lost_is_cast_again_and_counts_once() -> None:
    server = new_server()
    async with fleet_of(3, server, quorum=2) as processes:
        processes[0].store.lose_replies = True
        await processes[0].fail()
        await settle(1)
        processes[0].store.lose_replies = False
        await settle(BACK_SECONDS)
        assert processes[0].fleet.is_connected
        assert states(processes) == ["open", "closed", "closed"]
        await processes[1].fail()
        await settle()
        assert states(processes) == ["open"] * 3


@pytest.mark.parametrize("failures", [7, 8])
async def test_a_report_whose_reply_was_lost_is_sent_again_and_counts_once(failures: int) -> None:
    async with fleet_of(2, trip_when=FailureCount(8, window=TimeWindow(60))) as processes:
        await processes[1].fail(failures - 4)
        await settle()
        processes[0].store.lose_replies = True
        await processes[0].fail(4)
        await settle(0.01)
        processes[0].store.lose_replies = False
        await settle(BACK_SECONDS)
        expected = "open" if failures == 8 else "closed"
        assert states(processes) == [expected] * 2


async def test_reports_that_did_not_arrive_are_sent_when_the_store_is_back() -> None:
    server = new_server()
    async with fleet_of(2, server, trip_when=FailureCount(8, window=TimeWindow(60))) as processes:
        for one in processes:
            await one.fail(2)
        server.stop()
        await settle(1)
        for one in processes:
            await one.fail(2)
        await end_outage(server, processes)
        assert states(processes) == ["closed"] * 2 or states(processes) == ["open"] * 2
        for one in processes:
            await one.fail(1)
        await settle()
        assert states(processes) == ["open"] * 2


async def test_reports_of_a_window_that_is_over_are_not_sent_again() -> None:
    server = new_server()
    async with fleet_of(2, server, trip_when=FailureCount(6, window=TimeWindow(5))) as processes:
        for one in processes:
            one.store.delay_seconds = 0.05
            await one.fail(4)
        await settle(0.01)
        server.stop()
        await settle(6)
        await end_outage(server, processes)
        assert states(processes) == ["closed"] * 2


async def test_reports_of_a_closed_period_that_is_over_are_not_sent_again() -> None:
    server = new_server()
    async with fleet_of(3, server, trip_when=FailureCount(6, window=TimeWindow(60))) as processes:
        processes[0].store.delay_seconds = 0.05
        await processes[0].fail(5)
        await settle(0.01)
        processes[0].store.cut()
        for one in processes[1:]:
            await one.fail(5)
        await settle()
        assert states(processes) == ["closed", "open", "open"]
        await anyio.sleep(OPEN_SECONDS)
        await processes[1].succeed()
        processes[0].store.mend()
        await settle(BACK_SECONDS)
        assert states(processes) == ["closed"] * 3
        await processes[1].fail(1)
        await settle()
        assert states(processes) == ["closed"] * 3


async def test_when_many_reports_wait_and_the_first_opens_the_fleet_the_others_are_forgotten() -> None:
    server = new_server()
    async with fleet_of(2, server, trip_when=FailureCount(20, window=TimeWindow(60))) as processes:
        await processes[1].fail(15)
        await settle()
        processes[0].store.delay_seconds = 0.08
        await processes[0].fail(6)
        await settle(0.01)
        await processes[0].fail(6)
        await settle(0.06)
        processes[0].store.cut()
        await settle(0.01)
        processes[0].store.delay_seconds = 0
        await end_outage(server, processes)
        assert states(processes) == ["open"] * 2


async def test_a_result_that_was_lost_with_its_reply_is_learnt_by_the_message() -> None:
    async with fleet_of(2) as processes:
        permit = await make_probing(processes)
        processes[0].store.lose_replies = True
        permit.succeed()
        await settle(1)
        assert states(processes) == ["closed"] * 2
        processes[0].store.lose_replies = False
        await settle(BACK_SECONDS)
        assert states(processes) == ["closed"] * 2
        assert fleet_state(processes[0]) == "closed"


@pytest.mark.parametrize("passed", [True, False])
async def test_a_result_that_did_not_arrive_is_told_when_the_store_is_back(*, passed: bool) -> None:
    server = new_server()
    async with fleet_of(2, server) as processes:
        permit = await make_probing(processes)
        server.stop()
        permit.succeed() if passed else permit.fail()
        await settle(0.5)
        await end_outage(server, processes)
        assert states(processes) == (["closed"] * 2 if passed else ["open"] * 2)
        assert processes[1].fleet.status()["breakers"][NAME]["trips"] == (0 if passed else 2)


async def test_all_agree_within_a_poll_after_an_outage_in_which_each_decided_alone() -> None:
    server = new_server()
    async with fleet_of(8, server) as processes:
        await open_all(processes)
        server.freeze()
        await settle(OPEN_SECONDS * 2)
        for one in processes[:4]:
            await one.succeed()
        for one in processes[4:]:
            await one.fail(1)
        await end_outage(server, processes)
        assert len({one.fleet.status()["breakers"][NAME]["generation"] for one in processes}) == 1


async def test_a_probe_whose_grant_was_lost_with_its_reply_is_left_to_others_at_once() -> None:
    async with fleet_of(2, lease_seconds=1_000) as processes:
        await make_ready(processes)
        processes[0].store.lose_replies = True
        assert not await processes[0].is_admitted()
        await settle(0.5)
        assert processes[1].state == "half_open"
        processes[0].store.lose_replies = False
        await settle(BACK_SECONDS)
        assert processes[1].state == "open"
        assert await processes[1].is_admitted()
        await settle()
        assert states(processes) == ["closed"] * 2


async def test_a_probe_that_goes_on_through_an_outage_of_the_store_is_kept() -> None:
    server = new_server()
    async with fleet_of(2, server, lease_seconds=1_000) as processes:
        permit = await make_probing(processes)
        server.stop()
        await settle(0.5)
        await end_outage(server, processes)
        assert not await processes[1].is_admitted()
        permit.succeed()
        await settle()
        assert states(processes) == ["closed"] * 2


async def test_all_know_who_runs_the_probe() -> None:
    async with fleet_of(2) as processes:
        permit = await make_probing(processes)
        known = processes[1].fleet.status()["breakers"][NAME]
        assert known["author"] == processes[0].fleet.status()["worker"]
        assert not known["holds_probe"]
        permit.succeed()
