"""Calls that somebody times, judges, measures or listens to: each is counted and reported once, with its duration."""

import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import anyio
import pytest

from recloser import CircuitBreaker, CircuitState, ConsecutiveFailures, CountWindow, SlowCallRate, StateChanged
from recloser._core.outcomes import Outcome
from recloser.events import CallFailed, CallIgnored, CallSucceeded, LateOutcome
from recloser.testing import ManualClock, RecordingListener
from tests.breaker.kit import DependencyError, answer, make, make_ready, totals
from tests.breaker.watched import Watched

pytestmark = pytest.mark.anyio

Work = Callable[[], Awaitable[object]]
Way = Callable[[CircuitBreaker, Work], Awaitable[object]]
SUCCESS, FAILURE, IGNORED = Outcome.SUCCESS, Outcome.FAILURE, Outcome.IGNORED


async def by_decorator(breaker: CircuitBreaker, work: Work) -> object:
    @breaker
    async def decorated() -> object:
        return await work()

    return await decorated()


async def by_call(breaker: CircuitBreaker, work: Work) -> object:
    return await breaker.call(work)


async def by_guard(breaker: CircuitBreaker, work: Work) -> object:
    async with breaker.guard():
        return await work()


async def by_permit(breaker: CircuitBreaker, work: Work) -> object:
    permit = await breaker.acquire()
    try:
        result = await work()
    except BaseException as error:
        permit.__exit__(type(error), error, None)
        raise
    permit.succeed()
    return result


async def by_generator(breaker: CircuitBreaker, work: Work) -> object:
    @breaker
    async def stream() -> AsyncIterator[object]:
        yield await work()

    results = [result async for result in stream()]
    return results[0]


WAYS = [by_decorator, by_call, by_guard, by_permit, by_generator]
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
way_with_result = pytest.mark.parametrize("way", [by_decorator, by_call], ids=lambda way: way.__name__)


def taking(clock: ManualClock, seconds: float, error: BaseException | None = None, result: object = "answer") -> Work:
    """Returns a dependency that takes so long."""

    async def work() -> object:
        clock.advance(seconds)
        if error is not None:
            raise error
        return result

    return work


def hanging(clock: ManualClock, seconds: float, scope: anyio.CancelScope) -> Work:
    """Returns a dependency that is cancelled after so long."""

    async def work() -> None:
        clock.advance(seconds)
        scope.cancel()
        await anyio.sleep_forever()

    return work


# Durations


@each_way
@pytest.mark.parametrize("how", ["a listener", "two listeners", "everything"])
async def test_each_end_of_a_call_is_reported_with_its_duration(clock: ManualClock, way: Way, how: str) -> None:
    watched = await Watched.make(clock, how, failure_threshold=9, ignored_exception=LookupError)
    for seconds, error in ((0.25, None), (1.0, DependencyError()), (1.5, LookupError()), (2.25, None)):
        with suppress(DependencyError, LookupError):
            await way(watched.breaker, taking(clock, seconds, error))
    right = [(CallSucceeded, 0.25), (CallFailed, 1.0), (CallIgnored, 1.5), (CallSucceeded, 2.25)]
    assert [(type(event), event.duration_seconds) for event in watched.heard] == right
    assert [event.monotonic for event in watched.heard] == [1_000.25, 1_001.25, 1_002.75, 1_005.0]
    assert totals(watched.breaker) == {"success": 2, "failure": 1, "ignored": 1}
    await watched.leave()


@each_way
async def test_a_reader_of_events_receives_each_end_of_a_call_with_its_duration(clock: ManualClock, way: Way) -> None:
    watched = await Watched.make(clock, "a reader of events", failure_threshold=9)
    for seconds, error in ((0.25, None), (1.0, DependencyError())):
        with suppress(DependencyError):
            await way(watched.breaker, taking(clock, seconds, error))
    events = (await watched.read())[:-1]
    assert [(type(event), event.duration_seconds) for event in events] == [(CallSucceeded, 0.25), (CallFailed, 1.0)]
    await watched.leave()


@each_way
@pytest.mark.parametrize("how", ["durations", "everything"])
async def test_each_duration_is_in_the_histogram_of_its_outcome(clock: ManualClock, way: Way, how: str) -> None:
    watched = await Watched.make(clock, how, failure_threshold=9, ignored_exception=LookupError)
    for seconds in (0.25, 0.5, 0.75, 1.0, 2.75):
        await way(watched.breaker, taking(clock, seconds))
    for seconds, error in ((1.5, DependencyError()), (2.0, LookupError())):
        with suppress(DependencyError, LookupError):
            await way(watched.breaker, taking(clock, seconds, error))
    assert watched.counts(SUCCESS) == [2, 2, 0, 1]
    assert watched.counts(FAILURE) == watched.counts(IGNORED) == [0, 0, 1, 0]
    seconds = {outcome: watched.histogram(outcome).total_seconds for outcome in Outcome}
    assert seconds == {SUCCESS: 5.25, FAILURE: 1.5, IGNORED: 2.0}
    await watched.leave()


