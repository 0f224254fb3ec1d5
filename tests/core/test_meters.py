"""When each rule trips, played on a machine that does what the shell does."""

import pytest

from recloser._core.states import CircuitState
from recloser._core.trip import ConsecutiveFailures, FailureCount, FailureRate, SlowCallRate, TripRule
from recloser._core.windows import CountWindow, TimeWindow
from tests.core.driver import F, I, S, metered

CLOSED = CircuitState.CLOSED
OPEN = CircuitState.OPEN

LAST_TEN = CountWindow(10)
TEN_SECONDS = TimeWindow(10, 10)


def slow_rate(
    rate: float = 0.5, *, minimum_calls: int = 2, window: CountWindow | TimeWindow = LAST_TEN
) -> SlowCallRate:
    return SlowCallRate(rate, slow_call_seconds=1, window=window, minimum_calls=minimum_calls)


class TestConsecutiveFailures:
    def test_trips_at_the_last_failure_of_the_run_and_not_before(self) -> None:
        driver = metered(ConsecutiveFailures(3))
        assert driver.call(F, F) is CLOSED
        assert driver.call(F) is OPEN

    def test_a_threshold_of_one_trips_at_the_first_failure(self) -> None:
        assert metered(ConsecutiveFailures(1)).call(F) is OPEN

    def test_a_success_ends_the_run(self) -> None:
        driver = metered(ConsecutiveFailures(3))
        assert driver.call(F, F, S, F, F) is CLOSED
        assert driver.snapshot.failure_count == 2
        assert driver.call(F) is OPEN

    def test_an_ignored_call_neither_ends_nor_lengthens_the_run(self) -> None:
        driver = metered(ConsecutiveFailures(3))
        assert driver.call(F, I, F, I) is CLOSED
        assert driver.call(F) is OPEN

    def test_evidence_gives_the_length_of_the_run(self) -> None:
        driver = metered(ConsecutiveFailures(3))
        driver.call(F, F, F)
        cause = driver.transitions[-1].cause
        assert (cause.text, cause.observed, cause.threshold) == ("3 consecutive failures (threshold 3)", 3, 3)
        assert cause.rule == "3 consecutive failures"

    def test_it_measures_no_rates(self) -> None:
        driver = metered(ConsecutiveFailures(3))
        driver.call(F, S)
        assert driver.snapshot.failure_rate is None
        assert driver.snapshot.slow_call_rate is None


class TestConsecutiveFailuresWithin:
    def test_a_failure_exactly_as_old_as_the_limit_is_forgotten(self) -> None:
        driver = metered(ConsecutiveFailures(2, within_seconds=10))
        driver.call(F)
        driver.advance(10)
        assert driver.snapshot.failure_count == 0
        assert driver.call(F) is CLOSED

    def test_a_failure_just_younger_than_the_limit_counts(self) -> None:
        driver = metered(ConsecutiveFailures(2, within_seconds=10))
        driver.call(F)
        driver.advance(9.999)
        assert driver.snapshot.failure_count == 1
        assert driver.call(F) is OPEN

    def test_only_the_recent_part_of_a_run_counts(self) -> None:
        driver = metered(ConsecutiveFailures(3, within_seconds=10))
        for _ in range(20):
            assert driver.call(F) is CLOSED
            driver.advance(6)
        assert driver.call(F) is CLOSED
        assert driver.call(F) is OPEN

    def test_a_success_ends_the_run(self) -> None:
        driver = metered(ConsecutiveFailures(2, within_seconds=10))
        assert driver.call(F, S, F) is CLOSED
        driver.call(S)
        assert driver.snapshot.failure_count == 0

    def test_failures_count_although_the_clock_steps_back(self) -> None:
        driver = metered(ConsecutiveFailures(2, within_seconds=10))
        driver.advance(100)
        driver.call(F)
        driver.advance(-50)
        assert driver.call(F) is OPEN

    def test_evidence_and_rates_are_those_of_a_run(self) -> None:
        driver = metered(ConsecutiveFailures(2, within_seconds=10))
        driver.call(F, F)
        assert driver.transitions[-1].cause.text == "2 consecutive failures (threshold 2)"
        assert driver.snapshot.failure_rate is None
        assert driver.snapshot.slow_call_rate is None


