"""New settings for a machine that is at work: what stays, and what is counted on from."""

from dataclasses import replace

import pytest

from recloser._core.states import CircuitState, Trigger
from recloser._core.trip import ConsecutiveFailures, FailureCount, FailureRate, SlowCallRate, TripRule
from recloser._core.windows import CountWindow, TimeWindow, Window
from tests.core.driver import Driver, F, I, S

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN

LAST_TEN = CountWindow(10)


def rate(share: float = 0.9, *, window: CountWindow | TimeWindow = LAST_TEN, minimum_calls: int = 2) -> FailureRate:
    return FailureRate(share, window=window, minimum_calls=minimum_calls)


def slow(share: float = 0.9, *, window: CountWindow | TimeWindow = LAST_TEN, seconds: float = 1) -> SlowCallRate:
    return SlowCallRate(share, slow_call_seconds=seconds, window=window, minimum_calls=2)


def test_state_generation_deadline_and_counts_stay() -> None:
    driver = Driver(failure_threshold=2, reset_timeout_seconds=30)
    driver.call(F, F)
    before = driver.snapshot
    driver.reconfigure(failure_threshold=7, reset_timeout_seconds=5, max_probes=3)
    assert driver.snapshot == replace(before, rule="7 consecutive failures", threshold=7)
    assert driver.machine.settings.max_probes == 3


def test_settings_change_although_the_rule_stays() -> None:
    driver = Driver(failure_threshold=2)
    driver.reconfigure(max_probes=3, success_threshold=2)
    assert (driver.machine.settings.max_probes, driver.machine.settings.success_threshold) == (3, 2)


def test_the_new_reset_timeout_holds_from_the_next_opening_on() -> None:
    driver = Driver(failure_threshold=1, reset_timeout_seconds=30)
    driver.call(F)
    driver.reconfigure(reset_timeout_seconds=5)
    assert driver.snapshot.retry_after == 30
    driver.wait_out()
    driver.call(F)
    assert driver.snapshot.retry_after == 5


def test_a_half_open_episode_keeps_the_settings_that_it_began_with() -> None:
    driver = Driver(reset_timeout_seconds=30, success_threshold=2, max_probes=2, probe_timeout_seconds=10)
    driver.half_open()
    driver.admit()
    driver.reconfigure(reset_timeout_seconds=5, success_threshold=1, max_probes=1, probe_timeout_seconds=100)
    second = driver.admit()
    assert driver.settle(second, S) is HALF_OPEN
    assert driver.snapshot.success_threshold == 2
    driver.advance(10)
    driver.try_admit()
    assert (driver.state, driver.snapshot.retry_after) == (OPEN, 30.0)
    driver.wait_out()
    driver.admit()
    assert driver.try_admit() is None, "the next episode has the new settings"


@pytest.mark.parametrize(
    ("before", "after", "state"),
    [(ConsecutiveFailures(1) | slow(), ConsecutiveFailures(1), OPEN), (ConsecutiveFailures(1), slow(), CLOSED)],
)
def test_a_half_open_episode_keeps_its_limit_of_slow_calls(
    before: TripRule, after: TripRule, state: CircuitState
) -> None:
    driver = Driver(trip_when=before)
    driver.half_open()
    probe = driver.admit()
    driver.reconfigure(trip_when=after)
    assert driver.settle(probe, S, 2.0) is state


def test_a_call_in_flight_still_counts() -> None:
    driver = Driver(failure_threshold=2)
    ticket = driver.admit()
    driver.reconfigure(failure_threshold=1)
    assert driver.settle(ticket, F) is OPEN


def test_a_run_of_failures_goes_on_with_another_threshold() -> None:
    driver = Driver(failure_threshold=5)
    driver.call(F, F)
    driver.reconfigure(failure_threshold=3)
    assert driver.snapshot.failure_count == 2
    assert driver.call(F) is OPEN


def test_a_run_that_is_already_long_enough_trips_at_the_next_failure_and_not_at_a_success() -> None:
    driver = Driver(failure_threshold=5)
    driver.call(F, F, F)
    driver.reconfigure(failure_threshold=2)
    assert driver.state is CLOSED
    driver.fail_on_the_closed_path()
    assert driver.state is OPEN
    driver = Driver(failure_threshold=5)
    driver.call(F, F, F)
    driver.reconfigure(failure_threshold=2)
    assert driver.call(S, F) is CLOSED


