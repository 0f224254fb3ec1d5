"""The ten rules of the state machine that others get wrong, on asyncio and on trio.

Each test names its rule by number; the details are beside the parts that they belong to, in `tests/breaker`.
"""

import asyncio
import gc
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import anyio
import pytest
import time_machine
import trio

from recloser import (
    CallFailed,
    CallRejected,
    CallSucceeded,
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
    ConsecutiveFailures,
    CountWindow,
    Event,
    FailureRate,
    Permit,
    ProbeAdmitted,
    RejectedError,
    SlowCallRate,
    StateChanged,
    TimeWindow,
)
from recloser.testing import ManualClock
from tests.breaker.kit import (
    BACKENDS,
    RESET_SECONDS,
    Dependency,
    DependencyError,
    admits_a_probe,
    answer,
    drop,
    drop_in_threads,
    fail,
    fail_once,
    make,
    make_open,
    make_probing,
    make_ready,
    totals,
)

pytestmark = pytest.mark.anyio

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)


async def by_call(breaker: CircuitBreaker, fn: Callable[..., Awaitable[object]], *args: object) -> object:
    return await breaker.call(fn, *args)


async def by_decorator(breaker: CircuitBreaker, fn: Callable[..., Awaitable[object]], *args: object) -> object:
    return await breaker(fn)(*args)


async def by_guard(breaker: CircuitBreaker, fn: Callable[..., Awaitable[object]], *args: object) -> object:
    async with breaker.guard():
        return await fn(*args)


async def by_permit(breaker: CircuitBreaker, fn: Callable[..., Awaitable[object]], *args: object) -> object:
    with await breaker.acquire():
        return await fn(*args)


async def by_generator(breaker: CircuitBreaker, fn: Callable[..., Awaitable[object]], *args: object) -> object:
    @breaker
    async def stream() -> AsyncIterator[object]:
        yield await fn(*args)

    results = [result async for result in stream()]
    return results[0]


STYLES = [by_call, by_decorator, by_guard, by_permit, by_generator]
each_style = pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
Style = Callable[..., Awaitable[object]]


# 1. Generations


@each_style
@pytest.mark.parametrize("error", [None, DependencyError()], ids=["success", "failure"])
async def test_rule_1_a_call_of_an_earlier_generation_is_late_and_changes_nothing(
    clock: ManualClock, style: Style, error: Exception | None
) -> None:
    breaker, dependency, ended = make(clock), Dependency(), []

    async def slow_call() -> None:
        try:
            ended.append(await style(breaker, dependency.call, error))
        except DependencyError as caught:
            ended.append(caught)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow_call)
        await dependency.called.wait()
        await fail_once(breaker)
        clock.advance(30)
        before = breaker.snapshot()
        dependency.may_end.set()
    assert ended == ["answer"] if error is None else ended == [error]
    after = breaker.snapshot()
    assert (after.state, after.retry_after, after.generation) == (OPEN, 30, before.generation)
    assert totals(breaker) == {"failure": 1, "late": 1}


@pytest.mark.parametrize("end", ["succeed", "fail"])
async def test_rule_1_a_late_outcome_neither_closes_nor_opens_a_later_half_open_episode(
    clock: ManualClock, end: str
) -> None:
    breaker, late = await make_probing(clock)
    clock.advance(RESET_SECONDS)
    assert await breaker.try_acquire() is None
    clock.advance(RESET_SECONDS)
    current = await breaker.acquire()
    getattr(late, end)()
    assert (breaker.state, breaker.health()["late_total"]) == (HALF_OPEN, 1)
    current.succeed()
    assert breaker.state is CLOSED


@pytest.mark.parametrize("end", ["succeed", "fail", "ignore"])
async def test_rule_1_a_late_outcome_mints_no_permit_in_a_later_half_open_episode(clock: ManualClock, end: str) -> None:
    breaker, late = await make_probing(clock)
    clock.advance(RESET_SECONDS)
    assert await breaker.try_acquire() is None
    clock.advance(RESET_SECONDS)
    current = await breaker.acquire()
    getattr(late, end)()
    assert await breaker.try_acquire() is None
    current.ignore()
    assert admits_a_probe(breaker)


async def test_rule_1_a_late_failure_does_not_reopen_a_breaker_that_has_closed(clock: ManualClock) -> None:
    breaker = make(clock)
    late = await breaker.acquire()
    await fail_once(breaker)
    clock.advance(RESET_SECONDS)
    await breaker.call(answer)
    late.fail()
    assert (breaker.state, breaker.failure_count) == (CLOSED, 0)


async def test_rule_1_a_late_success_does_not_end_a_run_of_failures(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)
    late = await breaker.acquire()
    await breaker.reset()
    await fail_once(breaker)
    late.succeed()
    assert breaker.failure_count == 1


async def test_rule_1_a_late_failure_does_not_lengthen_the_reset_timeout_or_add_an_attempt(clock: ManualClock) -> None:
    breaker = make(clock)
    late = await breaker.acquire()
    await fail_once(breaker)
    clock.advance(50)
    late.fail()
    assert (breaker.retry_after, breaker.snapshot().attempt) == (10, 1)


@each_style
async def test_rule_1_a_call_admitted_before_a_reset_is_late_although_the_state_is_the_same(
    clock: ManualClock, style: Style
) -> None:
    breaker = make(clock)

    async def reset_meanwhile() -> None:
        await breaker.reset()
        raise DependencyError

    with pytest.raises(DependencyError):
        await style(breaker, reset_meanwhile)
    assert (breaker.state, totals(breaker)) == (CLOSED, {"late": 1})


# 2. Settle once


@pytest.mark.parametrize("second", ["succeed", "fail", "ignore", "with"])
@pytest.mark.parametrize("first", ["succeed", "fail", "ignore"])
async def test_rule_2_a_permit_settled_twice_raises_nothing_and_changes_nothing_the_second_time(
    clock: ManualClock, first: str, second: str
) -> None:
    breaker = make(clock)
    permit = await breaker.acquire()
    getattr(permit, first)()
    before = breaker.snapshot()
    if second == "with":
        with permit:
            pass
    else:
        getattr(permit, second)()
    assert breaker.snapshot() == before


@pytest.mark.parametrize("second", ["succeed", "fail", "ignore"])
async def test_rule_2_a_probe_permit_settled_twice_frees_one_permit(clock: ManualClock, second: str) -> None:
    breaker, first = await make_probing(clock, max_probes=2, success_threshold=9)
    other = await breaker.acquire()
    first.succeed()
    getattr(first, second)()
    replacement = await breaker.acquire()
    assert await breaker.try_acquire() is None
    assert breaker.health()["probes_in_flight"] == 2
    other.ignore()
    replacement.ignore()


