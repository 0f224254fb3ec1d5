"""Rule 8: comparisons with a limit hold at the limit itself."""

import anyio
import pytest

from recloser import (
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
    ConsecutiveFailures,
    CountWindow,
    FailureRate,
    SlowCallRate,
    TimeWindow,
)
from recloser.testing import ManualClock
from tests.breaker.kit import (
    RESET_SECONDS,
    DependencyError,
    admits_a_probe,
    answer,
    fail,
    fail_once,
    make,
    make_open,
    make_probing,
    take_first_samples,
)
from tests.rules.kit import CLOSED, HALF_OPEN, OPEN, STYLES, Style, each_style

pytestmark = pytest.mark.anyio


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


async def test_rule_8_the_call_that_notices_a_timeout_may_be_the_next_probe(clock: ManualClock) -> None:
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
    assert caught.value.last_error == "slow probe, 3 s"


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
    await take_first_samples(breaker)
    readings.clear()
    await style(breaker, answer)
    with pytest.raises(DependencyError):
        await style(breaker, fail)
    await style(breaker, answer)
    assert readings == []
