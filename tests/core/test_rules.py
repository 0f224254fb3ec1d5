"""The numbered rules of the design, as far as they concern the machine: each has been a bug in a well-known library."""

from collections.abc import Callable

import pytest

from recloser._core.machine import Probe
from recloser._core.outcomes import Outcome
from recloser._core.states import CircuitState, Trigger
from recloser._core.trip import FailureRate, SlowCallRate
from recloser._core.windows import CountWindow, TimeWindow
from tests.core.driver import CountingGate, Driver, F, I, S

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


def opened(**options: object) -> Driver:
    """Returns a driver that has just been opened by a failure, while another call was on its way."""
    driver = Driver(failure_threshold=1, reset_timeout_seconds=10, **options)
    driver.call(F)
    return driver


class TestRule1Generations:
    @pytest.mark.parametrize("trigger", [Trigger.RESET, Trigger.DISABLED, Trigger.FORCED_OPEN, Trigger.TRIPPED])
    @pytest.mark.parametrize("outcome", Outcome)
    def test_a_late_outcome_changes_nothing_but_the_number_of_late_ones(
        self, trigger: Trigger, outcome: Outcome
    ) -> None:
        driver = Driver(failure_threshold=1)
        ticket = driver.admit()
        driver.go(trigger)
        before = driver.snapshot
        driver.settle(ticket, outcome)
        after = driver.snapshot
        assert after.late_total == before.late_total + 1
        assert (after.state, after.generation, after.failure_count) == (before.state, before.generation, 0)
        assert (after.success_total, after.failure_total, after.ignored_total) == (0, 0, 0)
        assert after.retry_after == before.retry_after

    def test_a_late_failure_does_not_make_the_reset_timeout_longer(self) -> None:
        driver = Driver(failure_threshold=1, reset_timeout_seconds=10)
        late = driver.admit()
        driver.call(F)
        driver.advance(5)
        driver.settle(late, F)
        assert (driver.snapshot.retry_after, driver.snapshot.attempt) == (5.0, 1)

    def test_a_late_success_does_not_close_a_new_generation(self) -> None:
        driver = Driver(failure_threshold=1)
        late = driver.admit()
        driver.call(F)
        driver.wait_out()
        driver.admit()
        assert driver.settle(late, S) is HALF_OPEN
        assert driver.snapshot.probes_passed == 0

    def test_a_late_failure_does_not_open_a_new_generation(self) -> None:
        driver = Driver(failure_threshold=1)
        late = driver.admit()
        driver.call(F)
        driver.wait_out()
        assert driver.call(S) is CLOSED
        assert driver.settle(late, F) is CLOSED
        assert driver.snapshot.failure_count == 0

    def test_a_probe_of_an_old_episode_neither_closes_nor_opens_the_new_one(self) -> None:
        for outcome in (S, F):
            driver = opened(max_probes=2)
            driver.wait_out()
            old = driver.admit()
            driver.call(F)
            driver.wait_out()
            driver.admit()
            assert driver.settle(old, outcome) is HALF_OPEN
            assert driver.snapshot.late_total == 1

    def test_a_probe_of_an_old_episode_mints_no_permit_in_the_new_one(self) -> None:
        driver = opened(max_probes=2)
        driver.wait_out()
        old = driver.admit()
        driver.call(F)
        driver.wait_out()
        driver.admit()
        driver.admit()
        driver.settle(old, S)
        assert driver.try_admit() is None
        assert [gate.free for gate in driver.gates] == [2, 0]

    def test_a_reset_starts_a_new_generation_although_it_was_closed(self) -> None:
        driver = Driver(failure_threshold=1)
        late = driver.admit()
        driver.go(Trigger.RESET)
        assert not driver.machine.is_current(late)
        assert driver.settle(late, F) is CLOSED

    def test_every_transition_counts_the_generation_up_by_one(self) -> None:
        driver = opened()
        driver.wait_out()
        driver.call(S)
        driver.go(Trigger.DISABLED)
        driver.go(Trigger.DISABLED)
        driver.go(Trigger.FORCED_OPEN, reason="because")
        driver.go(Trigger.RESET)
        assert [step.snapshot.generation for step in driver.transitions] == list(range(1, 8))
        assert driver.snapshot.generation == 8

    def test_totals_go_on_from_one_generation_to_the_next(self) -> None:
        driver = Driver(failure_threshold=1)
        driver.call(S, S, F)
        driver.wait_out()
        driver.call(S)
        driver.call(S)
        assert (driver.snapshot.success_total, driver.snapshot.failure_total) == (4, 1)