class TestFailureRate:
    def test_trips_where_the_rate_is_reached_exactly(self) -> None:
        driver = metered(FailureRate(0.5, window=LAST_TEN, minimum_calls=4))
        assert driver.call(S, S, F) is CLOSED
        assert driver.call(F) is OPEN

    def test_does_not_trip_just_below_the_rate(self) -> None:
        driver = metered(FailureRate(0.500001, window=LAST_TEN, minimum_calls=4))
        assert driver.call(S, S, F, F) is CLOSED

    def test_is_undefined_and_trips_nothing_below_the_minimum_of_calls(self) -> None:
        driver = metered(FailureRate(0.5, window=LAST_TEN, minimum_calls=4))
        assert driver.call(F, F, F) is CLOSED
        assert driver.snapshot.failure_rate is None
        assert driver.snapshot.failure_count == 3

    def test_trips_at_a_success_that_makes_up_the_minimum_of_calls(self) -> None:
        driver = metered(FailureRate(0.5, window=LAST_TEN, minimum_calls=4))
        assert driver.call(F, F, F, S) is OPEN
        assert driver.transitions[-1].cause.observed == 0.75

    def test_the_same_holds_on_the_closed_path(self) -> None:
        driver = metered(FailureRate(0.5, window=LAST_TEN, minimum_calls=4))
        driver.call(F, F, F)
        driver.succeed_on_the_closed_path()
        assert driver.state is OPEN

    def test_ignored_calls_make_up_no_minimum(self) -> None:
        driver = metered(FailureRate(0.5, window=LAST_TEN, minimum_calls=2))
        assert driver.call(F, I, I, I) is CLOSED

    def test_a_rate_of_one_wants_nothing_but_failures(self) -> None:
        driver = metered(FailureRate(1, window=CountWindow(3), minimum_calls=3))
        assert driver.call(S, F, F) is CLOSED
        assert driver.call(F) is OPEN

    def test_old_calls_leave_a_count_window(self) -> None:
        driver = metered(FailureRate(0.5, window=CountWindow(4), minimum_calls=4))
        assert driver.call(F, S, S, S) is CLOSED
        assert driver.snapshot.failure_rate == 0.25
        driver.call(S)
        assert driver.snapshot.failure_rate == 0.0

    def test_old_calls_leave_a_time_window(self) -> None:
        driver = metered(FailureRate(0.5, window=TEN_SECONDS, minimum_calls=2))
        driver.call(S, S, F)
        driver.advance(9)
        assert driver.snapshot.failure_rate == pytest.approx(1 / 3)
        driver.advance(1)
        assert driver.snapshot.failure_rate is None
        assert driver.call(F) is CLOSED
        assert driver.call(F) is OPEN

    def test_trips_at_a_success_after_older_successes_have_left_the_time_window(self) -> None:
        driver = metered(FailureRate(0.5, window=TEN_SECONDS, minimum_calls=2))
        driver.call(S, S, S)
        driver.advance(5)
        assert driver.call(F, F) is CLOSED
        driver.advance(5)
        driver.succeed_on_the_closed_path()
        assert driver.state is OPEN
        assert driver.transitions[-1].cause.text == "failure rate 66.7 % (2 of 3 calls failed; threshold 50 %)"

    def test_no_success_is_asked_for_in_a_count_window_while_there_is_no_failure(self) -> None:
        driver = metered(FailureRate(0.5, window=LAST_TEN, minimum_calls=4))
        assert not driver.machine.epoch.observed
        driver.call(F)
        assert driver.machine.epoch.observed
        driver.call(S, S, S)
        assert not driver.machine.epoch.observed

    def test_one_success_is_asked_for_per_bucket_of_a_time_window(self) -> None:
        driver = metered(FailureRate(0.5, window=TEN_SECONDS, minimum_calls=4))
        driver.succeed_on_the_closed_path()
        assert (driver.machine.epoch.observed, driver.machine.epoch.edge) == (True, 1.0)

    def test_measures_no_slow_calls(self) -> None:
        driver = metered(FailureRate(0.5, window=LAST_TEN, minimum_calls=1))
        driver.call(S)
        assert driver.snapshot.slow_call_rate is None