async def test_rule_2_a_permit_dropped_unsettled_is_released_and_counted_as_leaked_with_a_warning(
    clock: ManualClock,
) -> None:
    breaker, permit = await make_probing(clock)
    with pytest.warns(ResourceWarning, match="'payments' was dropped"):
        del permit
    assert admits_a_probe(breaker)
    assert totals(breaker) == {"failure": 1, "leaked": 1, "probe": 2, "ignored": 1}


async def test_rule_2_a_permit_dropped_in_another_thread_is_released(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    box = [permit]
    del permit
    with pytest.warns(ResourceWarning):
        drop_in_threads(box)
    assert admits_a_probe(breaker)


async def test_rule_2_a_permit_dropped_in_the_middle_of_a_step_is_released(clock: ManualClock) -> None:
    breaker = await make_ready(clock, max_probes=2, success_threshold=9)
    box = [await breaker.acquire()]

    def drop(event: Event) -> None:
        if isinstance(event, CallSucceeded):
            box.clear()

    breaker.subscribe(drop)
    with pytest.warns(ResourceWarning):
        await breaker.call(answer)
    assert breaker.health()["probes_in_flight"] == 0
    permits = [await breaker.acquire() for _ in range(2)]
    assert breaker.health()["leaked_total"] == 1
    for permit in permits:
        permit.ignore()


async def test_rule_2_a_permit_in_a_reference_cycle_is_released_when_the_cycle_is_collected(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    cycle: list[object] = [permit]
    cycle.append(cycle)
    box = [cycle]
    del permit, cycle
    with pytest.warns(ResourceWarning):
        drop(box)
    assert admits_a_probe(breaker)


async def test_rule_2_a_probe_whose_coroutine_is_dropped_gives_its_permit_back(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    for style in (by_call, by_decorator, by_guard):
        coroutine = style(breaker, Dependency().call)
        coroutine.send(None)
        assert breaker.health()["probes_in_flight"] == 1
        coroutine.close()
        assert breaker.health()["probes_in_flight"] == 0
    assert breaker.health()["ignored_total"] == 3


# 3. A probe always gives its permit back

ENDINGS = [None, DependencyError(), LookupError(), KeyboardInterrupt(), SystemExit(), GeneratorExit()]


@each_style
@pytest.mark.parametrize("error", ENDINGS, ids=lambda error: type(error).__name__)
async def test_rule_3_a_probe_gives_its_permit_back_however_it_ends(
    clock: ManualClock, style: Style, error: BaseException | None
) -> None:
    breaker = await make_ready(clock, ignored_exception=LookupError)
    if error is None:
        await style(breaker, answer)
    else:
        with pytest.raises(type(error)) as caught:
            await style(breaker, fail, error)
        assert caught.value is error
    assert breaker.health()["probes_in_flight"] == 0
    clock.advance(RESET_SECONDS)
    assert await style(breaker, answer) == "answer"
    assert breaker.state is CLOSED


@each_style
async def test_rule_3_a_probe_that_is_cancelled_gives_its_permit_back(clock: ManualClock, style: Style) -> None:
    breaker, dependency = await make_ready(clock), Dependency()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(style, breaker, dependency.call)
        await dependency.called.wait()
        assert await breaker.try_acquire() is None
        tasks.cancel_scope.cancel()
    assert (breaker.state, breaker.health()["probes_in_flight"]) == (HALF_OPEN, 0)
    assert await style(breaker, answer) == "answer"


@each_style
async def test_rule_3_a_probe_in_a_scope_that_was_cancelled_before_gives_its_permit_back(
    clock: ManualClock, style: Style
) -> None:
    breaker = await make_ready(clock)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await style(breaker, anyio.sleep_forever)
    assert breaker.health()["probes_in_flight"] == 0


@each_style
@pytest.mark.parametrize("error", [AttributeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("argument", ["expected_exception", "ignored_exception"])
async def test_rule_3_a_predicate_that_raises_about_a_probe_gives_its_permit_back(
    clock: ManualClock, style: Style, argument: str, error: type[BaseException]
) -> None:
    def predicate(exc: BaseException) -> bool:
        raise error(exc)

    breaker = await make_ready(clock)
    await breaker.reconfigure(**{argument: predicate})
    with pytest.raises(DependencyError if error is AttributeError else error):
        await style(breaker, fail)
    assert breaker.health()["probes_in_flight"] == 0
    assert breaker.state is (OPEN if error is AttributeError else HALF_OPEN)


@pytest.mark.parametrize("style", [by_call, by_decorator], ids=lambda style: style.__name__)
@pytest.mark.parametrize("error", [AttributeError, KeyboardInterrupt, SystemExit])
async def test_rule_3_a_failed_result_that_raises_about_a_probe_gives_its_permit_back(
    clock: ManualClock, style: Style, error: type[BaseException]
) -> None:
    def predicate(result: object) -> bool:
        raise error(result)

    breaker = await make_ready(clock)
    await breaker.reconfigure(failed_result=predicate)
    if error is AttributeError:
        assert await style(breaker, answer) == "answer"
    else:
        with pytest.raises(error):
            await style(breaker, answer)
    assert breaker.health()["probes_in_flight"] == 0


@each_style
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", [StateChanged, ProbeAdmitted, CallSucceeded])
async def test_rule_3_a_listener_that_raises_about_a_probe_gives_its_permit_back(
    clock: ManualClock, style: Style, kind: type[Event], error: type[BaseException]
) -> None:
    def listener(event: Event) -> None:
        if isinstance(event, kind):
            raise error

    breaker = await make_ready(clock)
    unsubscribe = breaker.subscribe(listener)
    if error is ValueError:
        assert await style(breaker, answer) == "answer"
    else:
        with pytest.raises(error):
            await style(breaker, answer)
    unsubscribe()
    assert breaker.health()["probes_in_flight"] == 0
    assert await style(breaker, answer) == "answer"


@each_style
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
async def test_rule_3_a_clock_that_raises_while_a_probe_runs_gives_its_permit_back(
    clock: ManualClock, style: Style, error: type[BaseException]
) -> None:
    raising: list[type[BaseException]] = []

    def reading() -> float:
        if raising:
            raise raising[0]
        return clock()

    breaker = await make_ready(clock)
    breaker.engine.clock.raw = reading

    async def answer_and_break_the_clock() -> str:
        raising.append(error)
        return "answer"

    if error is ValueError:
        assert await style(breaker, answer_and_break_the_clock) == "answer"
    else:
        with pytest.raises(error):
            await style(breaker, answer_and_break_the_clock)
    raising.clear()
    assert breaker.health()["probes_in_flight"] == 0
    assert await style(breaker, answer) == "answer"


class StubbornGroupError(ExceptionGroup):
    """A group that can't be split: a common mistake in overriding `derive()`."""

    def derive(self, excs: object) -> ExceptionGroup:
        raise TypeError(excs)


class UnspeakableError(Exception):
    """An error that raises when it is asked for its text."""

    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__


@each_style
@pytest.mark.parametrize(
    "error",
    [StubbornGroupError("down", [DependencyError()]), UnspeakableError(), BaseExceptionGroup("", [SystemExit()])],
    ids=lambda error: type(error).__name__,
)
async def test_rule_3_an_odd_exception_of_a_probe_comes_through_and_the_permit_is_given_back(
    clock: ManualClock, style: Style, error: BaseException
) -> None:
    breaker = await make_ready(clock)
    with pytest.raises(type(error)) as caught:
        await style(breaker, fail, error)
    assert caught.value is error
    assert breaker.health()["probes_in_flight"] == 0


# 4. Cancellation is ignored, deadlines are not


@each_style
async def test_rule_4_a_cancelled_call_is_neither_a_success_nor_a_failure(clock: ManualClock, style: Style) -> None:
    breaker = make(clock, failure_threshold=2)
    await fail_once(breaker)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await style(breaker, anyio.sleep_forever)
    assert (breaker.state, breaker.failure_count) == (CLOSED, 1)
    assert totals(breaker) == {"failure": 1, "cancelled": 1}


@each_style
async def test_rule_4_a_cancelled_probe_neither_closes_nor_opens(clock: ManualClock, style: Style) -> None:
    breaker = await make_ready(clock)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await style(breaker, anyio.sleep_forever)
    assert breaker.state is HALF_OPEN


@each_style
async def test_rule_4_the_deadline_of_move_on_after_around_a_call_is_a_failure(
    clock: ManualClock, style: Style
) -> None:
    breaker = make(clock)
    with anyio.move_on_after(0):
        await style(breaker, anyio.sleep_forever)
    assert (breaker.state, totals(breaker)) == (OPEN, {"failure": 1})


@each_style
async def test_rule_4_the_deadline_of_fail_after_around_a_call_is_a_failure(clock: ManualClock, style: Style) -> None:
    breaker = make(clock)
    with pytest.raises(TimeoutError), anyio.fail_after(0):
        await style(breaker, anyio.sleep_forever)
    assert (breaker.state, totals(breaker)) == (OPEN, {"failure": 1})


@each_style
async def test_rule_4_a_deadline_fails_a_probe(clock: ManualClock, style: Style) -> None:
    breaker = await make_ready(clock)
    with anyio.move_on_after(0):
        await style(breaker, anyio.sleep_forever)
    assert (breaker.state, breaker.health()["probes_in_flight"]) == (OPEN, 0)


async def test_rule_4_a_deadline_counts_whatever_expected_exception_names(clock: ManualClock) -> None:
    breaker = make(clock, expected_exception=OSError)
    with anyio.move_on_after(0):
        await breaker.call(anyio.sleep_forever)
    assert breaker.state is OPEN


async def test_rule_4_a_scope_cancelled_by_hand_is_ignored_although_it_has_a_deadline(clock: ManualClock) -> None:
    breaker = make(clock)
    with anyio.move_on_after(1_000) as scope:
        scope.cancel()
        await breaker.call(anyio.sleep_forever)
    assert totals(breaker) == {"cancelled": 1}


async def test_rule_4_a_deadline_further_out_is_seen_through_the_scopes_inside(clock: ManualClock) -> None:
    breaker = make(clock)
    with anyio.move_on_after(0), anyio.CancelScope(), anyio.move_on_after(1_000):
        await breaker.call(anyio.sleep_forever)
    assert breaker.state is OPEN


async def test_rule_4_a_deadline_inside_the_call_that_the_call_deals_with_is_its_own_business(
    clock: ManualClock,
) -> None:
    async def patient() -> str:
        with anyio.move_on_after(0):
            await anyio.sleep_forever()
        return "default"

    breaker = make(clock)
    assert await breaker.call(patient) == "default"
    assert totals(breaker) == {"success": 1}


def on_virtual_time(backend: str) -> dict[str, object]:
    """Returns the options of a backend under which time passes only where the test waits, if it has any."""
    return {"clock": trio.testing.MockClock(autojump_threshold=0)} if backend == "trio" else {}


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_4_one_deadline_that_ends_five_calls_is_one_failure(clock: ManualClock, backend: str) -> None:
    async def main() -> None:
        breaker = make(clock, failure_threshold=5)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for style in STYLES:
                    tasks.start_soon(style, breaker, anyio.sleep_forever)
                await anyio.wait_all_tasks_blocked()
                scope.deadline = anyio.current_time()
                await anyio.sleep_forever()
        assert totals(breaker) == {"failure": 1, "cancelled": 4}

    anyio.run(main, backend=backend, backend_options=on_virtual_time(backend))


async def test_rule_4_a_sibling_that_fails_cancels_ignoredly(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)

    async def fail_beside_a_call() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(breaker.call, anyio.sleep_forever)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(breaker.call, fail)

    with pytest.raises(ExceptionGroup):
        await fail_beside_a_call()
    assert totals(breaker) == {"failure": 1, "cancelled": 1}


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_4_one_deadline_after_another_counts_each_time_although_the_scopes_have_one_address(
    clock: ManualClock, backend: str
) -> None:
    async def main() -> None:
        breaker = make(clock, failure_threshold=100)
        for _ in range(20):
            with anyio.move_on_after(0.002 if backend == "trio" else 0):
                await breaker.call(anyio.sleep_forever)
        assert totals(breaker) == {"failure": 20}

    anyio.run(main, backend=backend, backend_options=on_virtual_time(backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_4_two_deadlines_that_end_calls_in_turn_count_twice(clock: ManualClock, backend: str) -> None:
    async def main() -> None:
        breaker = make(clock, failure_threshold=100)
        scopes = [anyio.CancelScope() for _ in range(2)]

        async def worker(scope: anyio.CancelScope) -> None:
            with scope:
                await breaker.call(anyio.sleep_forever)

        async with anyio.create_task_group() as tasks:
            for scope in scopes:
                tasks.start_soon(worker, scope)
            await anyio.wait_all_tasks_blocked()
            for scope in scopes:
                scope.deadline = anyio.current_time()
                await anyio.wait_all_tasks_blocked()
                if backend == "trio":
                    await anyio.sleep(1)
        assert totals(breaker) == {"failure": 2}

    anyio.run(main, backend=backend, backend_options=on_virtual_time(backend))


async def test_rule_4_a_deadline_of_a_call_that_is_late_is_still_a_failure_for_the_calls_that_count(
    clock: ManualClock,
) -> None:
    breaker = make(clock, failure_threshold=2)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(breaker.call, anyio.sleep_forever)
            await anyio.wait_all_tasks_blocked()
            await breaker.reset()
            tasks.start_soon(breaker.call, anyio.sleep_forever)
            await anyio.wait_all_tasks_blocked()
            scope.deadline = anyio.current_time()
    assert totals(breaker) == {"failure": 1, "late": 1}


async def test_rule_4_a_deadline_around_a_call_with_a_task_group_of_its_own_is_a_failure(clock: ManualClock) -> None:
    async def fan_out() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            tasks.start_soon(anyio.sleep_forever)
            await anyio.sleep_forever()

    breaker = make(clock)
    with anyio.move_on_after(0):
        await breaker.call(fan_out)
    assert (breaker.state, totals(breaker)) == (OPEN, {"failure": 1})


def test_rule_4_a_deadline_around_a_call_with_a_nursery_of_trio_is_a_failure(clock: ManualClock) -> None:
    async def fan_out() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()

    async def main() -> None:
        breaker = make(clock)
        with trio.move_on_after(0):
            await breaker.call(fan_out)
        assert (breaker.state, totals(breaker)) == (OPEN, {"failure": 1})

    trio.run(main)


async def test_rule_4_a_group_of_cancellations_is_ignored(clock: ManualClock) -> None:
    async def gather() -> None:
        cancelled = anyio.get_cancelled_exc_class()
        leaf = trio.Cancelled._create(source="explicit") if cancelled is trio.Cancelled else cancelled()
        raise BaseExceptionGroup("all cancelled", [leaf, BaseExceptionGroup("", [leaf])])

    breaker = make(clock)
    with pytest.raises(BaseExceptionGroup):
        await breaker.call(gather)
    assert totals(breaker) == {"cancelled": 1}


async def bare_cancel(breaker: CircuitBreaker, seconds: float, clock: ManualClock) -> None:
    task = asyncio.ensure_future(breaker.call(anyio.sleep_forever))
    await asyncio.sleep(0)
    clock.advance(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def asyncio_timeout(breaker: CircuitBreaker, seconds: float, clock: ManualClock) -> None:
    clock.advance(seconds)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await breaker.call(anyio.sleep_forever)


async def asyncio_wait_for(breaker: CircuitBreaker, seconds: float, clock: ManualClock) -> None:
    running = asyncio.Event()

    async def hang() -> None:
        running.set()
        await anyio.sleep_forever()

    clock.advance(seconds)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(breaker.call(hang), 0.001)
    assert running.is_set()


@pytest.mark.parametrize("cancel", [bare_cancel, asyncio_timeout, asyncio_wait_for], ids=lambda fn: fn.__name__)
def test_rule_4_what_asyncio_sends_without_a_cause_is_ignored(
    clock: ManualClock, cancel: Callable[..., Awaitable[None]]
) -> None:
    breaker = make(clock)
    asyncio.run(cancel(breaker, 1_000, clock))
    assert (breaker.state, totals(breaker)) == (CLOSED, {"cancelled": 1})


@pytest.mark.parametrize(("seconds", "state"), [(29.9, CLOSED), (30, OPEN), (31, OPEN)])
def test_rule_4_a_bare_cancellation_counts_as_a_failure_when_the_call_had_run_as_long_as_the_setting_says(
    clock: ManualClock, seconds: float, state: CircuitState
) -> None:
    breaker = make(clock, count_cancelled_after_seconds=30)
    asyncio.run(bare_cancel(breaker, seconds, clock))
    assert breaker.state is state


@each_style
@pytest.mark.parametrize(("seconds", "total"), [(29, "cancelled"), (30, "failure")])
async def test_rule_4_the_setting_holds_for_cancelled_scopes_too(
    clock: ManualClock, style: Style, seconds: float, total: str
) -> None:
    async def hang(scope: anyio.CancelScope) -> None:
        clock.advance(seconds)
        scope.cancel()
        await anyio.sleep_forever()

    breaker = make(clock, count_cancelled_after_seconds=30)
    with anyio.CancelScope() as scope:
        await style(breaker, hang, scope)
    assert totals(breaker) == {total: 1}


async def test_rule_4_a_cancelled_probe_that_had_run_long_enough_fails(clock: ManualClock) -> None:
    async def hang(scope: anyio.CancelScope) -> None:
        clock.advance(30)
        scope.cancel()
        await anyio.sleep_forever()

    breaker = await make_ready(clock, count_cancelled_after_seconds=30)
    with anyio.CancelScope() as scope:
        await breaker.call(hang, scope)
    assert breaker.state is OPEN


async def test_rule_4_many_bare_cancellations_and_no_outcome_are_hinted_at_once(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = make(clock)
    for _ in range(30):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await breaker.call(anyio.sleep_forever)
    assert caplog.text.count("set count_cancelled_after_seconds") == 1


async def test_rule_4_a_cancellation_that_the_call_turns_into_an_error_is_that_error(clock: ManualClock) -> None:
    async def convert() -> None:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            raise DependencyError from None

    breaker = make(clock)
    with anyio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(DependencyError):
            await breaker.call(convert)
    assert totals(breaker) == {"failure": 1}


# 5. Three outcomes


def is_server_error(exc: BaseException) -> bool:
    return getattr(exc, "status", None) == 500


class StatusError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@each_style
@pytest.mark.parametrize(
    ("expected", "error", "total"),
    [
        (Exception, DependencyError(), "failure"),
        (OSError, ConnectionError(), "failure"),
        (OSError, ValueError(), "success"),
        ((OSError, ValueError), ValueError(), "failure"),
        ((OSError, ValueError), KeyError(), "success"),
        ((), ValueError(), "success"),
        (is_server_error, StatusError(500), "failure"),
        (is_server_error, StatusError(404), "success"),
        (Exception, KeyboardInterrupt(), "ignored"),
        (OSError, SystemExit(), "ignored"),
        (is_server_error, GeneratorExit(), "ignored"),
        (BaseException, SystemExit(), "failure"),
        ((OSError, KeyboardInterrupt), KeyboardInterrupt(), "failure"),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
async def test_rule_5_expected_exception_decides_what_is_a_failure(
    clock: ManualClock, style: Style, expected: object, error: BaseException, total: str
) -> None:
    breaker = make(clock, expected_exception=expected)
    with pytest.raises(type(error)) as caught:
        await style(breaker, fail, error)
    assert caught.value is error
    assert totals(breaker) == {total: 1}


@each_style
@pytest.mark.parametrize(
    "ignored",
    [LookupError, (OSError, LookupError), lambda exc: isinstance(exc, KeyError)],
    ids=["type", "tuple", "predicate"],
)
async def test_rule_5_ignored_exception_beats_expected_exception(
    clock: ManualClock, style: Style, ignored: object
) -> None:
    breaker = make(clock, expected_exception=Exception, ignored_exception=ignored)
    with pytest.raises(KeyError):
        await style(breaker, fail, KeyError())
    assert totals(breaker) == {"ignored": 1}


async def test_rule_5_an_ignored_call_does_not_end_a_run_of_failures(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2, ignored_exception=LookupError)
    for error in (DependencyError(), LookupError(), DependencyError()):
        with pytest.raises(type(error)):
            await breaker.call(fail, error)
    assert breaker.state is OPEN


async def test_rule_5_an_error_that_is_not_expected_is_a_success_and_ends_a_run_of_failures(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2, expected_exception=DependencyError)
    for error in (DependencyError(), ValueError(), DependencyError()):
        with pytest.raises(type(error)):
            await breaker.call(fail, error)
    assert (breaker.state, breaker.failure_count) == (CLOSED, 1)


async def test_rule_5_an_error_that_is_not_expected_closes_a_half_open_breaker(clock: ManualClock) -> None:
    breaker = await make_ready(clock, expected_exception=DependencyError)
    with pytest.raises(ValueError, match="no such customer"):
        await breaker.call(fail, ValueError("no such customer"))
    assert breaker.state is CLOSED


@each_style
@pytest.mark.parametrize("ignored", [(), LookupError, lambda _: False], ids=["none", "type", "predicate"])
@pytest.mark.parametrize("expected", [Exception, BaseException, RejectedError, lambda _: True])
async def test_rule_5_the_rejection_of_an_inner_breaker_never_trips_the_outer_one(
    clock: ManualClock, style: Style, expected: object, ignored: object
) -> None:
    inner = await make_open(clock)
    outer = CircuitBreaker(
        "outer", failure_threshold=1, expected_exception=expected, ignored_exception=ignored, clock=clock
    )
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await style(outer, inner.call, answer)
    assert caught.value.name == "payments"
    assert (outer.state, totals(outer)) == (CLOSED, {"ignored": 1})


async def test_rule_5_the_rejection_of_an_inner_breaker_does_not_close_the_outer_one_either(clock: ManualClock) -> None:
    inner, outer = await make_open(clock), await make_ready(clock)
    await inner.force_open("maintenance")
    with pytest.raises(CircuitBreakerOpenError):
        await outer.call(inner.call, answer)
    assert outer.state is HALF_OPEN


@pytest.mark.parametrize("style", [by_call, by_decorator], ids=lambda style: style.__name__)
async def test_rule_5_a_failed_result_is_a_failure_and_is_returned_all_the_same(
    clock: ManualClock, style: Style
) -> None:
    breaker = make(clock, failed_result=lambda result: result == "answer")
    assert await style(breaker, answer) == "answer"
    assert breaker.state is OPEN


@pytest.mark.parametrize(("verdict", "state"), [(0, CLOSED), ("", CLOSED), (None, CLOSED), (1, OPEN), ("yes", OPEN)])
async def test_rule_5_what_a_failed_result_returns_counts_by_its_truth(
    clock: ManualClock, verdict: object, state: CircuitState
) -> None:
    breaker = make(clock, failed_result=lambda _: verdict)
    await breaker.call(answer)
    assert breaker.state is state


@each_style
@pytest.mark.parametrize(
    ("leaves", "total"),
    [
        ([DependencyError(), ValueError()], "failure"),
        ([LookupError(), DependencyError()], "failure"),
        ([LookupError(), KeyError()], "ignored"),
        ([ValueError(), LookupError()], "success"),
        ([ValueError(), ExceptionGroup("", [LookupError(), DependencyError()])], "failure"),
        ([LookupError(), CircuitBreakerOpenError("inner")], "ignored"),
        ([KeyboardInterrupt(), ValueError()], "success"),
        ([KeyboardInterrupt(), SystemExit()], "ignored"),
    ],
    ids=repr,
)
async def test_rule_5_a_group_is_judged_by_its_leaves(
    clock: ManualClock, style: Style, leaves: list[BaseException], total: str
) -> None:
    breaker = make(clock, expected_exception=DependencyError, ignored_exception=LookupError)
    group = BaseExceptionGroup("several", leaves)
    with pytest.raises(BaseExceptionGroup) as caught:
        await style(breaker, fail, group)
    assert caught.value is group
    assert totals(breaker) == {total: 1}


async def test_rule_5_a_predicate_is_asked_about_each_leaf_of_a_group_and_not_about_the_group(
    clock: ManualClock,
) -> None:
    asked: list[BaseException] = []
    breaker = make(clock, expected_exception=asked.append)
    leaves = [ValueError(), KeyError()]
    with pytest.raises(ExceptionGroup):
        await breaker.call(fail, ExceptionGroup("several", leaves))
    assert sorted(map(repr, asked)) == sorted(map(repr, leaves))


async def test_rule_5_cancelled_leaves_of_a_group_do_not_count(clock: ManualClock) -> None:
    async def fan_out() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            tasks.start_soon(fail, LookupError())

    breaker = make(clock, ignored_exception=LookupError)
    with pytest.raises(ExceptionGroup):
        await breaker.call(fan_out)
    assert totals(breaker) == {"ignored": 1}


# 6. The caller's own exception comes through untouched


def state_of(error: BaseException) -> tuple[object, ...]:
    return error.args, error.__cause__, error.__context__, error.__suppress_context__, getattr(error, "__notes__", None)


def with_a_past(kind: type[BaseException]) -> BaseException:
    """Returns an exception that has a cause, a context and notes."""
    error = kind("down")
    error.__cause__ = ValueError("cause")
    error.__context__ = KeyError("context")
    error.add_note("while charging")
    return error


@each_style
@pytest.mark.parametrize("threshold", [1, 2], ids=["tripping", "counting"])
@pytest.mark.parametrize("observed", [True, False], ids=["observed", "unobserved"])
@pytest.mark.parametrize("make_error", [DependencyError, with_a_past], ids=["plain", "with a past"])
async def test_rule_6_the_callers_exception_is_the_same_object_and_untouched(
    clock: ManualClock, style: Style, threshold: int, make_error: Callable[..., BaseException], *, observed: bool
) -> None:
    breaker = make(clock, failure_threshold=threshold)
    if observed:
        breaker.subscribe(lambda event: event.unknown)
    error = make_error(DependencyError) if make_error is with_a_past else make_error("down")
    before = state_of(error)
    with pytest.raises(DependencyError) as caught:
        await style(breaker, fail, error)
    assert caught.value is error
    assert state_of(error) == before
    assert breaker.state is (OPEN if threshold == 1 else CLOSED)


@each_style
@pytest.mark.parametrize("argument", ["expected_exception", "ignored_exception"])
async def test_rule_6_a_predicate_that_raises_is_a_failure_and_the_callers_own_exception_comes_through(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, style: Style, argument: str
) -> None:
    breaker = make(clock, **{argument: lambda exc: exc.status == 500})
    error = with_a_past(DependencyError)
    before = state_of(error)
    with pytest.raises(DependencyError) as caught:
        await style(breaker, fail, error)
    assert caught.value is error
    assert state_of(error) == before
    assert breaker.state is OPEN
    assert "A predicate of circuit breaker 'payments' raised; the call counts as failed" in caplog.text


@pytest.mark.parametrize("style", [by_call, by_decorator], ids=lambda style: style.__name__)
async def test_rule_6_a_failed_result_that_raises_is_a_failure_and_the_callers_own_result_comes_through(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, style: Style
) -> None:
    breaker = make(clock, failed_result=lambda result: result.status == 500)
    assert await style(breaker, answer) == "answer"
    assert breaker.state is OPEN
    assert "failed_result of circuit breaker 'payments' raised; the call counts as failed" in caplog.text


class Truthless:
    """An answer that is neither true nor false, like an array of many."""

    def __bool__(self) -> bool:
        raise ValueError


async def test_rule_6_a_predicate_whose_answer_is_neither_true_nor_false_is_one_that_raises(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=3, expected_exception=lambda _: Truthless())
    await fail_once(breaker)
    await breaker.reconfigure(expected_exception=Exception, failed_result=lambda _: Truthless())
    assert await breaker.call(answer) == "answer"
    assert totals(breaker) == {"failure": 2}


async def test_rule_6_what_a_predicate_adds_to_the_exception_is_the_predicates_own_business(clock: ManualClock) -> None:
    breaker = make(clock, expected_exception=lambda exc: exc.add_note("judged"))
    with pytest.raises(DependencyError) as caught:
        await breaker.call(fail)
    assert caught.value.__notes__ == ["judged"]


@each_style
async def test_rule_6_the_traceback_still_leads_to_where_the_exception_was_raised(
    clock: ManualClock, style: Style
) -> None:
    with pytest.raises(DependencyError) as caught:
        await style(make(clock), fail)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fail"


async def test_rule_6_an_exception_raised_while_another_is_handled_keeps_its_context(clock: ManualClock) -> None:
    first = LookupError("first")

    async def handle() -> None:
        try:
            raise first
        except LookupError:
            await fail()

    with pytest.raises(DependencyError) as caught:
        await make(clock).call(handle)
    assert caught.value.__context__ is first


# 7. Monotonic time only


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=36_500)], ids=str)
async def test_rule_7_a_jump_of_the_wall_clock_changes_no_decision(clock: ManualClock, jump: timedelta) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    with time_machine.travel(now, tick=False) as traveller:
        breaker = await make_open(clock)
        traveller.shift(jump)
        clock.advance(RESET_SECONDS - 1)
        assert (await breaker.try_acquire(), breaker.retry_after) == (None, 1)
        clock.advance(1)
        traveller.shift(-jump)
        assert await breaker.call(answer) == "answer"
        assert breaker.last_failure_time == now


async def test_rule_7_times_for_people_are_those_of_the_wall_clock(clock: ManualClock) -> None:
    events: list[Event] = []
    now = datetime(2030, 1, 1, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        breaker = make(clock)
        breaker.subscribe(events.append)
        await fail_once(breaker)
    assert {event.at for event in events} == {now}
    assert {event.monotonic for event in events} == {clock()}
    assert breaker.health()["opened_at"] == now.isoformat()


BAD_CLOCKS = {
    "raises": lambda: 1 / 0,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "minus infinity": lambda: float("-inf"),
    "None": lambda: None,
    "text": lambda: "now",
}
each_bad_clock = pytest.mark.parametrize("bad", BAD_CLOCKS)
EVERY_RULE = [
    ConsecutiveFailures(9),
    ConsecutiveFailures(9, within_seconds=9),
    FailureRate(1.0, window=TimeWindow(9), minimum_calls=9),
    SlowCallRate(1.0, slow_call_seconds=1, minimum_calls=9),
]


@each_style
@each_bad_clock
@pytest.mark.parametrize("rule", EVERY_RULE, ids=str)
async def test_rule_7_a_clock_that_fails_reaches_no_caller_of_a_closed_breaker(
    clock: ManualClock, style: Style, bad: str, rule: object
) -> None:
    breaker = make(clock, trip_when=rule)
    breaker.engine.clock.raw = BAD_CLOCKS[bad]
    error = DependencyError()
    assert await style(breaker, answer) == "answer"
    with pytest.raises(DependencyError) as caught:
        await style(breaker, fail, error)
    assert caught.value is error
    breaker.engine.clock.raw = clock
    assert totals(breaker) == {"success": 1, "failure": 1}


@each_style
@each_bad_clock
async def test_rule_7_a_clock_that_fails_reaches_nobody_when_a_breaker_opens_and_recovers(
    clock: ManualClock, style: Style, bad: str
) -> None:
    breaker = make(clock)
    breaker.engine.clock.raw = BAD_CLOCKS[bad]
    with pytest.raises(DependencyError):
        await style(breaker, fail)
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await style(breaker, answer)
    assert caught.value.retry_after == RESET_SECONDS
    assert await breaker.try_acquire() is None
    assert breaker.retry_after == RESET_SECONDS
    breaker.engine.clock.raw = clock
    clock.advance(RESET_SECONDS)
    assert await style(breaker, answer) == "answer"
    assert breaker.state is CLOSED


@each_bad_clock
async def test_rule_7_a_clock_that_fails_can_still_be_read_around(clock: ManualClock, bad: str) -> None:
    breaker = await make_open(clock)
    breaker.engine.clock.raw = BAD_CLOCKS[bad]
    assert breaker.health()["retry_after"] == RESET_SECONDS
    assert "open" in breaker.explain()
    assert breaker.failure_count == 1
    assert not await breaker.wait_until_ready(0)


async def test_rule_7_a_clock_that_fails_is_logged_once_until_it_works_again(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = await make_open(clock)
    caplog.clear()
    for _ in range(2):
        breaker.engine.clock.raw = BAD_CLOCKS["raises"]
        for _ in range(3):
            assert breaker.retry_after == RESET_SECONDS
        breaker.engine.clock.raw = clock
        assert breaker.retry_after == RESET_SECONDS
    assert caplog.text.count("The clock of circuit breaker 'payments' failed; its last reading is used") == 2


async def test_rule_7_a_clock_that_goes_back_makes_no_duration_negative(clock: ManualClock) -> None:
    events: list[Event] = []
    breaker = make(clock)
    breaker.subscribe(events.append)
    async with breaker.guard():
        clock.set(0)
    assert [event.duration_seconds for event in events] == [0]
    assert breaker.health()["time_in_state_seconds"] == 0


async def test_rule_7_a_clock_that_goes_back_while_open_only_lengthens_the_wait(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    clock.set(900)
    assert breaker.retry_after == RESET_SECONDS + 100
    assert await breaker.try_acquire() is None
    clock.set(1_000 + RESET_SECONDS)
    assert await breaker.call(answer) == "answer"


@pytest.mark.parametrize("rule", EVERY_RULE, ids=str)
async def test_rule_7_a_clock_that_goes_back_while_closed_breaks_no_rule(clock: ManualClock, rule: object) -> None:
    breaker = make(clock, trip_when=rule)
    for seconds in (1_000, 10, 2_000, 5, 5):
        clock.set(seconds)
        await breaker.call(answer)
        await fail_once(breaker)
    assert totals(breaker) == {"success": 5, "failure": 5}


async def test_rule_7_a_clock_that_goes_back_while_a_probe_runs_does_not_time_it_out(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    clock.set(0)
    assert await breaker.try_acquire() is None
    permit.succeed()
    assert breaker.state is CLOSED


# 8. Comparisons


@pytest.mark.parametrize(("seconds", "is_probe"), [(59.999, False), (60, True), (60.001, True)])
async def test_rule_8_a_wait_ends_at_its_instant(clock: ManualClock, seconds: float, *, is_probe: bool) -> None:
    breaker = await make_open(clock)
    clock.advance(seconds)
    assert admits_a_probe(breaker) is is_probe


@pytest.mark.parametrize(("seconds", "state"), [(59.999, HALF_OPEN), (60, OPEN)])
async def test_rule_8_the_time_of_a_probe_ends_at_its_instant(
    clock: ManualClock, seconds: float, state: CircuitState
) -> None:
    breaker, permit = await make_probing(clock)
    clock.advance(seconds)
    assert await breaker.try_acquire() is None
    assert breaker.state is state
    permit.ignore()


async def test_rule_8_the_reset_timeout_after_a_probe_timed_out_counts_from_the_instant_it_ran_out(
    clock: ManualClock,
) -> None:
    breaker, permit = await make_probing(clock)
    clock.advance(RESET_SECONDS + 20)
    assert await breaker.try_acquire() is None
    assert breaker.retry_after == RESET_SECONDS - 20
    permit.ignore()


async def test_rule_8_the_call_that_notices_a_time_out_may_itself_be_the_next_probe(clock: ManualClock) -> None:
    breaker, late = await make_probing(clock)
    clock.advance(RESET_SECONDS * 2)
    permit = await breaker.acquire()
    assert (permit.is_probe, breaker.snapshot().attempt) == (True, 2)
    permit.ignore()
    late.ignore()


async def test_rule_8_a_rate_trips_when_it_is_reached_exactly(clock: ManualClock) -> None:
    breaker = make(clock, trip_when=FailureRate(0.5, window=CountWindow(4), minimum_calls=4))
    for fn in (answer, answer, fail, fail):
        assert breaker.state is CLOSED
        await breaker.call(fn) if fn is answer else await fail_once(breaker)
    assert breaker.state is OPEN


async def test_rule_8_a_success_can_trip_a_rate_by_completing_the_minimum_of_calls(clock: ManualClock) -> None:
    breaker = make(clock, trip_when=FailureRate(0.5, window=CountWindow(4), minimum_calls=4))
    for fn in (fail, fail, answer, answer):
        await breaker.call(fn) if fn is answer else await fail_once(breaker)
    assert breaker.state is OPEN


async def test_rule_8_ignored_and_cancelled_calls_enter_no_window(clock: ManualClock) -> None:
    rule = FailureRate(0.5, window=CountWindow(4), minimum_calls=2)
    breaker = make(clock, trip_when=rule, ignored_exception=LookupError)
    await fail_once(breaker)
    for _ in range(5):
        with pytest.raises(LookupError):
            await breaker.call(fail, LookupError())
        with anyio.CancelScope() as scope:
            scope.cancel()
            await breaker.call(anyio.sleep_forever)
    assert breaker.health()["failure_rate"] is None
    await breaker.call(answer)
    assert breaker.state is OPEN


@each_style
@pytest.mark.parametrize(("seconds", "state"), [(2.0, CLOSED), (2.001, OPEN)])
async def test_rule_8_a_call_is_slow_when_it_is_longer_than_the_limit(
    clock: ManualClock, style: Style, seconds: float, state: CircuitState
) -> None:
    async def slow() -> None:
        clock.advance(seconds)

    rule = SlowCallRate(1.0, slow_call_seconds=2.0, window=CountWindow(1), minimum_calls=1)
    breaker = make(clock, trip_when=rule)
    await style(breaker, slow)
    assert breaker.state is state


async def test_rule_8_a_call_that_fails_slowly_is_slow_too(clock: ManualClock) -> None:
    async def slow_failure() -> None:
        clock.advance(3)
        raise DependencyError

    rule = SlowCallRate(1.0, slow_call_seconds=2.0, window=CountWindow(1), minimum_calls=1)
    breaker = make(clock, trip_when=rule)
    with pytest.raises(DependencyError):
        await breaker.call(slow_failure)
    assert breaker.state is OPEN


async def test_rule_8_a_slow_probe_fails_where_slow_calls_count(clock: ManualClock) -> None:
    rule = ConsecutiveFailures(1) | SlowCallRate(1.0, slow_call_seconds=2.0)
    breaker, permit = await make_probing(clock, trip_when=rule)
    clock.advance(3)
    permit.succeed()
    assert breaker.state is OPEN
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await breaker.acquire()
    assert caught.value.last_failure == "slow probe, 3 s"


@each_style
async def test_rule_8_an_idle_gap_empties_a_time_window(clock: ManualClock, style: Style) -> None:
    breaker = make(clock, trip_when=FailureRate(0.5, window=TimeWindow(10), minimum_calls=2))
    with pytest.raises(DependencyError):
        await style(breaker, fail)
    clock.advance(11)
    await style(breaker, answer)
    assert (breaker.state, breaker.failure_count) == (CLOSED, 0)


@each_style
async def test_rule_8_a_success_that_lets_older_ones_leave_a_time_window_can_trip(
    clock: ManualClock, style: Style
) -> None:
    breaker = make(clock, trip_when=FailureRate(0.5, window=TimeWindow(10), minimum_calls=2))
    for _ in range(9):
        await style(breaker, answer)
    clock.advance(5)
    for _ in range(3):
        with pytest.raises(DependencyError):
            await style(breaker, fail)
    assert breaker.state is CLOSED
    clock.advance(6)
    await style(breaker, answer)
    assert breaker.state is OPEN


@pytest.mark.parametrize("style", STYLES[:3], ids=lambda style: style.__name__)
@pytest.mark.parametrize("rule", [ConsecutiveFailures(9), FailureRate(1.0, window=CountWindow(100))], ids=str)
async def test_rule_8_no_clock_is_read_on_the_closed_path_without_a_need(
    clock: ManualClock, style: Style, rule: object
) -> None:
    readings = []
    breaker = CircuitBreaker(trip_when=rule, clock=lambda: readings.append(None) or clock())
    readings.clear()
    await style(breaker, answer)
    with pytest.raises(DependencyError):
        await style(breaker, fail)
    await style(breaker, answer)
    assert readings == []


# 9. Rejections are cheap and keep nothing


async def rejections_of(breaker: CircuitBreaker, style: Style) -> list[CircuitBreakerOpenError]:
    rejections = []
    for _ in range(2):
        with pytest.raises(CircuitBreakerOpenError) as caught:
            await style(breaker, answer)
        rejections.append(caught.value)
    return rejections


@each_style
@pytest.mark.parametrize("state", [OPEN, HALF_OPEN, CircuitState.FORCED_OPEN], ids=str)
async def test_rule_9_each_rejection_is_a_new_exception_with_nothing_chained(
    clock: ManualClock, style: Style, state: CircuitState
) -> None:
    breaker, permit = await make_open(clock), None
    if state is CircuitState.FORCED_OPEN:
        await breaker.force_open("maintenance")
    elif state is HALF_OPEN:
        clock.advance(RESET_SECONDS)
        permit = await breaker.acquire()
    one, other = await rejections_of(breaker, style)
    assert one is not other
    for rejection in (one, other):
        assert rejection.state is state
        assert (rejection.__cause__, rejection.__context__) == (None, None)
    if permit is not None:
        permit.ignore()


@each_style
async def test_rule_9_a_rejection_refers_to_no_frame_of_an_earlier_call(clock: ManualClock, style: Style) -> None:
    class Payload:
        pass

    async def fail_with(payload: Payload) -> None:
        raise DependencyError(payload)

    breaker, payload = make(clock), Payload()
    with pytest.raises(DependencyError):
        await style(breaker, fail_with, payload)
    rejections = await rejections_of(breaker, style)
    gc.collect()
    held = sys.getrefcount(payload)
    assert len(rejections) == 2
    assert held == 2
    frames = traceback.extract_tb(rejections[1].__traceback__)
    assert "fail_with" not in {frame.name for frame in frames}


async def test_rule_9_a_rejection_while_another_exception_is_handled_is_chained_by_python_alone(
    clock: ManualClock,
) -> None:
    breaker, first = await make_open(clock), LookupError()
    try:
        raise first
    except LookupError:
        with pytest.raises(CircuitBreakerOpenError) as caught:
            await breaker.call(answer)
    assert (caught.value.__context__, caught.value.__cause__) == (first, None)


async def test_rule_9_rejections_are_counted(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    for style in STYLES:
        await rejections_of(breaker, style)
    assert await breaker.try_acquire() is None
    assert breaker.try_acquire_nowait() is None
    assert totals(breaker) == {"failure": 1, "rejected": 2 * len(STYLES) + 2}


# 10. Shadow mode


@each_style
@pytest.mark.parametrize("error", [None, DependencyError()], ids=["success", "failure"])
async def test_rule_10_a_call_that_would_be_rejected_runs_in_shadow_mode_and_is_counted_nowhere_else(
    clock: ManualClock, style: Style, error: Exception | None
) -> None:
    breaker, events = await make_open(clock, shadow=True), []
    breaker.subscribe(events.append)
    if error is None:
        assert await style(breaker, answer) == "answer"
    else:
        with pytest.raises(DependencyError) as caught:
            await style(breaker, fail, error)
        assert caught.value is error
    assert [(type(event), event.shadow) for event in events] == [(CallRejected, True)]
    assert (breaker.state, totals(breaker)) == (OPEN, {"failure": 1, "rejected": 1})


@each_style
async def test_rule_10_the_whole_state_machine_runs_in_shadow_mode(clock: ManualClock, style: Style) -> None:
    breaker, states = make(clock, shadow=True), []
    breaker.subscribe(lambda event: states.append(event.new) if isinstance(event, StateChanged) else None)
    with pytest.raises(DependencyError):
        await style(breaker, fail)
    await style(breaker, answer)
    clock.advance(RESET_SECONDS)
    await style(breaker, answer)
    assert states == [OPEN, HALF_OPEN, CLOSED]


async def test_rule_10_nothing_is_rejected_in_shadow_mode_in_any_state(clock: ManualClock) -> None:
    breaker = await make_ready(clock, shadow=True)
    permits: list[Permit | None] = [await breaker.try_acquire() for _ in range(5)]
    assert [permit.is_probe for permit in permits] == [True, False, False, False, False]
    await breaker.force_open("maintenance")
    assert await breaker.call(answer) == "answer"
    permits[0].ignore()


async def test_rule_10_a_call_without_a_permit_in_shadow_mode_settles_no_probe(clock: ManualClock) -> None:
    breaker = await make_ready(clock, shadow=True)
    probe, extra = await breaker.acquire(), await breaker.acquire()
    extra.fail()
    assert (breaker.state, breaker.health()["probes_in_flight"]) == (HALF_OPEN, 1)
    probe.succeed()
    assert breaker.state is CLOSED


async def test_rule_10_a_cancelled_call_that_would_have_been_rejected_is_counted_nowhere(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)
    for scope in (anyio.CancelScope(), anyio.move_on_after(0)):
        with scope:
            scope.cancel()
            await breaker.call(anyio.sleep_forever)
    assert totals(breaker) == {"failure": 1, "rejected": 2}


async def test_rule_10_predicates_are_not_asked_about_calls_that_would_have_been_rejected(clock: ManualClock) -> None:
    asked: list[object] = []
    breaker = await make_open(clock, shadow=True)
    await breaker.reconfigure(expected_exception=asked.append, failed_result=asked.append)
    await fail_once(breaker)
    await breaker.call(answer)
    assert asked == []


async def test_rule_10_outside_shadow_mode_events_say_so(clock: ManualClock) -> None:
    breaker, events = await make_open(clock), []
    breaker.subscribe(events.append)
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(answer)
    assert [event.shadow for event in events] == [False]
    assert not any(isinstance(event, CallFailed) for event in events)