@each_way
async def test_each_duration_is_a_sample(clock: ManualClock, way: Way) -> None:
    watched = await Watched.make(clock, "samples", failure_threshold=9)
    for seconds, error in ((0.25, None), (1.0, DependencyError()), (1.5, None)):
        with suppress(DependencyError):
            await way(watched.breaker, taking(clock, seconds, error))
    assert watched.take() == ([0.25, 1.5], [(FAILURE, 1.0, "DependencyError")])
    assert watched.take() == ([], [])


async def test_the_time_of_the_reader_of_a_stream_is_no_part_of_its_duration(clock: ManualClock) -> None:
    watched = await Watched.make(clock, "everything")

    @watched.breaker
    async def stream() -> AsyncIterator[int]:
        for item in range(3):
            clock.advance(0.25)
            yield item

    async for _ in stream():
        clock.advance(100)
    assert [event.duration_seconds for event in watched.heard] == [0.75]
    assert watched.counts(SUCCESS) == [0, 1, 0, 0]
    await watched.leave()


async def test_a_late_call_is_reported_as_late_and_not_measured(clock: ManualClock) -> None:
    watched = await Watched.make(clock, "everything")
    for way in WAYS:

        async def work() -> None:
            clock.advance(1)
            watched.breaker.reset()

        await way(watched.breaker, work)
    assert [event.outcome for event in watched.heard if not isinstance(event, StateChanged)] == [SUCCESS] * 5
    assert {type(event) for event in watched.heard} == {StateChanged, LateOutcome}
    assert watched.counts(SUCCESS) == [0, 0, 0, 0]
    assert totals(watched.breaker) == {"late": 5}
    await watched.leave()


@each_way
async def test_a_call_inside_a_call_has_a_duration_of_its_own(clock: ManualClock, way: Way) -> None:
    watched = await Watched.make(clock, "everything")

    async def outer() -> None:
        clock.advance(0.5)
        await way(watched.breaker, taking(clock, 0.25))
        clock.advance(0.5)

    await way(watched.breaker, outer)
    assert [event.duration_seconds for event in watched.heard] == [0.25, 1.25]
    assert watched.counts(SUCCESS) == [1, 0, 1, 0]
    await watched.leave()


async def test_a_call_inside_a_probe_is_neither_reported_nor_measured(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    watched = Watched(breaker)
    watched.measure()
    breaker.subscribe(watched.heard.append, (CallSucceeded, CallFailed, CallIgnored))

    async def outer() -> None:
        await breaker.call(taking(clock, 0.75))

    await breaker.call(outer)
    assert [(event.duration_seconds, event.is_probe) for event in watched.heard] == [(0.75, True)]
    assert watched.counts(SUCCESS) == [0, 1, 0, 0]


async def test_a_probe_that_times_out_is_measured_once(clock: ManualClock) -> None:
    breaker = await make_ready(clock, probe_timeout_seconds=1.5)
    watched = Watched(breaker)
    watched.measure()
    permit = await breaker.acquire()
    clock.advance(1.75)
    assert await breaker.try_acquire() is None
    permit.succeed()
    assert watched.counts(FAILURE) == [0, 0, 1, 0]
    assert watched.counts(SUCCESS) == [0, 0, 0, 0]


# Verdicts


@each_way
async def test_a_call_is_slow_if_it_takes_longer_than_the_limit(clock: ManualClock, way: Way) -> None:
    rule = SlowCallRate(0.6, slow_call_seconds=1.0, window=CountWindow(4), minimum_calls=2)
    breaker = make(clock, trip_when=rule)
    rates = []
    for seconds in (1.0, 1.25, 1.25):
        await way(breaker, taking(clock, seconds))
        rates.append(breaker.health()["slow_call_rate"])
    assert rates == [None, 1 / 2, 2 / 3]
    assert breaker.state is CircuitState.OPEN


@each_way
async def test_a_slow_failure_is_a_slow_call(clock: ManualClock, way: Way) -> None:
    rule = SlowCallRate(1.0, slow_call_seconds=1.0, window=CountWindow(4), minimum_calls=1)
    breaker = make(clock, trip_when=rule)
    for seconds in (1.0, 1.25):
        assert breaker.state is CircuitState.CLOSED
        with suppress(DependencyError):
            await way(breaker, taking(clock, seconds, DependencyError()))
    assert totals(breaker) == {"failure": 2}
    assert breaker.state is CircuitState.CLOSED  # one of two
    assert breaker.health()["slow_call_rate"] == 0.5


@each_way
async def test_a_cancelled_call_is_overdue_from_the_limit_on(clock: ManualClock, way: Way) -> None:
    watched = await Watched.make(clock, "everything", failure_threshold=9)
    for seconds in (4.75, 5.0):
        with anyio.CancelScope() as scope:
            await way(watched.breaker, hanging(clock, seconds, scope))
    assert [(type(event), event.duration_seconds) for event in watched.heard] == [(CallIgnored, 4.75), (CallFailed, 5)]
    assert totals(watched.breaker) == {"cancelled": 1, "failure": 1, "overdue": 1}
    await watched.leave()


@way_with_result
async def test_a_result_that_counts_as_a_failure_has_a_duration_and_no_error(clock: ManualClock, way: Way) -> None:
    watched = await Watched.make(clock, "everything")
    assert await way(watched.breaker, taking(clock, 0.75, result="bad")) == "bad"
    failed = watched.heard[0]
    assert isinstance(failed, CallFailed)
    assert (failed.duration_seconds, failed.error_type, failed.error_message) == (0.75, None, None)
    assert watched.counts(FAILURE) == [0, 1, 0, 0]
    assert totals(watched.breaker) == {"failure": 1}
    assert watched.breaker.state is CircuitState.OPEN
    await watched.leave()


class NeitherTrueNorFalse:
    """An answer without a truth value."""

    def __bool__(self) -> bool:
        message = "ask somebody else"
        raise ValueError(message)


@way_with_result
@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [(0, "success"), ("", "success"), (None, "success"), (1, "failure"), ("no", "failure")],
    ids=repr,
)
async def test_a_predicate_may_return_anything_that_is_true_or_false(
    clock: ManualClock, way: Way, verdict: object, outcome: str
) -> None:
    watched = await Watched.make(clock, "a listener", failed_result=lambda _: verdict)
    await way(watched.breaker, taking(clock, 0.25))
    assert totals(watched.breaker) == {outcome: 1}