class TestFailureCount:
    def test_trips_where_the_count_is_reached_whatever_the_successes(self) -> None:
        driver = metered(FailureCount(3, window=TEN_SECONDS))
        assert driver.call(F, *[S] * 100, F, S) is CLOSED
        assert driver.call(F) is OPEN
        assert driver.transitions[-1].cause.text == "3 failures in the last 10 s (threshold 3)"
        assert driver.transitions[-1].cause.observed == 3

    def test_failures_leave_a_time_window(self) -> None:
        driver = metered(FailureCount(2, window=TEN_SECONDS))
        driver.call(F)
        driver.advance(10)
        assert driver.snapshot.failure_count == 0
        assert driver.call(F) is CLOSED

    def test_failures_leave_a_count_window(self) -> None:
        driver = metered(FailureCount(2, window=CountWindow(3)))
        assert driver.call(F, S, S, F) is CLOSED
        assert driver.snapshot.failure_count == 1
        assert driver.call(S, F) is OPEN

    def test_never_asks_for_a_success(self) -> None:
        driver = metered(FailureCount(2, window=TEN_SECONDS))
        driver.call(F)
        assert not driver.machine.epoch.observed

    def test_measures_no_rates(self) -> None:
        driver = metered(FailureCount(2, window=LAST_TEN))
        driver.call(F, S)
        assert driver.snapshot.failure_rate is None
        assert driver.snapshot.slow_call_rate is None


class TestSlowCallRate:
    def test_a_call_of_exactly_the_limit_is_not_slow(self) -> None:
        driver = metered(slow_rate())
        assert driver.call(S, S, duration=1.0) is CLOSED
        assert driver.snapshot.slow_call_rate == 0.0

    def test_a_call_just_longer_is_slow_whether_it_succeeded_or_failed(self) -> None:
        driver = metered(slow_rate(1.0, minimum_calls=3))
        assert driver.call(S, F, duration=1.0000001) is CLOSED
        assert driver.call(S, duration=1.0000001) is OPEN
        cause = driver.transitions[-1].cause
        assert cause.text == "slow call rate 100 % (3 of 3 calls took longer than 1 s; threshold 100 %)"
        assert (cause.observed, cause.threshold) == (1.0, 1.0)

    def test_is_undefined_below_the_minimum_of_calls(self) -> None:
        driver = metered(slow_rate(minimum_calls=3))
        driver.call(S, S, duration=2)
        assert driver.snapshot.slow_call_rate is None
        assert driver.state is CLOSED

    def test_trips_at_a_fast_call_that_makes_up_the_minimum(self) -> None:
        driver = metered(slow_rate(minimum_calls=3))
        driver.call(S, S, duration=2)
        assert driver.call(S, duration=0.1) is OPEN

    def test_counts_failures_in_the_same_window(self) -> None:
        driver = metered(slow_rate(1.0, minimum_calls=2, window=TEN_SECONDS))
        driver.call(F, F, S, duration=0.1)
        assert driver.snapshot.failure_count == 2
        assert driver.snapshot.failure_rate is None
        driver.advance(10)
        assert driver.snapshot.failure_count == 0

    def test_slow_calls_leave_the_window(self) -> None:
        driver = metered(slow_rate(0.5, minimum_calls=2, window=TEN_SECONDS))
        driver.call(S, duration=2)
        driver.advance(10)
        assert driver.call(S, duration=2) is CLOSED
        assert driver.call(S, duration=2) is OPEN

    def test_asks_for_durations_but_only_for_the_calls_that_may_trip_it(self) -> None:
        driver = metered(slow_rate(minimum_calls=3))
        assert driver.machine.meter.needs_duration
        assert not driver.machine.meter.needs_clock
        assert not driver.machine.epoch.observed
        driver.call(S, duration=2)
        assert driver.machine.epoch.observed

    def test_closing_empties_its_window(self) -> None:
        driver = metered(slow_rate(minimum_calls=3))
        driver.call(F, F, S, duration=2)
        driver.wait_out()
        assert driver.call(S, duration=0.1) is CLOSED
        assert driver.snapshot.failure_count == 0
        assert driver.call(S, S, duration=2) is CLOSED
        assert driver.call(S, duration=2) is OPEN


