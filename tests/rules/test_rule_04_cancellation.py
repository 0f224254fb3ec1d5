"""Rule 4: a call that is cut off is a failure if it was overdue, and ignored otherwise."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest
import trio

from recloser import (
    CircuitBreaker,
    CircuitState,
)
from recloser.testing import ManualClock
from tests.breaker.kit import (
    BACKENDS,
    DependencyError,
    fail,
    fail_once,
    hang,
    make,
    make_ready,
    totals,
)
from tests.rules.kit import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    STYLES,
    Style,
    each_style,
)

pytestmark = pytest.mark.anyio


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
        await style(breaker, hang, clock)
    assert (breaker.state, totals(breaker)) == (OPEN, {"failure": 1, "overdue": 1})


@each_style
async def test_rule_4_the_deadline_of_fail_after_around_a_call_is_a_failure(clock: ManualClock, style: Style) -> None:
    breaker = make(clock)
    with pytest.raises(TimeoutError), anyio.fail_after(0):
        await style(breaker, hang, clock)
    assert (breaker.state, totals(breaker)) == (OPEN, {"failure": 1, "overdue": 1})


@each_style
async def test_rule_4_a_deadline_fails_a_probe(clock: ManualClock, style: Style) -> None:
    breaker = await make_ready(clock)
    with anyio.move_on_after(0):
        await style(breaker, hang, clock)
    assert (breaker.state, breaker.health()["probes_in_flight"]) == (OPEN, 0)


async def test_rule_4_a_deadline_counts_whatever_expected_exception_names(clock: ManualClock) -> None:
    breaker = make(clock, expected_exception=OSError)
    with anyio.move_on_after(0):
        await breaker.call(hang, clock)
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
        await breaker.call(hang, clock)
    assert breaker.state is OPEN


async def test_rule_4_a_deadline_that_the_call_handles_itself_does_not_count(
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
    """Returns the options of a backend that make time pass only while the test waits, if it has any."""
    return {"clock": trio.testing.MockClock(autojump_threshold=0)} if backend == "trio" else {}


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_4_one_deadline_that_ends_five_calls_is_one_failure(clock: ManualClock, backend: str) -> None:
    async def main() -> None:
        breaker = make(clock, failure_threshold=5)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for style in STYLES:
                    tasks.start_soon(style, breaker, hang, clock)
                await anyio.wait_all_tasks_blocked()
                scope.deadline = anyio.current_time()
                await anyio.sleep_forever()
        assert totals(breaker) == {"failure": 1, "cancelled": 4, "overdue": 1}

    anyio.run(main, backend=backend, backend_options=on_virtual_time(backend))


async def test_rule_4_a_call_that_a_failing_sibling_cancels_is_ignored(clock: ManualClock) -> None:
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
                await breaker.call(hang, clock)
        assert totals(breaker) == {"failure": 20, "overdue": 20}

    anyio.run(main, backend=backend, backend_options=on_virtual_time(backend))


@pytest.mark.parametrize("backend", BACKENDS)
def test_rule_4_two_deadlines_that_end_calls_in_turn_count_twice(clock: ManualClock, backend: str) -> None:
    async def main() -> None:
        breaker = make(clock, failure_threshold=100)
        scopes = [anyio.CancelScope() for _ in range(2)]

        async def worker(scope: anyio.CancelScope) -> None:
            with scope:
                await breaker.call(hang, clock)

        async with anyio.create_task_group() as tasks:
            for scope in scopes:
                tasks.start_soon(worker, scope)
            await anyio.wait_all_tasks_blocked()
            for scope in scopes:
                scope.deadline = anyio.current_time()
                await anyio.wait_all_tasks_blocked()
                if backend == "trio":
                    await anyio.sleep(1)
        assert totals(breaker) == {"failure": 2, "overdue": 2}

    anyio.run(main, backend=backend, backend_options=on_virtual_time(backend))


async def test_rule_4_a_deadline_of_a_call_that_is_late_is_still_a_failure_for_the_calls_that_count(
    clock: ManualClock,
) -> None:
    breaker = make(clock, failure_threshold=2)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(breaker.call, hang, clock)
            await anyio.wait_all_tasks_blocked()
            breaker.reset()
            tasks.start_soon(breaker.call, hang, clock)
            await anyio.wait_all_tasks_blocked()
            scope.deadline = anyio.current_time()
    assert totals(breaker) == {"failure": 1, "late": 1, "overdue": 1}


async def test_rule_4_a_deadline_around_a_call_with_a_task_group_of_its_own_is_a_failure(clock: ManualClock) -> None:
    async def fan_out() -> None:
        clock.advance(1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            tasks.start_soon(anyio.sleep_forever)
            await anyio.sleep_forever()

    breaker = make(clock)
    with anyio.move_on_after(0):
        await breaker.call(fan_out)
    assert (breaker.state, totals(breaker)) == (OPEN, {"failure": 1, "overdue": 1})


def test_rule_4_a_deadline_around_a_call_with_a_nursery_of_trio_is_a_failure(clock: ManualClock) -> None:
    async def fan_out() -> None:
        clock.advance(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()

    async def main() -> None:
        breaker = make(clock)
        with trio.move_on_after(0):
            await breaker.call(fan_out)
        assert (breaker.state, totals(breaker)) == (OPEN, {"failure": 1, "overdue": 1})

    trio.run(main)


async def cancellation() -> BaseException:
    """Returns an exception that cancels a call: without a message on asyncio, made by trio itself on trio."""
    cancelled = anyio.get_cancelled_exc_class()
    if cancelled is asyncio.CancelledError:
        return cancelled()
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        except cancelled as error:
            return error


async def test_rule_4_a_group_of_cancellations_is_ignored(clock: ManualClock) -> None:
    async def gather() -> None:
        leaf = await cancellation()
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
def test_rule_4_what_asyncio_sends_without_a_cause_is_ignored_while_no_success_is_known(
    clock: ManualClock, cancel: Callable[..., Awaitable[None]]
) -> None:
    breaker = make(clock)
    asyncio.run(cancel(breaker, 1_000, clock))
    assert (breaker.state, totals(breaker)) == (CLOSED, {"cancelled": 1})


@pytest.mark.parametrize(("seconds", "state"), [(29.9, CLOSED), (30, OPEN), (31, OPEN)])
def test_rule_4_a_bare_cancellation_counts_as_a_failure_when_the_call_had_run_as_long_as_the_setting_says(
    clock: ManualClock, seconds: float, state: CircuitState
) -> None:
    breaker = make(clock, overdue_after_seconds=30)
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

    breaker = make(clock, overdue_after_seconds=30)
    with anyio.CancelScope() as scope:
        await style(breaker, hang, scope)
    assert totals(breaker) == ({"cancelled": 1} if total == "cancelled" else {"failure": 1, "overdue": 1})


async def test_rule_4_a_cancelled_probe_that_had_run_long_enough_fails(clock: ManualClock) -> None:
    async def hang(scope: anyio.CancelScope) -> None:
        clock.advance(30)
        scope.cancel()
        await anyio.sleep_forever()

    breaker = await make_ready(clock, overdue_after_seconds=30)
    with anyio.CancelScope() as scope:
        await breaker.call(hang, scope)
    assert breaker.state is OPEN


async def test_rule_4_many_bare_cancellations_and_no_outcome_cause_one_hint(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = make(clock)
    for _ in range(30):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await breaker.call(anyio.sleep_forever)
    assert caplog.text.count("set overdue_after_seconds") == 1


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