class TestRule2SettleOnce:
    def test_a_probe_settled_twice_gives_back_one_permit_and_counts_once(self) -> None:
        driver = Driver(success_threshold=3, max_probes=2)
        driver.half_open()
        probe = driver.admit()
        driver.settle(probe, S)
        for outcome in Outcome:
            assert driver.settle(probe, outcome) is HALF_OPEN
        assert (driver.snapshot.probes_passed, driver.snapshot.success_total) == (1, 1)
        assert driver.gates[-1].free == 2

    def test_a_permit_that_is_dropped_is_released_and_counted_as_leaked(self) -> None:
        driver = Driver()
        driver.half_open()
        probe = driver.admit()
        driver.machine.leak(probe)
        assert (driver.snapshot.leaked_total, driver.snapshot.probes_in_flight) == (1, 0)
        assert (driver.state, driver.snapshot.probes_passed) == (HALF_OPEN, 0)
        assert isinstance(driver.admit(), Probe)

    def test_a_settled_permit_leaks_nothing(self) -> None:
        driver = Driver()
        driver.half_open()
        probe = driver.admit()
        assert driver.machine.is_unsettled(probe)
        driver.settle(probe, I)
        assert not driver.machine.is_unsettled(probe)
        driver.machine.leak(probe)
        assert driver.snapshot.leaked_total == 0
        assert driver.gates[-1].free == 1

    def test_a_leaked_permit_that_is_settled_after_all_is_late(self) -> None:
        driver = Driver()
        driver.half_open()
        probe = driver.admit()
        driver.machine.leak(probe)
        assert driver.settle(probe, S) is HALF_OPEN
        assert driver.snapshot.late_total == 1
        assert driver.gates[-1].free == 1

    def test_a_dropped_permit_of_the_closed_state_is_counted_and_changes_nothing(self) -> None:
        driver = Driver(failure_threshold=1)
        ticket = driver.admit()
        assert driver.machine.is_unsettled(ticket)
        driver.machine.leak(ticket)
        assert (driver.state, driver.snapshot.leaked_total, driver.snapshot.ignored_total) == (CLOSED, 1, 0)


def succeeds(driver: Driver, probe: Probe) -> None:
    driver.settle(probe, S)


def fails(driver: Driver, probe: Probe) -> None:
    driver.settle(probe, F)


def is_ignored(driver: Driver, probe: Probe) -> None:
    driver.settle(probe, I)


def is_cancelled(driver: Driver, probe: Probe) -> None:
    driver.settle(probe, I, cancelled=True)


def is_dropped(driver: Driver, probe: Probe) -> None:
    driver.machine.leak(probe)


def times_out(driver: Driver, probe: Probe) -> None:
    driver.advance(driver.machine.settings.probe_limit(10))
    driver.machine.admit(driver.now, CountingGate)
    assert probe.settled


def ends_after_a_reset(driver: Driver, probe: Probe) -> None:
    driver.go(Trigger.RESET)
    driver.settle(probe, S)


class TestRule3AProbeAlwaysGivesItsPermitBack:
    @pytest.mark.parametrize(
        "end", [succeeds, fails, is_ignored, is_cancelled, is_dropped, times_out, ends_after_a_reset]
    )
    def test_however_it_ends(self, end: Callable[[Driver, Probe], None]) -> None:
        driver = opened(success_threshold=2)
        driver.wait_out()
        probe = driver.admit()
        assert isinstance(probe, Probe)
        gate = driver.gates[-1]
        assert gate.free == 0
        end(driver, probe)
        assert gate.free == 1

    @pytest.mark.parametrize("count", [1, 2, 50])
    def test_no_number_of_ignored_probes_leaves_it_stuck(self, count: int) -> None:
        driver = opened()
        driver.wait_out()
        for _ in range(count):
            driver.call(I)
        assert driver.call(S) is CLOSED

    def test_probes_that_never_end_do_not_leave_it_stuck(self) -> None:
        driver = opened(max_probes=3)
        for _ in range(5):
            driver.wait_out()
            for _ in range(3):
                driver.admit()
            assert driver.try_admit() is None
            driver.advance(1000)
        driver.admit()
        assert driver.state is HALF_OPEN
        assert driver.call(S) is CLOSED