def test_a_run_that_a_success_has_ended_is_not_taken_over() -> None:
    for before, after in (
        (ConsecutiveFailures(5), ConsecutiveFailures(4)),
        (ConsecutiveFailures(5, within_seconds=9), ConsecutiveFailures(4, within_seconds=9)),
    ):
        driver = Driver(trip_when=before)
        driver.call(F, F, S)
        driver.reconfigure(trip_when=after)
        assert driver.snapshot.failure_count == 0
        assert driver.call(F, F, F) is CLOSED
        assert driver.call(F) is OPEN


@pytest.mark.parametrize("before", [ConsecutiveFailures(5), ConsecutiveFailures(5, within_seconds=60)])
@pytest.mark.parametrize("after", [ConsecutiveFailures(4), ConsecutiveFailures(4, within_seconds=60)])
def test_a_run_is_taken_over_once_with_and_without_a_time_limit(before: TripRule, after: TripRule) -> None:
    driver = Driver(trip_when=before)
    driver.call(F, F)
    driver.reconfigure(trip_when=after)
    assert driver.snapshot.failure_count == 2
    assert driver.call(F) is CLOSED
    assert driver.call(F) is OPEN


def test_failures_keep_their_times() -> None:
    driver = Driver(trip_when=ConsecutiveFailures(5, within_seconds=60))
    driver.call(F)
    driver.advance(20)
    driver.call(F)
    driver.reconfigure(trip_when=ConsecutiveFailures(5, within_seconds=15))
    assert driver.snapshot.failure_count == 1


def test_failures_whose_times_are_not_known_count_as_of_now() -> None:
    driver = Driver(failure_threshold=5)
    driver.call(F, F)
    driver.advance(1000)
    driver.reconfigure(trip_when=ConsecutiveFailures(5, within_seconds=10))
    assert driver.snapshot.failure_count == 2
    driver.advance(10)
    assert driver.snapshot.failure_count == 0


@pytest.mark.parametrize("window", [LAST_TEN, TimeWindow(60)])
@pytest.mark.parametrize("path", ["settled", "closed path"])
def test_a_rate_that_is_already_reached_trips_at_the_next_outcome(window: CountWindow | TimeWindow, path: str) -> None:
    driver = Driver(trip_when=rate(0.9, window=window, minimum_calls=4))
    driver.call(S, S, F, F)
    driver.reconfigure(trip_when=rate(0.3, window=window, minimum_calls=4))
    assert driver.state is CLOSED
    if path == "settled":
        driver.call(S)
    else:
        driver.succeed_on_the_closed_path()
    assert driver.state is OPEN


@pytest.mark.parametrize("window", [LAST_TEN, TimeWindow(60)], ids=str)
def test_a_success_trips_a_count_of_failures_that_a_lowered_threshold_has_reached(window: Window) -> None:
    driver = Driver(trip_when=FailureCount(5, window=window))
    driver.call(F, F, F)
    driver.reconfigure(trip_when=FailureCount(2, window=window))
    assert driver.state is CLOSED
    driver.succeed_on_the_closed_path()
    assert driver.state is OPEN


def test_a_success_trips_no_count_of_failures_that_the_window_has_forgotten() -> None:
    driver = Driver(trip_when=FailureCount(5, window=TimeWindow(60)))
    driver.call(F, F, F)
    driver.reconfigure(trip_when=FailureCount(2, window=TimeWindow(60)))
    driver.advance(120)
    assert driver.call(S, F) is CLOSED
    assert driver.call(F) is OPEN


