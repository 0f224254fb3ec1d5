"""Permits: `acquire()`, `try_acquire()`, `try_acquire_nowait()`, and settling."""

import asyncio
import functools
from collections.abc import Callable

import anyio
import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState, ExponentialBackoff, Permit, SlowCallRate
from recloser.events import CallIgnored, CallRejected
from recloser.testing import ManualClock
from tests.breaker.kit import (
    BACKENDS,
    RESET_SECONDS,
    DependencyError,
    admits_a_probe,
    drop_in_threads,
    fail,
    in_shadow,
    make,
    make_open,
    make_plain,
    make_probing,
    make_ready,
    totals,
)

pytestmark = pytest.mark.anyio


async def test_acquire_returns_a_permit(clock: ManualClock) -> None:
    permit = await make(clock).acquire()
    assert isinstance(permit, Permit)
    permit.succeed()


async def test_acquire_raises_when_the_call_is_rejected(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.acquire()


async def test_try_acquire_returns_none_when_the_call_is_rejected(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    assert await breaker.try_acquire() is None
    assert breaker.health()["rejected_total"] == 1


@pytest.mark.parametrize(
    ("settle", "total"),
    [
        (lambda permit: permit.succeed(), "success"),
        (lambda permit: permit.fail(), "failure"),
        (lambda permit: permit.fail(DependencyError()), "failure"),
        (lambda permit: permit.ignore(), "ignored"),
    ],
    ids=["succeed", "fail", "fail with an error", "ignore"],
)
async def test_a_permit_counts_as_what_it_is_settled_as(
    clock: ManualClock, settle: Callable[[Permit], None], total: str
) -> None:
    breaker = make(clock)
    settle(await breaker.acquire())
    assert totals(breaker) == {total: 1}


async def test_fail_keeps_the_error_as_text(clock: ManualClock) -> None:
    breaker = make(clock)
    (await breaker.acquire()).fail(DependencyError("gone"))
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await breaker.acquire()
    assert caught.value.last_error == "DependencyError: gone"


async def test_fail_counts_whatever_expected_exception_says(clock: ManualClock) -> None:
    breaker = make(clock, expected_exception=OSError, ignored_exception=DependencyError)
    (await breaker.acquire()).fail(DependencyError())
    assert breaker.state is CircuitState.OPEN


async def test_a_failure_can_set_how_long_the_breaker_stays_open(clock: ManualClock) -> None:
    breaker = make(clock)
    (await breaker.acquire()).fail(DependencyError("down"), reset_timeout_seconds=7)
    assert breaker.retry_after == 7
    assert breaker.health()["cause"]["last_error"] == "DependencyError: down"
    clock.advance(7)
    probe = await breaker.acquire()
    probe.fail(reset_timeout_seconds=200)
    assert breaker.retry_after == 200


async def test_the_next_opening_lasts_as_configured(clock: ManualClock) -> None:
    breaker = make(clock, reset_timeout_seconds=ExponentialBackoff(initial_seconds=10, jitter=0))
    (await breaker.acquire()).fail(reset_timeout_seconds=7)
    clock.advance(7)
    (await breaker.acquire()).fail()
    assert breaker.retry_after == 20


async def test_the_reset_timeout_of_a_failure_that_opens_nothing_is_ignored(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)
    (await breaker.acquire()).fail(reset_timeout_seconds=7)
    assert breaker.state is CircuitState.CLOSED
    (await breaker.acquire()).fail()
    assert breaker.retry_after == RESET_SECONDS


async def test_the_reset_timeout_of_a_late_failure_is_ignored(clock: ManualClock) -> None:
    breaker = make(clock)
    late = await breaker.acquire()
    (await breaker.acquire()).fail()
    late.fail(reset_timeout_seconds=7)
    assert breaker.retry_after == RESET_SECONDS


async def test_the_reset_timeout_holds_when_the_error_s_text_is_interrupted(clock: ManualClock) -> None:
    class InterruptingError(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    breaker = make(clock)
    permit = await breaker.acquire()
    with pytest.raises(KeyboardInterrupt):
        permit.fail(InterruptingError(), reset_timeout_seconds=7)
    assert breaker.retry_after == 7


@pytest.mark.parametrize(
    ("seconds", "error"), [(0, ValueError), (-1, ValueError), (float("inf"), ValueError), ("7", TypeError)]
)
async def test_a_bad_reset_timeout_is_refused_and_leaves_the_permit_unsettled(
    clock: ManualClock, seconds: object, error: type[Exception]
) -> None:
    breaker = make(clock)
    permit = await breaker.acquire()
    with pytest.raises(error, match="reset_timeout_seconds must be a finite number of seconds > 0"):
        permit.fail(reset_timeout_seconds=seconds)
    permit.succeed()
    assert totals(breaker) == {"success": 1}


async def test_a_pause_is_no_part_of_a_call_s_duration(clock: ManualClock) -> None:
    rule = SlowCallRate(1.0, slow_call_seconds=2, minimum_calls=1)
    breaker = make(clock, trip_when=rule)
    permit = await breaker.acquire()
    clock.advance(1)
    paused_at = permit.pause()
    clock.advance(100)
    permit.resume(paused_at)
    clock.advance(1)
    permit.succeed()
    assert breaker.snapshot().slow_call_rate == 0.0


async def test_a_pause_reads_no_clock_if_no_duration_is_measured(clock: ManualClock) -> None:
    permit = await make_plain(clock).acquire()
    assert permit.pause() is None
    assert permit.resume(None) is None
    permit.succeed()


async def test_progress_of_a_call_that_is_no_probe_changes_nothing(clock: ManualClock) -> None:
    breaker = make_plain(clock)
    permit = await breaker.acquire()
    permit.progress()
    permit.fail()
    assert breaker.state is CircuitState.OPEN


async def test_a_with_block_settles_its_permit_as_a_success(clock: ManualClock) -> None:
    breaker = make(clock)
    with await breaker.acquire() as permit:
        assert isinstance(permit, Permit)
    assert totals(breaker) == {"success": 1}


@pytest.mark.parametrize(
    ("error", "total"),
    [(DependencyError(), "failure"), (LookupError(), "ignored"), (ValueError(), "success"), (SystemExit(), "ignored")],
    ids=repr,
)
async def test_a_with_block_that_raises_counts_like_a_call_that_raises(
    clock: ManualClock, error: BaseException, total: str
) -> None:
    breaker = make(clock, expected_exception=DependencyError, ignored_exception=LookupError)
    with pytest.raises(type(error)) as caught, await breaker.acquire():
        raise error
    assert caught.value is error
    assert totals(breaker) == {total: 1}


async def test_a_with_block_does_not_settle_a_permit_that_is_settled_inside(clock: ManualClock) -> None:
    breaker = make(clock)
    with await breaker.acquire() as permit:
        permit.ignore()
    assert totals(breaker) == {"ignored": 1}


async def test_a_with_block_that_raises_after_it_settled_counts_nothing_more(clock: ManualClock) -> None:
    breaker = make(clock)
    permit = await breaker.acquire()

    async def settle_and_fail() -> None:
        with permit:
            permit.ignore()
            await fail()

    with pytest.raises(DependencyError):
        await settle_and_fail()
    assert totals(breaker) == {"ignored": 1}


async def test_a_with_block_that_is_cancelled_is_ignored(clock: ManualClock) -> None:
    breaker = make(clock)
    with anyio.CancelScope() as scope, await breaker.acquire():
        scope.cancel()
        await anyio.sleep_forever()
    assert totals(breaker) == {"cancelled": 1}


async def test_a_permit_has_the_generation_of_its_admission(clock: ManualClock) -> None:
    breaker, probe = await make_probing(clock)
    assert (probe.generation, probe.is_probe) == (breaker.generation, True) == (3, True)
    probe.succeed()
    permit = await breaker.acquire()
    assert (permit.generation, permit.is_probe) == (4, False)
    permit.succeed()


async def test_a_permit_keeps_its_generation_after_a_transition(clock: ManualClock) -> None:
    breaker = make(clock)
    permit = await breaker.acquire()
    breaker.reset()
    assert (permit.generation, breaker.generation) == (1, 2)
    permit.succeed()


async def test_a_permit_can_be_settled_in_another_task(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, lambda: None)
        permit.succeed()
    assert breaker.state is CircuitState.CLOSED


async def test_a_permit_that_only_shadow_mode_grants_is_counted_apart(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)
    permit = await breaker.acquire()
    assert (permit.generation, permit.is_probe) == (0, False)
    permit.fail()
    permit.succeed()
    assert (totals(breaker), in_shadow(breaker)) == ({"failure": 1}, (1, 1, 0))


async def test_a_permit_that_only_shadow_mode_grants_may_be_dropped(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)
    permit = await breaker.try_acquire()
    del permit
    assert (totals(breaker), in_shadow(breaker)) == ({"failure": 1}, (1, 0, 0))


async def test_as_many_probes_as_max_probes_run_at_once(clock: ManualClock) -> None:
    breaker = await make_ready(clock, max_probes=3)
    permits = [await breaker.try_acquire() for _ in range(5)]
    assert [permit is not None and permit.is_probe for permit in permits] == [True, True, True, False, False]
    for permit in permits[:3]:
        permit.ignore()


async def test_a_permit_given_back_lets_the_next_probe_through(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    permit.ignore()
    assert admits_a_probe(breaker)


async def test_acquiring_does_not_yield_to_the_event_loop(clock: ManualClock) -> None:
    breaker, order = make(clock), []

    async def other() -> None:
        order.append("other")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        (await breaker.acquire()).succeed()
        (await breaker.try_acquire()).succeed()
        order.append("permits")
    assert order == ["permits", "other"]


async def test_acquiring_works_in_a_cancelled_scope(clock: ManualClock) -> None:
    breaker = make(clock)
    with anyio.CancelScope() as scope:
        scope.cancel()
        (await breaker.acquire()).succeed()
    assert totals(breaker) == {"success": 1}


# try_acquire_nowait, for synchronous hooks


async def test_try_acquire_nowait_in_a_task_runs_a_probe(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    permit = breaker.try_acquire_nowait()
    assert permit.is_probe
    permit.succeed()
    assert breaker.state is CircuitState.CLOSED


def test_try_acquire_nowait_outside_a_loop_returns_a_permit_of_a_closed_breaker(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.try_acquire_nowait().fail()
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize(("seconds", "state"), [(0, CircuitState.OPEN), (60, CircuitState.HALF_OPEN)])
def test_try_acquire_nowait_outside_a_loop_makes_one_probe_after_the_reset_timeout(
    clock: ManualClock, seconds: float, state: CircuitState
) -> None:
    breaker, events = make(clock), []
    breaker.try_acquire_nowait().fail()
    breaker.subscribe(events.append, CallRejected)
    clock.advance(seconds)
    permits = [breaker.try_acquire_nowait() for _ in range(3)]
    assert [permit is not None and permit.is_probe for permit in permits] == [seconds > 0, False, False]
    assert (breaker.state, len(events)) == (state, totals(breaker)["rejected"])
    if permits[0] is not None:
        permits[0].succeed()
        assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("backend", BACKENDS)
def test_try_acquire_nowait_outside_a_loop_takes_the_place_of_a_probe_that_a_loop_has_given_back(
    clock: ManualClock, backend: str
) -> None:
    breaker, permit = anyio.run(make_probing, clock, backend=backend)
    permit.ignore()
    permit = breaker.try_acquire_nowait()
    assert (permit.is_probe, breaker.try_acquire_nowait()) == (True, None)
    permit.succeed()
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("seconds", [0, 60])
def test_try_acquire_nowait_outside_a_loop_rejects_nothing_in_shadow_mode(clock: ManualClock, seconds: float) -> None:
    breaker = make(clock, shadow=True)
    breaker.try_acquire_nowait().fail()
    clock.advance(seconds)
    permit = breaker.try_acquire_nowait()
    assert permit is not None
    permit.ignore()


def test_try_acquire_nowait_in_a_callback_of_asyncio_makes_a_probe_without_a_task(clock: ManualClock) -> None:
    async def main() -> None:
        breaker = await make_ready(clock)
        taken = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: taken.set_result(breaker.try_acquire_nowait()))
        permit = await taken
        assert permit.is_probe
        permit.succeed()
        assert breaker.state is CircuitState.CLOSED

    asyncio.run(main())


@pytest.mark.parametrize("backend", BACKENDS)
def test_try_acquire_nowait_in_a_synchronous_hook_of_a_task_runs_a_probe(clock: ManualClock, backend: str) -> None:
    class Hook:
        def __init__(self, breaker: CircuitBreaker) -> None:
            self.permit = breaker.try_acquire_nowait()

    async def main() -> CircuitState:
        breaker = await make_ready(clock)
        Hook(breaker).permit.succeed()
        return breaker.state

    assert anyio.run(main, backend=backend) is CircuitState.CLOSED


def test_a_permit_can_be_settled_in_a_callback_of_asyncio(clock: ManualClock) -> None:
    async def main() -> CircuitState:
        breaker, permit = await make_probing(clock)
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(permit.succeed)
        asyncio.get_running_loop().call_soon(functools.partial(done.set_result, None))
        await done
        return breaker.state

    assert asyncio.run(main()) is CircuitState.CLOSED


# Leaks


async def test_health_counts_a_leaked_probe_permit_before_any_call_arrives(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    with pytest.warns(ResourceWarning):
        del permit
    assert (breaker.health()["leaked_total"], breaker.health()["probes_in_flight"]) == (1, 0)


async def test_reading_health_does_not_count_a_leak_twice(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    with pytest.warns(ResourceWarning):
        del permit
    breaker.health()
    assert admits_a_probe(breaker)
    assert breaker.health()["leaked_total"] == 1


async def test_a_leaked_permit_of_a_closed_breaker_is_counted(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.warns(ResourceWarning, match=r"'payments' was dropped without succeed\(\), fail\(\) or ignore\(\)"):
        await breaker.acquire()
    assert totals(breaker) == {"leaked": 1}


async def test_a_leaked_probe_permit_of_an_earlier_episode_does_not_make_the_count_in_flight_negative(
    clock: ManualClock,
) -> None:
    breaker, permit = await make_probing(clock)
    breaker.reset()
    with pytest.warns(ResourceWarning):
        del permit
    assert breaker.health()["probes_in_flight"] == 0
    assert breaker.health()["leaked_total"] == 1


async def test_a_timed_out_probe_permit_that_is_dropped_is_not_a_leak(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    clock.advance(60)
    assert await breaker.try_acquire() is None
    with pytest.warns(ResourceWarning):
        del permit
    assert "leaked" not in totals(breaker)
    clock.advance(60)
    assert admits_a_probe(breaker)
    assert "leaked" not in totals(breaker)


async def test_a_leaked_probe_permit_causes_no_event_until_it_is_released(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    events = []
    breaker.subscribe(events.append)
    with pytest.warns(ResourceWarning):
        del permit
    assert [event for event in events if isinstance(event, CallIgnored)] == []


async def test_many_permits_dropped_in_many_threads_are_all_counted(clock: ManualClock) -> None:
    breaker = make(clock)
    boxes = [[await breaker.acquire() for _ in range(5)] for _ in range(4)]
    with pytest.warns(ResourceWarning):
        drop_in_threads(*boxes)
    assert totals(breaker) == {"leaked": 20}
    (await breaker.acquire()).succeed()
    assert totals(breaker) == {"leaked": 20, "success": 1}


async def test_a_settled_permit_that_is_dropped_causes_no_warning(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    permit.succeed()
    del permit
    assert "leaked" not in totals(breaker)