class TestRule7MonotonicTime:
    def test_the_origin_of_the_clock_does_not_matter(self) -> None:
        ends = []
        for start in (-1e6, 0.0, 1e6):
            driver = Driver(now=start, trip_when=FailureRate(0.5, window=TimeWindow(8, 8), minimum_calls=2))
            driver.call(F)
            driver.advance(8)
            driver.call(F)
            driver.advance(4)
            driver.call(F)
            ends.append((driver.state, driver.snapshot.retry_after))
        assert ends == [(OPEN, 60.0)] * 3

    def test_a_clock_that_steps_back_neither_closes_nor_opens(self) -> None:
        driver = opened()
        driver.advance(-100)
        assert driver.try_admit() is None
        assert driver.snapshot.retry_after == 110.0
        driver = Driver(now=100.0, trip_when=FailureRate(0.5, window=TimeWindow(10), minimum_calls=2))
        driver.call(S, S)
        driver.advance(-50)
        assert driver.call(F) is CLOSED
        assert driver.call(F) is OPEN


class TestRule8Comparisons:
    def test_a_rate_trips_where_it_is_reached(self) -> None:
        driver = Driver(trip_when=FailureRate(0.25, window=CountWindow(4), minimum_calls=4))
        assert driver.call(S, S, S, F) is OPEN

    def test_a_wait_ends_at_its_very_instant(self) -> None:
        driver = opened()
        driver.advance(10)
        assert driver.try_admit() is not None

    def test_a_rate_is_undefined_below_its_minimum_of_calls(self) -> None:
        driver = Driver(trip_when=FailureRate(0.01, window=CountWindow(4), minimum_calls=2))
        driver.call(F)
        assert (driver.state, driver.snapshot.failure_rate) == (CLOSED, None)

    def test_rules_are_evaluated_after_successes_too(self) -> None:
        driver = Driver(trip_when=FailureRate(0.5, window=CountWindow(4), minimum_calls=2))
        driver.call(F)
        assert driver.call(S) is OPEN

    def test_ignored_calls_enter_no_window(self) -> None:
        for window in (CountWindow(4), TimeWindow(10)):
            driver = Driver(trip_when=FailureRate(0.5, window=window, minimum_calls=2))
            driver.call(F, I, I, I, I)
            assert (driver.state, driver.snapshot.failure_count) == (CLOSED, 1)

    def test_slow_is_strictly_longer_whether_it_succeeded_or_failed(self) -> None:
        rule = SlowCallRate(1, slow_call_seconds=2, window=CountWindow(4), minimum_calls=2)
        driver = Driver(trip_when=rule)
        assert driver.call(S, F, duration=2.0) is CLOSED
        assert driver.snapshot.slow_call_rate == 0.0
        driver = Driver(trip_when=rule)
        assert driver.call(S, F, duration=2.0000001) is OPEN

    def test_without_a_rule_about_slow_calls_nothing_is_slow_and_no_clock_is_wanted(self) -> None:
        meter = Driver(trip_when=FailureRate(0.5, window=CountWindow(100))).machine.meter
        assert not meter.needs_duration
        assert not meter.needs_clock

    def test_a_time_window_wants_a_clock(self) -> None:
        meter = Driver(trip_when=FailureRate(0.5, window=TimeWindow(60))).machine.meter
        assert not meter.needs_duration
        assert meter.needs_clock

    def test_an_idle_gap_empties_a_time_window_fully(self) -> None:
        driver = Driver(trip_when=FailureRate(0.5, window=TimeWindow(10), minimum_calls=2))
        driver.call(S, S, S, F)
        driver.advance(10)
        assert (driver.snapshot.failure_count, driver.snapshot.failure_rate) == (0, None)
        assert driver.call(F) is CLOSED
        assert driver.call(F) is OPEN
