"""One breaker's place in the fleet by itself: what it wants told, and what it makes of replies that cross."""

import gc
import logging
from contextlib import suppress
from random import Random

import anyio
import pytest

from recloser import CircuitBreaker, CircuitState, FailureCount, TimeWindow
from recloser._breaker.fleet_port import FleetPort
from recloser.fleet import Acquire, Code, FleetStoreError, Reply, Report, Result, SharedState, Sync, Vote
from recloser.fleet._worker import Worker
from recloser.fleet.membership import Membership
from recloser.fleet.requests import RequestSource, StoreRequest
from recloser.testing import ManualClock
from tests.fleet.breakers.kit import NAME, DownError, answer, fail

pytestmark = pytest.mark.anyio

OPEN = SharedState(CircuitState.OPEN, generation=5, remaining_us=10_000_000, trips=1)
OVER = SharedState(CircuitState.OPEN, generation=5, remaining_us=0, trips=1)
CLOSED = SharedState(CircuitState.CLOSED, generation=7)


class Desk:
    """A worker that notes who has left word, and tells nobody."""

    def __init__(self) -> None:
        self.identity = "ada"
        self.quorum = 2
        self.lease_seconds = 5.0
        self.is_up = self.is_here = True
        self.op_timeout_seconds = 0.1
        self.clock = ManualClock()
        self.scheduled = self.renewed = 0
        self._sequence = 0

    def now(self) -> float:
        return self.clock()

    def not_after_us(self) -> int:
        return 0

    def next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def fraction(self) -> float:
        return 0.5

    def schedule(self, source: RequestSource, *, urgent: bool) -> None:
        assert source.has_work or not urgent
        self.scheduled += 1 + urgent

    def renew(self, source: RequestSource, token: int, seconds: float) -> None:
        assert source.renewal(token) is not None
        assert seconds > 0
        self.renewed += 1


class Member:
    """A breaker, its place in the fleet and the desk."""

    def __init__(self, **options: object) -> None:
        self.desk = Desk()
        settings = {"failure_threshold": 1, "reset_timeout_seconds": 10.0, **options}
        if "trip_when" in options:
            del settings["failure_threshold"]
        self.breaker: CircuitBreaker | None = CircuitBreaker(NAME, clock=self.desk.clock, **settings)  # type: ignore[arg-type]
        engine = self.breaker.engine
        self.link = Membership(engine, self.desk)
        engine.port = FleetPort(engine, self.link)

    @property
    def state(self) -> str:
        assert self.breaker is not None
        return self.breaker.get_state()

    def work(self) -> list[StoreRequest]:
        return self.link.work(self.desk.now())

    def request(self, kind: type) -> StoreRequest:
        """Returns what is to be told next, which must be of this kind."""
        (request,) = self.work()
        assert isinstance(request.operation, kind)
        return request

    async def call(self, *, down: bool) -> None:
        assert self.breaker is not None
        with suppress(DownError):
            await self.breaker.call(fail if down else answer)

    def forget(self) -> None:
        self.breaker = None
        gc.collect()
        assert self.link.engine is None


@pytest.fixture
def member() -> Member:
    return Member()


def reply(shared: SharedState, code: Code = Code.DONE, problem: str | None = None) -> Reply:
    return Reply(code, shared, 0, problem)


async def heal_with_proof(member: Member) -> None:
    """The store was away; meanwhile this breaker has opened and closed alone, and the fleet has stayed open."""
    member.link.apply(OVER)
    member.desk.is_up = False
    member.desk.clock.advance(20)
    await member.call(down=False)
    assert member.state == "closed"
    member.desk.is_up = True
    member.link.reconcile(reply(OVER), member.desk.now())


async def test_a_vote_that_came_too_late_is_cast_again(member: Member) -> None:
    await member.call(down=True)
    for again in (reply(SharedState(), Code.TOO_LATE), reply(SharedState(), Code.REFUSED)):
        member.request(Vote).done(again)
        assert member.link.is_urgent
    member.request(Vote).done(reply(SharedState()))
    assert member.work() == []


async def test_a_vote_that_another_has_made_idle_is_not_cast_again(member: Member) -> None:
    await member.call(down=True)
    member.request(Vote).done(reply(OPEN, Code.REFUSED))
    assert member.work() == []


async def test_a_vote_that_was_overtaken_before_it_was_cast_is_not_cast(member: Member) -> None:
    await member.call(down=True)
    member.link.apply(OPEN)
    assert member.work() == []
    assert not member.link.has_work


