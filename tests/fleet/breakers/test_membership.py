"""A membership without a worker: what it sends, and what it does with replies that arrive out of order."""

import logging
from dataclasses import replace
from random import Random

import anyio
import pytest

from recloser import CircuitState, FailureCount, TimeWindow
from recloser.fleet import FleetStoreError
from recloser.fleet._store.reference import OTHER_VERSION
from recloser.fleet._worker import Worker
from recloser.fleet.store import Acquire, Code, Report, Result, SharedState, Sync, Vote
from tests.fleet.breakers.kit import NAME
from tests.fleet.breakers.member import OVER, Member, granted, let_others_run, reply

pytestmark = pytest.mark.anyio

OPEN = SharedState(CircuitState.OPEN, generation=5, remaining_us=10_000_000, trips=1)
CLOSED = SharedState(CircuitState.CLOSED, generation=7)


@pytest.fixture
def member() -> Member:
    return Member()


async def heal_with_proof(member: Member) -> None:
    """During an outage of the store this breaker opens and closes alone; the fleet stays open."""
    member.membership.apply(OVER)
    member.worker.is_reachable = False
    member.worker.clock.advance(20)
    await member.call(down=False)
    assert member.state == "closed"
    member.worker.is_reachable = True
    member.membership.reconcile(reply(OVER), member.worker.now())


async def test_a_vote_that_came_too_late_is_cast_again(member: Member) -> None:
    await member.call(down=True)
    for again in (reply(SharedState(), Code.TOO_LATE), reply(SharedState(), Code.REFUSED)):
        member.request(Vote).done(again)
        assert member.membership.is_urgent
    member.request(Vote).done(reply(SharedState()))
    assert member.work() == []


async def test_a_vote_that_another_has_made_idle_is_not_cast_again(member: Member) -> None:
    await member.call(down=True)
    member.request(Vote).done(reply(OPEN, Code.REFUSED))
    assert member.work() == []


async def test_a_vote_that_was_overtaken_before_it_was_cast_is_not_cast(member: Member) -> None:
    await member.call(down=True)
    member.membership.apply(OPEN)
    assert member.work() == []
    assert not member.membership.has_requests


async def test_a_vote_is_cast_again_after_an_outage_in_which_the_store_may_have_lost_it(member: Member) -> None:
    await member.call(down=True)
    member.request(Vote).done(reply(SharedState()))
    member.membership.degrade()
    member.membership.reconcile(reply(SharedState()), member.worker.now())
    member.request(Vote).done(reply(SharedState()))
    assert member.work() == []


async def test_an_outage_ends_the_wait_for_a_lease_and_drops_the_news_that_waited_with_it(member: Member) -> None:
    member.membership.apply(OVER)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(member.membership.request_lease)
        await let_others_run()
        request = member.request(Acquire)
        member.membership.apply(granted(20))
        assert member.membership.lease.deferred == granted(20)
        request.failed()
    assert not member.membership.is_asking
    assert member.membership.lease.deferred is None


async def test_a_success_alone_is_proof_for_the_fleet(member: Member) -> None:
    await heal_with_proof(member)
    member.request(Acquire).done(reply(granted(6)))
    told = member.request(Result)
    assert told.operation.token == 6  # type: ignore[union-attr]
    told.done(reply(CLOSED))
    assert member.state == "closed"
    assert member.work() == []


async def test_a_proof_that_the_fleet_does_not_let_us_give_is_not_given(member: Member) -> None:
    await heal_with_proof(member)
    member.request(Acquire).done(reply(CLOSED, Code.REFUSED))
    assert member.work() == []
    assert member.state == "closed"


async def test_a_proof_that_could_not_be_given_leaves_nothing_behind(member: Member) -> None:
    await heal_with_proof(member)
    member.request(Acquire).failed()
    assert not member.membership.is_asking
    assert member.work() == []


async def test_a_proof_is_void_if_the_breaker_opens_before_it_was_given(member: Member) -> None:
    await heal_with_proof(member)
    await member.call(down=True)
    assert member.work() == []


async def test_a_result_that_did_not_arrive_gives_way_to_a_later_one(member: Member) -> None:
    await heal_with_proof(member)
    member.request(Acquire).done(reply(granted(6)))
    first = member.request(Result)
    member.membership.apply(CLOSED)
    first.failed()
    assert member.work() == []


async def test_reports_that_came_too_late_are_made_again() -> None:
    member = Member(trip_when=FailureCount(5, window=TimeWindow(60)))
    await member.call(down=True)
    first = member.request(Report)
    first.done(reply(SharedState(), Code.TOO_LATE))
    again = member.request(Report)
    assert again.operation == first.operation
    again.done(reply(SharedState()))
    assert member.work() == []


async def test_a_report_that_is_acknowledged_twice_is_forgotten_once() -> None:
    member = Member(trip_when=FailureCount(5, window=TimeWindow(60)))
    await member.call(down=True)
    first = member.request(Report)
    first.done(reply(SharedState()))
    await member.call(down=True)
    second = member.request(Report)
    first.done(reply(SharedState(), Code.DUPLICATE))
    assert member.membership.has_requests is False
    second.failed()
    member.membership.reconcile(reply(SharedState()), member.worker.now())
    assert member.request(Report).operation == second.operation


async def test_a_breaker_that_is_gone_has_nothing_more_to_tell(member: Member) -> None:
    await member.call(down=True)
    vote = member.request(Vote)
    member.membership.join()
    member.forget()
    assert member.work() == []
    assert member.membership.poll(member.worker.now()) == []
    vote.done(reply(OPEN))
    assert isinstance(member.membership.sync_request().operation, Sync)
    member.membership.reconcile(reply(CLOSED), member.worker.now())
    member.membership.degrade()
    assert member.membership.drain() == []


