"""Two threads that switch between any two lines: one calls through the breaker, the other controls it or settles."""

import itertools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise

import anyio
import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState, Permit, StateChanged
from recloser._breaker.loop_bound import LoopEvent
from recloser._core.outcomes import Outcome
from recloser.events import CallFailed, CallIgnored, CallRejected, CallSucceeded, LateOutcome
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, answer, fail, make, make_probing, totals
from tests.breaker.watched import Watched
from tests.handover import PATIENCE_SECONDS, handed_over_at, in_thread

pytestmark = pytest.mark.anyio

Start = Callable[[ManualClock], Awaitable[tuple[CircuitBreaker, Permit]]]


@pytest.fixture(autouse=True)
def _without_log() -> Iterator[None]:
    logging.getLogger("recloser").disabled = True
    yield
    logging.getLogger("recloser").disabled = False


async def a_closed_breaker(clock: ManualClock) -> tuple[CircuitBreaker, Permit]:
    breaker = make(clock)
    return breaker, await breaker.acquire()


async def a_half_open_breaker(clock: ManualClock) -> tuple[CircuitBreaker, Permit]:
    return await make_probing(clock)


async def a_breaker_whose_probe_has_timed_out(clock: ManualClock) -> tuple[CircuitBreaker, Permit]:
    breaker, permit = await make_probing(clock)
    clock.advance(1000)
    return breaker, permit


async def a_breaker_whose_time_of_being_disabled_is_over(clock: ManualClock) -> tuple[CircuitBreaker, Permit]:
    breaker = make(clock)
    breaker.disable(for_seconds=5)
    clock.advance(5)
    return breaker, await breaker.acquire()


async def by_call(breaker: CircuitBreaker) -> None:
    await breaker.call(fail)


async def by_decorator(breaker: CircuitBreaker) -> None:
    await breaker(fail)()


async def by_answer(breaker: CircuitBreaker) -> None:
    await breaker(answer)()


async def by_permit(breaker: CircuitBreaker) -> None:
    (await breaker.acquire()).succeed()