def test_a_count_of_failures_that_was_reached_while_disabled_is_forgotten_by_a_reset() -> None:
    driver = Driver(trip_when=FailureCount(5, window=LAST_TEN))
    driver.call(F, F, F)
    driver.go(Trigger.DISABLED)
    driver.reconfigure(trip_when=FailureCount(2, window=LAST_TEN))
    driver.go(Trigger.RESET)
    assert driver.call(S) is CLOSED


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        (rate(), rate(0.8), 3),
        (rate(), FailureCount(9, window=LAST_TEN), 3),
        (FailureCount(9, window=LAST_TEN), rate(), 3),
        (rate(), rate(window=CountWindow(2)), 1),
        (rate(window=TimeWindow(60)), rate(window=TimeWindow(30)), 3),
        (rate(window=TimeWindow(60)), FailureCount(9, window=TimeWindow(60)), 3),
        (FailureCount(9, window=TimeWindow(60)), FailureCount(8, window=TimeWindow(60)), 3),
        (slow(), slow(0.8), 3),
        (slow(), slow(window=CountWindow(2)), 1),
        (rate(), rate(window=TimeWindow(60)), 0),
        (slow(), slow(window=TimeWindow(60)), 0),
        (slow(), rate(), 0),
        (rate(), slow(), 0),
        (FailureCount(9, window=LAST_TEN), slow(), 0),
        (rate(), ConsecutiveFailures(5), 0),
        (rate(), ConsecutiveFailures(5, within_seconds=9), 0),
        (ConsecutiveFailures(5), FailureCount(9, window=LAST_TEN), 0),
        (ConsecutiveFailures(5), rate(), 0),
        (ConsecutiveFailures(5), ConsecutiveFailures(5, within_seconds=9) | rate(), 1),
        (ConsecutiveFailures(5, within_seconds=9), rate() | ConsecutiveFailures(5), 0),
        (rate() | ConsecutiveFailures(5), ConsecutiveFailures(6) | rate(), 1),
        (rate() | ConsecutiveFailures(5), rate(), 3),
    ],
)
def test_a_window_keeps_its_calls_and_a_rule_of_another_kind_starts_empty(
    before: TripRule, after: TripRule, count: int
) -> None:
    driver = Driver(trip_when=before)
    driver.call(F, S, F, S, F)
    driver.reconfigure(trip_when=after)
    assert driver.snapshot.failure_count == count


def test_a_count_of_failures_in_a_time_window_does_not_become_a_rate() -> None:
    """It is told of no success, and so does not know when they were."""
    driver = Driver(trip_when=FailureCount(100, window=TimeWindow(60)))
    driver.call(F)
    driver.advance(50)
    for _ in range(1000):
        driver.succeed_on_the_closed_path()
    driver.advance(9)
    driver.call(*[F] * 20)
    driver.reconfigure(trip_when=FailureRate(0.5, window=TimeWindow(60)))
    driver.advance(2)
    assert driver.snapshot.failure_rate is None
    assert driver.call(F) is CLOSED


@pytest.mark.parametrize("window", [CountWindow(100), TimeWindow(30)])
@pytest.mark.parametrize("emptied", [False, True])
def test_a_rate_of_slow_calls_never_counts_calls_that_its_window_has_not_seen(
    window: CountWindow | TimeWindow, *, emptied: bool
) -> None:
    driver = Driver(trip_when=slow(0.5, window=TimeWindow(60)))
    for _ in range(50):
        driver.call(S, duration=0.1)
    if emptied:
        driver.half_open()
        driver.call(S, duration=0.1)
    driver.advance(40)
    driver.reconfigure(trip_when=slow(0.5, window=window))
    driver.call(S, duration=2)
    assert driver.snapshot.slow_call_rate is None
    assert driver.call(S, duration=2) is OPEN


def test_calls_in_the_window_stay_slow_or_fast_as_they_were_counted() -> None:
    driver = Driver(trip_when=slow(seconds=1))
    driver.call(S, duration=2)
    driver.call(S, duration=0.5)
    driver.reconfigure(trip_when=slow(seconds=5))
    assert driver.snapshot.slow_call_rate == 0.5
    driver.reconfigure(trip_when=slow(seconds=0.1))
    assert driver.snapshot.slow_call_rate == 0.5


def test_each_of_two_rules_of_one_kind_goes_on_from_its_own_window() -> None:
    driver = Driver(trip_when=slow(1.0, seconds=1) | slow(1.0, seconds=5))
    driver.call(S, S, duration=2)
    assert driver.state is OPEN
    driver.wait_out()
    driver.call(S)
    driver.call(S, duration=0.1)
    driver.call(S, S, duration=2)
    driver.reconfigure(trip_when=slow(0.9, seconds=1) | slow(0.6, seconds=5))
    assert driver.call(S, duration=7) is CLOSED
    assert driver.snapshot.slow_call_rate == 0.75


def test_an_ended_opening_is_not_affected() -> None:
    driver = Driver(failure_threshold=1, reset_timeout_seconds=0)
    driver.call(F)
    driver.reconfigure(trip_when=rate())
    driver.call(I)
    assert driver.state is HALF_OPEN
    assert driver.call(S) is CLOSED
    assert driver.snapshot.failure_count == 0