async def test_the_probe_of_a_breaker_that_is_gone_is_left_to_others(member: Member) -> None:
    await member.lease(9)
    assert member.worker.renewed == [(member.membership, 9)]
    member.forget()
    assert member.membership.renewal(9) is None
    told = member.request(Result)
    assert told.operation.result == "release"  # type: ignore[union-attr]
    told.done(reply(CLOSED))
    assert member.membership.renewal(9) is None


async def test_a_lease_that_nobody_uses_any_more_goes_back_before_the_next_is_asked_for(member: Member) -> None:
    await member.lease(9)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(member.membership.request_lease)
        await let_others_run()
        back = member.request(Result)
        assert (back.operation.token, back.operation.result) == (9, "release")  # type: ignore[union-attr]
        assert not member.membership.holds
        member.request(Acquire).done(reply(granted(11)))
    assert member.membership.holds


async def test_a_breaker_that_was_reset_while_it_made_the_probe_proves_nothing_by_being_closed(member: Member) -> None:
    await member.lease(9)
    assert member.breaker is not None
    member.breaker.reset()
    assert member.work() == []
    ended = replace(granted(9), remaining_us=0)
    member.membership.reconcile(reply(ended), member.worker.now())
    assert member.work() == []
    assert not member.membership.has_requests
    assert member.worker.renewed == [(member.membership, 9)] * 2


async def test_a_breaker_that_was_reset_follows_the_fleet_even_where_the_record_was_of_another_version(
    member: Member,
) -> None:
    assert member.breaker is not None
    member.membership.apply(OPEN)
    damaged = reply(OPEN, Code.DAMAGED, OTHER_VERSION)
    member.membership.apply_reply(damaged)
    member.breaker.force_open("this host only")
    member.membership.apply_reply(damaged)
    assert not member.membership.leads
    member.breaker.reset()
    assert member.state == "closed"
    assert member.work() == []
    assert member.state == "open"
    member.membership.apply_reply(damaged)
    assert not member.membership.leads


async def test_a_reset_is_not_lost_when_the_record_turns_out_to_be_of_another_version(member: Member) -> None:
    assert member.breaker is not None
    member.membership.apply(OPEN)
    member.breaker.reset()
    member.membership.apply_reply(reply(OPEN, Code.DAMAGED, OTHER_VERSION))
    assert member.work() == []
    assert member.state == "open"
    assert not member.membership.leads
    member.membership.apply_reply(reply(OPEN))
    assert (member.state, member.membership.leads) == ("open", True)


async def test_a_reset_does_not_make_a_record_of_another_version_usable(member: Member) -> None:
    assert member.breaker is not None
    member.membership.apply(OPEN)
    member.membership.apply_reply(reply(OPEN, Code.DAMAGED, OTHER_VERSION))
    member.breaker.reset()
    assert member.work() == []
    assert not member.membership.leads


async def test_what_can_not_be_used_is_told_once_and_the_breaker_decides_alone(
    member: Member, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "recloser")
    problem = "the record is of another protocol version; left alone"
    member.membership.apply(OVER)
    assert member.membership.leads
    for _ in range(3):
        member.membership.apply_reply(reply(OVER, Code.DAMAGED, problem))
    assert not member.membership.leads
    member.membership.reconcile(reply(OVER, Code.DAMAGED, problem), member.worker.now())
    (told,) = [record.getMessage() for record in caplog.records if problem in record.getMessage()]
    assert told.startswith(f"Circuit breaker {NAME!r}: its record in the fleet's store can't be used")
    assert told.endswith("it decides alone meanwhile")
    member.membership.apply_reply(reply(OVER))
    assert member.membership.leads


async def test_a_damaged_record_that_was_dropped_leaves_the_fleet_in_charge(
    member: Member, caplog: pytest.LogCaptureFixture
) -> None:
    member.membership.apply(OPEN)
    member.membership.apply_reply(reply(OPEN, Code.DAMAGED, "the record held impossible values; dropped"))
    assert member.membership.leads
    assert "the fleet goes on with what its workers know" in caplog.text


async def test_a_generation_of_the_stores_future_is_forgotten(member: Member, caplog: pytest.LogCaptureFixture) -> None:
    member.membership.apply(SharedState(CircuitState.OPEN, generation=10**15, remaining_us=10_000_000, trips=1))
    assert member.state == "open"
    member.membership.apply_reply(reply(CLOSED, Code.IMPLAUSIBLE))
    assert member.membership.shared == CLOSED
    assert member.state == "closed"
    assert "is far ahead of the store's clock; it is dropped" in caplog.text


def new_worker() -> Worker:
    return Worker(quorum=2, lease_seconds=5, poll_seconds=1, report_gap_seconds=0.025, random=Random(1))


async def test_a_lease_is_not_kept_by_a_worker_that_has_stopped(member: Member) -> None:
    worker = new_worker()
    worker.renew(member.membership, 5, 10)
    assert worker.problem == "not running"


async def test_a_breaker_that_leaves_word_while_the_worker_lies_down_is_heard() -> None:
    answers = iter([False, True, True])
    await new_worker().wait_until(lambda: next(answers))
    assert next(answers, None) is None


async def test_of_several_faults_of_a_store_the_first_is_told(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty:
        op_timeout_seconds = 0.1

        async def connect(self) -> None:
            inner = ExceptionGroup("inner", [FleetStoreError("it is down")])
            raise ExceptionGroup("outer", [inner])

    worker = new_worker()
    async with anyio.create_task_group() as tasks:
        await tasks.start(worker.run, Faulty())
        tasks.cancel_scope.cancel()
    assert "it is down" in caplog.text