async def test_a_success_alone_is_proof_for_the_fleet(member: Member) -> None:
    await heal_with_proof(member)
    granted = SharedState(CircuitState.HALF_OPEN, generation=6, remaining_us=5_000_000, trips=1)
    member.request(Acquire).done(reply(granted))
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
    assert not member.link.is_asking
    assert member.work() == []


async def test_a_proof_is_void_if_the_breaker_opens_before_it_was_given(member: Member) -> None:
    await heal_with_proof(member)
    await member.call(down=True)
    assert member.work() == []


async def test_a_result_that_did_not_arrive_gives_way_to_a_later_one(member: Member) -> None:
    await heal_with_proof(member)
    granted = SharedState(CircuitState.HALF_OPEN, generation=6, remaining_us=5_000_000, trips=1)
    member.request(Acquire).done(reply(granted))
    first = member.request(Result)
    member.link.apply(CLOSED)
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
    assert member.link.has_work is False
    second.failed()
    member.link.reconcile(reply(SharedState()), member.desk.now())
    assert member.request(Report).operation == second.operation


async def test_a_breaker_that_is_gone_has_nothing_more_to_tell(member: Member) -> None:
    await member.call(down=True)
    vote = member.request(Vote)
    member.link.join()
    member.forget()
    assert member.work() == []
    assert member.link.poll(member.desk.now()) == []
    vote.done(reply(OPEN))
    assert isinstance(member.link.sync().operation, Sync)
    member.link.reconcile(reply(CLOSED), member.desk.now())
    member.link.degrade()
    assert member.link.drain() == []


async def test_the_probe_of_a_breaker_that_is_gone_is_left_to_others(member: Member) -> None:
    await heal_with_proof(member)
    member.link._proves = False
    member.link.apply(SharedState(CircuitState.OPEN, generation=8, remaining_us=0, trips=1))
    breaker = member.breaker
    assert breaker is not None
    assert breaker.engine.port is not None
    asked = breaker.engine.port.membership
    assert asked is member.link
    granted = SharedState(CircuitState.HALF_OPEN, generation=9, remaining_us=5_000_000, trips=1)
    member.link._token = granted.generation
    member.link.shared = granted
    del breaker, asked
    member.forget()
    assert member.link.renewal(granted.generation) is None
    told = member.request(Result)
    assert told.operation.result == "release"  # type: ignore[union-attr]
    told.done(reply(CLOSED))
    assert member.link.renewal(granted.generation) is None


async def test_what_can_not_be_used_is_told_once_and_the_breaker_decides_alone(
    member: Member, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "recloser")
    problem = "the record is of another protocol version; left alone"
    member.link.apply(OVER)
    assert member.link.leads
    for _ in range(3):
        member.link.take(reply(OVER, Code.DAMAGED, problem))
    assert not member.link.leads
    member.link.reconcile(reply(OVER, Code.DAMAGED, problem), member.desk.now())
    (told,) = [record.getMessage() for record in caplog.records if problem in record.getMessage()]
    assert told.startswith(f"Circuit breaker {NAME!r}: what the fleet's store holds of it can't be used")
    assert told.endswith("it decides alone meanwhile")
    member.link.take(reply(OVER))
    assert member.link.leads


async def test_a_damaged_record_that_was_dropped_leaves_the_fleet_in_charge(
    member: Member, caplog: pytest.LogCaptureFixture
) -> None:
    member.link.apply(OPEN)
    member.link.take(reply(OPEN, Code.DAMAGED, "the record held impossible values; dropped"))
    assert member.link.leads
    assert "the fleet goes on with what its workers know" in caplog.text


async def test_a_generation_of_the_stores_future_is_forgotten(member: Member, caplog: pytest.LogCaptureFixture) -> None:
    member.link.apply(SharedState(CircuitState.OPEN, generation=10**15, remaining_us=10_000_000, trips=1))
    assert member.state == "open"
    member.link.take(reply(CLOSED, Code.IMPLAUSIBLE))
    assert member.link.shared == CLOSED
    assert member.state == "closed"
    assert "lies in the store's future; it is forgotten" in caplog.text


def new_worker() -> Worker:
    return Worker(quorum=2, lease_seconds=5, poll_seconds=1, report_gap_seconds=0.025, random=Random(1))


async def test_a_lease_is_not_kept_by_a_worker_that_has_stopped(member: Member) -> None:
    worker = new_worker()
    worker.renew(member.link, 5, 10)
    assert worker.problem == "not running"


async def test_a_breaker_that_leaves_word_while_the_worker_lies_down_is_heard() -> None:
    answers = iter([False, True, True])
    await new_worker()._wait_until(lambda: next(answers))
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
