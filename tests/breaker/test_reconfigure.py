"""`breaker.reconfigure(...)`: other settings, the same state."""

import anyio
import pytest

from recloser import (
    CircuitBreakerOpenError,
    CircuitState,
    ConsecutiveFailures,
    CountWindow,
    ExponentialBackoff,
    FailureRate,
    SlowCallRate,
)
from recloser.testing import ManualClock
from tests.breaker.kit import (
    DependencyError,
    answer,
    fail,
    fail_once,
    make,
    make_open,
    make_plain,
    make_probing,
    make_ready,
    totals,
)

pytestmark = pytest.mark.anyio


async def test_reconfiguring_nothing_changes_nothing(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    before = breaker.snapshot()
    breaker.reconfigure()
    assert breaker.snapshot() == before


async def test_an_open_breaker_stays_open_until_the_deadline_that_it_had(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    clock.advance(10)
    breaker.reconfigure(reset_timeout_seconds=5)
    assert (breaker.state, breaker.retry_after, breaker.generation) == (CircuitState.OPEN, 50, 2)
    assert breaker.reset_timeout_seconds == 5


async def test_the_next_opening_uses_the_new_reset_timeout(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    breaker.reconfigure(reset_timeout_seconds=5)
    await fail_once(breaker)
    assert breaker.retry_after == 5


async def test_the_run_of_failures_continues_under_a_new_threshold(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=5)
    for _ in range(2):
        await fail_once(breaker)
    breaker.reconfigure(failure_threshold=3)
    assert (breaker.failure_count, breaker.failure_threshold, breaker.state) == (2, 3, CircuitState.CLOSED)
    await fail_once(breaker)
    assert breaker.state is CircuitState.OPEN


async def test_a_threshold_below_the_run_opens_at_the_next_failure(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=5)
    for _ in range(4):
        await fail_once(breaker)
    breaker.reconfigure(failure_threshold=2)
    assert breaker.state is CircuitState.CLOSED
    with pytest.raises(DependencyError):
        await breaker(fail)()
    assert breaker.state is CircuitState.OPEN


async def test_a_window_keeps_its_calls_under_a_new_rate(clock: ManualClock) -> None:
    breaker = make(clock, trip_when=FailureRate(0.9, window=CountWindow(10), minimum_calls=4))
    for fn in (answer, answer, fail):
        await breaker.call(fn) if fn is answer else await fail_once(breaker)
    breaker.reconfigure(trip_when=FailureRate(0.5, window=CountWindow(10), minimum_calls=4))
    await fail_once(breaker)
    assert breaker.state is CircuitState.OPEN


async def test_a_rule_of_another_kind_starts_empty(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)
    await fail_once(breaker)
    breaker.reconfigure(trip_when=FailureRate(1.0, window=CountWindow(2), minimum_calls=2))
    await fail_once(breaker)
    assert breaker.state is CircuitState.CLOSED


async def test_a_running_half_open_episode_keeps_its_number_of_probes(clock: ManualClock) -> None:
    breaker, first = await make_probing(clock)
    breaker.reconfigure(max_probes=3)
    assert await breaker.try_acquire() is None
    first.fail()
    clock.advance(60)
    permits = [await breaker.try_acquire() for _ in range(4)]
    assert [permit is not None for permit in permits] == [True, True, True, False]
    for permit in permits[:3]:
        permit.ignore()


async def test_a_running_half_open_episode_keeps_its_success_threshold(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock, success_threshold=2)
    breaker.reconfigure(success_threshold=1)
    permit.succeed()
    assert breaker.state is CircuitState.HALF_OPEN
    await breaker.call(answer)
    assert breaker.state is CircuitState.CLOSED


async def test_a_running_half_open_episode_keeps_its_probe_timeout(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock, probe_timeout_seconds=10)
    breaker.reconfigure(probe_timeout_seconds=1)
    clock.advance(9)
    assert await breaker.try_acquire() is None
    assert breaker.state is CircuitState.HALF_OPEN
    permit.ignore()


async def test_a_running_half_open_episode_keeps_its_backoff(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    breaker.reconfigure(reset_timeout_seconds=5)
    permit.fail()
    assert breaker.retry_after == 60


async def test_a_new_expected_exception_applies_from_then_on(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.reconfigure(expected_exception=LookupError)
    await fail_once(breaker)
    assert breaker.state is CircuitState.CLOSED
    assert breaker.expected_exception is LookupError


async def test_a_new_ignored_exception_applies_from_then_on(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.reconfigure(ignored_exception=DependencyError)
    await fail_once(breaker)
    assert totals(breaker) == {"ignored": 1}


async def test_a_failed_result_that_is_set_and_unset_applies_only_in_between(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=9)
    for predicate in (None, lambda result: result == "answer", None):
        breaker.reconfigure(failed_result=predicate)
        await breaker.call(answer)
    assert totals(breaker) == {"success": 2, "failure": 1}


async def test_shadow_mode_can_be_switched_on_while_open(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    breaker.reconfigure(shadow=True)
    assert await breaker.call(answer) == "answer"


async def test_shadow_mode_can_be_switched_off_while_open(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)
    breaker.reconfigure(shadow=False)
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(answer)


async def test_counting_of_cancelled_calls_can_be_switched_on(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.reconfigure(overdue_after_seconds=5)
    with anyio.CancelScope() as scope:
        async with breaker.guard():
            clock.advance(5)
            scope.cancel()
            await anyio.sleep_forever()
    assert breaker.state is CircuitState.OPEN


async def test_a_rule_about_slow_calls_can_be_switched_on(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.reconfigure(trip_when=SlowCallRate(1.0, slow_call_seconds=1, window=CountWindow(1), minimum_calls=1))
    async with breaker.guard():
        clock.advance(2)
    assert breaker.state is CircuitState.OPEN


async def test_a_call_running_when_a_rule_about_slow_calls_is_switched_on_is_not_slow(clock: ManualClock) -> None:
    breaker = make_plain(clock)
    rule = SlowCallRate(1.0, slow_call_seconds=1, window=CountWindow(1), minimum_calls=1)
    async with breaker.guard():
        clock.advance(2)
        breaker.reconfigure(trip_when=rule)
    assert (breaker.state, totals(breaker)) == (CircuitState.CLOSED, {"success": 1})


async def test_several_settings_are_changed_in_one_step_or_not_at_all(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(ValueError, match="max_probes"):
        breaker.reconfigure(failure_threshold=9, max_probes=0)
    assert breaker.failure_threshold == 1


@pytest.mark.parametrize("setting", ["name", "clock", "random", "retries", "backoff"])
async def test_an_unknown_setting_is_refused_by_name(clock: ManualClock, setting: str) -> None:
    with pytest.raises(TypeError, match=f"unknown setting {setting}; known are describe_error, "):
        make(clock).reconfigure(**{setting: None})


async def test_a_rule_and_a_threshold_exclude_each_other(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match=r"trip_when.*failure_threshold.*exclude each other"):
        make(clock).reconfigure(failure_threshold=3, trip_when=ConsecutiveFailures(3))


async def test_a_refused_reconfiguration_leaves_the_lock_free(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    with pytest.raises(TypeError):
        breaker.reconfigure(retries=3)
    assert await breaker.call(answer) == "answer"


async def test_a_backoff_can_be_given_instead_of_a_number(clock: ManualClock) -> None:
    breaker = make(clock)
    backoff = ExponentialBackoff(initial_seconds=2, jitter=0)
    breaker.reconfigure(reset_timeout_seconds=backoff)
    assert breaker.reset_timeout_seconds is backoff
    await fail_once(breaker)
    assert breaker.retry_after == 2


async def test_a_running_probe_keeps_the_expected_exceptions_of_its_episode(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    breaker.reconfigure(expected_exception=OSError)
    with pytest.raises(DependencyError), permit:
        raise DependencyError
    assert breaker.state is CircuitState.OPEN


async def test_a_running_probe_keeps_the_failed_result_of_its_episode(clock: ManualClock) -> None:
    breaker = await make_ready(clock)

    async def reconfigure() -> str:
        breaker.reconfigure(failed_result=bool)
        return "an answer"

    await breaker.call(reconfigure)
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize(("before", "after"), [(5, None), (5, 500), (None, 5), (500, 5)])
async def test_a_cancelled_probe_keeps_the_limit_of_its_episode(
    clock: ManualClock, before: float | None, after: float | None
) -> None:
    breaker, permit = await make_probing(clock, overdue_after_seconds=before)
    breaker.reconfigure(overdue_after_seconds=after)
    clock.advance(10)
    with anyio.CancelScope() as scope, permit:
        scope.cancel()
        await anyio.lowlevel.checkpoint()
    assert breaker.state is (CircuitState.OPEN if before == 5 else CircuitState.HALF_OPEN)


def test_a_run_without_a_time_limit_is_taken_over_beside_one_with_a_limit(clock: ManualClock) -> None:
    recent, run = ConsecutiveFailures(3, within_seconds=10), ConsecutiveFailures(5)
    breaker = make(clock, trip_when=run | recent)
    for _ in range(4):
        permit = breaker.try_acquire_nowait()
        assert permit is not None
        permit.fail(DependencyError())
        clock.advance(20)
    breaker.reconfigure(trip_when=run | ConsecutiveFailures(2, within_seconds=10))
    assert breaker.failure_count == 4
    breaker.reconfigure(trip_when=run)
    assert breaker.failure_count == 4