class TestCombinations:
    def test_either_rule_trips(self) -> None:
        rule = ConsecutiveFailures(3) | FailureCount(4, window=LAST_TEN)
        driver = metered(rule)
        assert driver.call(F, F, F) is OPEN
        driver = metered(rule)
        assert driver.call(F, F, S, F, F) is OPEN
        assert driver.transitions[-1].cause.text == "4 failures in the last 10 calls (threshold 4)"

    def test_where_both_trip_the_first_is_the_evidence(self) -> None:
        run, count = ConsecutiveFailures(3), FailureCount(3, window=LAST_TEN)
        for rule, text in (
            (run | count, "3 consecutive failures (threshold 3)"),
            (count | run, "3 failures in the last 10 calls (threshold 3)"),
        ):
            driver = metered(rule)
            assert driver.call(F, F, F) is OPEN
            assert driver.transitions[-1].cause.text == text
            assert driver.transitions[-1].cause.rule == str(rule)

    def test_every_rule_records_every_call_also_the_one_that_trips(self) -> None:
        rate = FailureRate(0.9, window=LAST_TEN, minimum_calls=1)
        driver = metered(ConsecutiveFailures(2) | rate)
        driver.call(S, F, F)
        assert driver.state is OPEN
        assert driver.transitions[-1].snapshot.failure_rate == pytest.approx(2 / 3)

    def test_every_rule_records_the_success_that_trips_another(self) -> None:
        driver = metered(FailureRate(0.5, window=LAST_TEN, minimum_calls=3) | slow_rate(1.0, minimum_calls=3))
        driver.call(F, F)
        assert driver.call(S, duration=2) is OPEN
        assert driver.transitions[-1].snapshot.slow_call_rate == pytest.approx(1 / 3)

    def test_rules_of_all_kinds_work_side_by_side(self) -> None:
        rule = (
            ConsecutiveFailures(4)
            | FailureRate(0.9, window=TEN_SECONDS, minimum_calls=5)
            | slow_rate(0.6, minimum_calls=5)
        )
        driver = metered(rule)
        assert driver.call(F, F, F, S, duration=2) is CLOSED
        assert driver.call(S, duration=0.5) is OPEN
        snapshot = driver.transitions[-1].snapshot
        assert (snapshot.failure_rate, snapshot.slow_call_rate) == (0.6, 0.8)
        assert "slow call rate 80 %" in driver.transitions[-1].cause.text

    def test_rates_are_those_of_the_first_rule_that_has_one(self) -> None:
        rate = FailureRate(0.9, window=LAST_TEN, minimum_calls=2)
        driver = metered(ConsecutiveFailures(9) | FailureRate(0.9, window=LAST_TEN, minimum_calls=9) | rate)
        driver.call(F, S)
        assert driver.snapshot.failure_rate == 0.5
        assert driver.snapshot.slow_call_rate is None

    @pytest.mark.parametrize(
        ("rule", "count"),
        [
            (ConsecutiveFailures(9) | FailureCount(9, window=LAST_TEN), 1),
            (FailureCount(9, window=LAST_TEN) | ConsecutiveFailures(9), 2),
        ],
    )
    def test_failure_count_is_that_of_the_first_rule(self, rule: TripRule, count: int) -> None:
        driver = metered(rule)
        driver.call(F, S, F)
        assert driver.snapshot.failure_count == count


class TestEvidence:
    @pytest.mark.parametrize(
        "rule",
        [
            ConsecutiveFailures(3),
            ConsecutiveFailures(3, within_seconds=10),
            FailureRate(0.5, window=LAST_TEN, minimum_calls=4),
            FailureCount(3, window=LAST_TEN),
            slow_rate(minimum_calls=4),
            ConsecutiveFailures(3) | FailureCount(3, window=LAST_TEN),
        ],
    )
    def test_there_is_none_while_no_rule_is_met(self, rule: TripRule) -> None:
        driver = metered(rule)
        driver.call(F, S, F)
        machine = driver.machine
        assert machine.meter.evidence(machine.epoch, driver.now) is None

    def test_there_is_none_for_a_rate_below_its_threshold(self) -> None:
        driver = metered(FailureRate(0.5, window=LAST_TEN, minimum_calls=2))
        driver.call(S, S, F)
        machine = driver.machine
        assert machine.meter.evidence(machine.epoch, driver.now) is None
        assert driver.snapshot.failure_rate == pytest.approx(1 / 3)