ORDERS: dict[str, Callable[[CircuitBreaker, Permit], None]] = {
    "forced_open": lambda breaker, _: breaker.force_open("maintenance"),
    "disabled": lambda breaker, _: breaker.disable(),
    "reset": lambda breaker, _: breaker.reset(),
    "fails": lambda _, permit: permit.fail(),
    "succeeds": lambda _, permit: permit.succeed(),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("use", [by_call, by_decorator, by_permit])
@pytest.mark.parametrize(
    "start",
    [
        a_closed_breaker,
        a_half_open_breaker,
        a_breaker_whose_probe_has_timed_out,
        a_breaker_whose_time_of_being_disabled_is_over,
    ],
)
async def test_a_call_that_another_thread_overtakes_raises_nothing_else_and_undoes_nothing(
    clock: ManualClock, start: Start, use: Callable[[CircuitBreaker], Awaitable[None]], order: str
) -> None:
    for line in itertools.count(1):
        breaker, permit = await start(clock)
        changes: list[StateChanged] = []
        first = breaker.state
        breaker.subscribe(changes.append, StateChanged)
        with (
            handed_over_at(line, partial(ORDERS[order], breaker, permit)) as hand_over,
            suppress(CircuitBreakerOpenError, DependencyError),
        ):
            await use(breaker)
        permit.ignore()
        if hand_over.where is None:
            break
        machine = breaker.engine.machine
        states = [first, *(change.new for change in changes)]
        assert [change.old for change in changes] == states[:-1], hand_over.where
        assert all(before is not after or after is CircuitState.CLOSED for before, after in pairwise(states))
        assert states[-1] is breaker.state
        assert breaker.state == order or order not in list(CircuitState), hand_over.where
        assert breaker.engine.live in (None, machine.epoch)
        assert breaker.engine.live is None or breaker.state in ("closed", "disabled"), hand_over.where
        breaker.reset()
        assert await breaker.call(answer) == "answer"
    assert line > 10


WATCHED_ORDERS: dict[str, Callable[[Watched, Permit], object]] = {
    **{name: lambda watched, permit, order=order: order(watched.breaker, permit) for name, order in ORDERS.items()},
    "judges": lambda watched, _: watched.breaker.reconfigure(failed_result=lambda _: False),
    "stops judging": lambda watched, _: watched.breaker.reconfigure(failed_result=None, overdue_after_seconds=None),
    "subscribes": lambda watched, _: watched.breaker.subscribe(len, CallSucceeded),
    "reads": lambda watched, _: watched.breaker.health(),
}
MOVING = ("forced_open", "disabled", "reset", "fails")
"""A call that ends while another thread moves the breaker may be missing in the totals, or be late for some."""
OUTCOMES = {CallSucceeded: Outcome.SUCCESS, CallFailed: Outcome.FAILURE, CallIgnored: Outcome.IGNORED}
TOTAL_OF = {
    CallSucceeded: "success",
    CallFailed: "failure",
    CallIgnored: "ignored",
    LateOutcome: "late",
    CallRejected: "rejected",
}


@pytest.mark.parametrize("order", WATCHED_ORDERS)
@pytest.mark.parametrize("use", [by_answer, by_decorator, by_permit])
@pytest.mark.parametrize("how", ["a listener", "everything"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_watched_call_that_another_thread_overtakes_is_counted_and_reported_once(
    clock: ManualClock, how: str, use: Callable[[CircuitBreaker], Awaitable[None]], order: str
) -> None:
    for line in itertools.count(1):
        watched = await Watched.make(clock, how, failure_threshold=3 if order == "succeeds" else 1)
        breaker, permit = watched.breaker, await watched.breaker.acquire()
        with (
            handed_over_at(line, partial(WATCHED_ORDERS[order], watched, permit)) as hand_over,
            suppress(CircuitBreakerOpenError, DependencyError),
        ):
            await use(breaker)
        permit.ignore()
        where = hand_over.where
        counts = {kind: totals(breaker).get(total, 0) for kind, total in TOTAL_OF.items()}
        logs = [Counter(type(event) for event in log if type(event) in TOTAL_OF) for log in watched.logs()]
        assert sum(counts.values()) == 2 or (order in MOVING and sum(counts.values()) == 1), where
        assert all(log.total() == 2 for log in logs), where
        if order not in MOVING:
            assert all(log == +Counter(counts) for log in logs), where
        if watched.durations is not None and order not in MOVING:
            assert {kind: sum(watched.counts(outcome)) for kind, outcome in OUTCOMES.items()} == {
                kind: counts[kind] for kind in OUTCOMES
            }, where
        await watched.leave()
        if where is None:
            break
        breaker.reset()
        assert await breaker.call(answer) == "answer"
    assert line > 10


class Hearing:
    """Adds listeners to a breaker, and notes whose listeners hear something."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker
        self.heard: list[str] = []

    def add(self, name: str) -> Callable[[], None]:
        return self.breaker.subscribe(lambda _: self.heard.append(name))


async def test_listeners_that_two_threads_add_at_once_are_all_added(clock: ManualClock) -> None:
    for line in itertools.count(1):
        hearing = Hearing(make(clock))
        with handed_over_at(line, partial(hearing.add, "theirs")) as hand_over:
            hearing.add("ours")
        if hand_over.where is None:
            break
        hearing.breaker.reset()
        assert sorted(hearing.heard) == ["ours", "theirs"], hand_over.where
    assert line > 10


async def test_a_listener_that_one_thread_adds_while_another_removes_its_own_is_added(clock: ManualClock) -> None:
    for line in itertools.count(1):
        hearing = Hearing(make(clock))
        unsubscribe = hearing.add("ours")
        with handed_over_at(line, partial(hearing.add, "theirs")) as hand_over:
            unsubscribe()
        if hand_over.where is None:
            break
        hearing.breaker.reset()
        assert hearing.heard == ["theirs"], hand_over.where
    assert line > 3


async def test_a_reader_of_events_misses_none_that_another_thread_causes(clock: ManualClock) -> None:
    for line in itertools.count(1):
        breaker = make(clock)
        async with breaker.events(kinds=StateChanged) as stream:
            with anyio.fail_after(PATIENCE_SECONDS):
                async with anyio.create_task_group() as tasks:
                    with handed_over_at(line, breaker.disable) as hand_over:
                        tasks.start_soon(anext, stream)
                        await anyio.wait_all_tasks_blocked()
                    if hand_over.where is None:
                        tasks.cancel_scope.cancel()
        if hand_over.where is None:
            break
    assert line > 10


async def test_a_reader_does_not_wait_for_an_event_that_came_while_it_prepared_to(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaker, here = make(clock), LoopEvent.here

    def here_late(event: LoopEvent | None) -> LoopEvent:
        in_thread(breaker.disable)
        return here(event)

    monkeypatch.setattr(LoopEvent, "here", here_late)
    async with breaker.events(kinds=StateChanged) as stream:
        with anyio.fail_after(PATIENCE_SECONDS):
            assert (await anext(stream)).new is CircuitState.DISABLED


async def test_a_task_that_waits_misses_no_reset_by_another_thread(clock: ManualClock) -> None:
    for line in itertools.count(1):
        breaker = make(clock)
        breaker.force_open("maintenance")
        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as tasks:
                with handed_over_at(line, breaker.reset) as hand_over:
                    tasks.start_soon(breaker.wait_until_ready)
                    await anyio.wait_all_tasks_blocked()
                if hand_over.where is None:
                    tasks.cancel_scope.cancel()
        if hand_over.where is None:
            break
    assert line > 10


@pytest.mark.parametrize(
    "control",
    [
        lambda breaker: breaker.force_open("maintenance"),
        lambda breaker: breaker.disable(for_seconds=5),
        lambda breaker: breaker.reset(),
        lambda breaker: breaker.reconfigure(failure_threshold=7),
    ],
    ids=["force_open", "disable", "reset", "reconfigure"],
)
async def test_a_clock_may_wait_for_a_thread_that_controls_the_breaker(
    control: Callable[[CircuitBreaker], None],
) -> None:
    waits: list[Callable[[], object]] = []

    def clock() -> float:
        if waits:
            in_thread(waits.pop())
        return 5.0

    breaker = CircuitBreaker(clock=clock)
    waits.append(breaker.disable)
    control(breaker)
    assert breaker.generation == (2 if breaker.failure_threshold == 7 else 3)