@way_with_result
@pytest.mark.parametrize("how", ["failed_result", "a listener", "durations"])
async def test_a_predicate_that_raises_fails_the_call_and_not_its_caller(
    clock: ManualClock, way: Way, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    for broken in (lambda _: 1 / 0, lambda _: NeitherTrueNorFalse()):
        watched = await Watched.make(clock, how, failed_result=broken, failure_threshold=9)
        assert await way(watched.breaker, taking(clock, 0.25)) == "answer"
        assert totals(watched.breaker) == {"failure": 1}
        assert [event.duration_seconds for event in watched.heard] == [0.25] * len(watched.heard)
    assert caplog.text.count("failed_result of circuit breaker 'payments' raised; the call counts as failed") == 2


@way_with_result
@pytest.mark.parametrize("how", ["failed_result", "a listener", "durations"])
async def test_an_interrupt_in_a_predicate_reaches_the_caller_and_the_call_is_ignored(
    clock: ManualClock, way: Way, how: str
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    watched = await Watched.make(clock, how, failed_result=interrupted)
    with pytest.raises(KeyboardInterrupt):
        await way(watched.breaker, taking(clock, 0.25))
    assert totals(watched.breaker) == {"ignored": 1}
    assert [type(event) for event in watched.heard] == [CallIgnored] * len(watched.heard)


@each_way
async def test_a_slow_probe_opens_the_breaker_again(clock: ManualClock, way: Way) -> None:
    slow = SlowCallRate(1.0, slow_call_seconds=1.0, minimum_calls=100)
    breaker = await make_ready(clock, trip_when=ConsecutiveFailures(1) | slow)
    heard = []
    breaker.subscribe(heard.append, CallSucceeded)
    await way(breaker, taking(clock, 1.25))
    assert breaker.state is CircuitState.OPEN
    assert [(event.duration_seconds, event.is_probe) for event in heard] == [(1.25, True)]


@pytest.mark.parametrize("listens", [False, True])
async def test_a_predicate_that_moves_the_breaker_makes_its_call_late(clock: ManualClock, *, listens: bool) -> None:
    def reset(_: object) -> bool:
        breaker.reset()
        return False

    breaker, received = make(clock, failed_result=reset), RecordingListener()
    if listens:
        breaker.subscribe(received)
    assert await breaker(answer)() == "answer"
    assert await breaker.call(answer) == "answer"
    snapshot = breaker.snapshot()
    assert (snapshot.success_total, snapshot.late_total) == (0, 2)
    assert len(received.of(LateOutcome)) == 2 * listens


async def test_an_interrupt_of_a_predicate_leaves_no_cycle(clock: ManualClock) -> None:
    def interrupt(_: object) -> bool:
        raise KeyboardInterrupt

    breaker = make(clock, failed_result=interrupt)
    protected = breaker(answer)
    gc.collect()
    gc.disable()
    try:
        with suppress(KeyboardInterrupt):
            await protected()
        assert gc.collect() == 0
    finally:
        gc.enable()
