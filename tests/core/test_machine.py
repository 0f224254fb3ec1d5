"""The machine by example: what each row of the table does besides changing the state."""

import pytest

from recloser._core.backoff import ExponentialBackoff
from recloser._core.machine import Probe
from recloser._core.states import CircuitState, Trigger
from recloser._core.trip import ConsecutiveFailures, FailureCount, FailureRate, SlowCallRate
from recloser._core.windows import CountWindow, TimeWindow
from tests.core.driver import CountingGate, Driver, F, I, S

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
FORCED_OPEN, DISABLED = CircuitState.FORCED_OPEN, CircuitState.DISABLED


class TestClosed:
    def test_admits_everything_with_the_epoch_as_the_ticket(self) -> None:
        driver = Driver()
        assert driver.admit() is driver.admit() is driver.machine.epoch
        assert not driver.gates

    def test_reads_as_ready(self) -> None:
        driver = Driver(now=5.0)
        snapshot = driver.snapshot
        assert (snapshot.retry_after, snapshot.opened_monotonic, snapshot.cause, snapshot.attempt) == (
            0.0,
            None,
            None,
            0,
        )
        assert (snapshot.changed_monotonic, snapshot.taken_monotonic) == (5.0, 5.0)
        assert not driver.machine.is_full(5.0)

    def test_counts_every_kind_of_end_once(self) -> None:
        driver = Driver()
        driver.call(S, S, F, I)
        driver.settle(driver.admit(), I, cancelled=True)
        driver.machine.leak(driver.admit())
        snapshot = driver.snapshot
        assert (snapshot.success_total, snapshot.failure_total, snapshot.ignored_total) == (2, 1, 1)
        assert (snapshot.cancelled_total, snapshot.leaked_total, snapshot.late_total) == (1, 1, 0)

    def test_a_snapshot_names_the_rule_and_its_threshold(self) -> None:
        snapshot = Driver(failure_threshold=7).snapshot
        assert (snapshot.rule, snapshot.threshold) == ("7 consecutive failures", 7)


class TestOpening:
    def test_begins_the_first_attempt_and_the_open_time(self) -> None:
        driver = Driver(failure_threshold=2, reset_timeout_seconds=30, now=100.0)
        driver.call(F, F)
        snapshot = driver.snapshot
        assert (snapshot.state, snapshot.attempt, snapshot.opened_monotonic, snapshot.retry_after) == (
            OPEN,
            1,
            100.0,
            30.0,
        )
        assert driver.machine.last_error == "ConnectionError: down"

    def test_may_last_as_long_as_whoever_opens_it_says(self) -> None:
        driver = Driver(reset_timeout_seconds=30, now=100.0)
        driver.machine.transition(Trigger.TRIPPED, 100.0, open_seconds=7.0)
        assert (driver.machine.open_seconds, driver.snapshot.retry_after, driver.snapshot.attempt) == (7.0, 7.0, 1)

    def test_the_transition_holds_the_counts_before_it(self) -> None:
        driver = Driver(failure_threshold=2)
        driver.call(F, F)
        before = driver.transitions[0].snapshot
        assert (before.state, before.failure_count, before.attempt, before.generation) == (CLOSED, 2, 0, 1)
        assert (driver.transitions[0].old, driver.transitions[0].new) == (CLOSED, OPEN)

    def test_freezes_the_count_of_failures(self) -> None:
        driver = Driver(trip_when=FailureCount(3, window=TimeWindow(10)), reset_timeout_seconds=60)
        driver.call(F, F, F)
        driver.advance(30)
        assert driver.snapshot.failure_count == 3
        driver.wait_out()
        driver.admit()
        assert driver.snapshot.failure_count == 3


class TestOpen:
    def test_rejects_and_tells_the_time_left(self) -> None:
        driver = Driver(failure_threshold=1, reset_timeout_seconds=30)
        driver.call(F)
        driver.advance(29.75)
        assert driver.try_admit() is None
        assert driver.snapshot.retry_after == 0.25
        assert driver.state is OPEN

    def test_reading_changes_nothing_when_the_time_is_over(self) -> None:
        driver = Driver(failure_threshold=1, reset_timeout_seconds=30)
        driver.call(F)
        driver.advance(1000)
        assert driver.snapshot == driver.snapshot
        assert (driver.snapshot.state, driver.snapshot.retry_after) == (OPEN, 0.0)
        assert not driver.gates

    def test_a_call_at_the_very_instant_is_a_probe(self) -> None:
        driver = Driver(failure_threshold=1, reset_timeout_seconds=30)
        driver.call(F)
        driver.advance(30)
        probe = driver.admit()
        assert isinstance(probe, Probe)
        assert driver.state is HALF_OPEN
        assert probe.admitted_at == 30

    def test_a_gate_that_cannot_be_made_leaves_it_open(self) -> None:
        driver = Driver(failure_threshold=1)
        driver.call(F)
        driver.wait_out()
        before = driver.snapshot

        def no_loop(permits: int) -> CountingGate:
            raise RuntimeError(permits)

        with pytest.raises(RuntimeError):
            driver.machine.admit(driver.now, no_loop)
        assert driver.snapshot == before
        driver.admit()

    def test_does_not_measure_probes(self) -> None:
        driver = Driver(trip_when=FailureRate(0.5, window=CountWindow(10), minimum_calls=2), success_threshold=3)
        driver.call(F, F)
        driver.wait_out()
        driver.call(S, S)
        assert driver.snapshot.failure_rate == 1.0


class TestHalfOpen:
    def test_admits_as_many_probes_at_once_as_it_may(self) -> None:
        driver = Driver(max_probes=3)
        driver.half_open()
        probes = [driver.admit() for _ in range(3)]
        assert driver.try_admit() is None
        assert driver.machine.is_full(driver.now)
        driver.settle(probes[1], I)
        assert not driver.machine.is_full(driver.now)
        assert driver.try_admit() is not None
        assert driver.try_admit() is None

    def test_does_not_know_when_a_call_has_a_chance(self) -> None:
        driver = Driver()
        driver.half_open()
        driver.admit()
        assert driver.snapshot.retry_after is None

    def test_closes_after_enough_successes_and_forgets_what_was_counted(self) -> None:
        driver = Driver(failure_threshold=2, success_threshold=2)
        driver.call(F, F)
        driver.wait_out()
        assert driver.call(S) is HALF_OPEN
        assert driver.snapshot.probes_passed == 1
        assert driver.call(S) is CLOSED
        snapshot = driver.snapshot
        assert (snapshot.failure_count, snapshot.attempt, snapshot.opened_monotonic) == (0, 0, None)
        assert driver.machine.last_error is None
        assert driver.call(F) is CLOSED

    def test_ignored_probes_do_not_count(self) -> None:
        driver = Driver(success_threshold=2)
        driver.half_open()
        driver.call(S, I, I)
        assert (driver.state, driver.snapshot.probes_passed) == (HALF_OPEN, 1)
        assert driver.call(S) is CLOSED

    def test_one_failure_opens_again_whatever_succeeded_before(self) -> None:
        driver = Driver(success_threshold=3, max_probes=3)
        driver.half_open()
        driver.call(S, S)
        assert driver.call(F) is OPEN
        driver.wait_out()
        assert driver.call(S) is HALF_OPEN
        assert driver.snapshot.probes_passed == 1

    def test_every_failure_in_a_row_makes_the_reset_timeout_longer_until_it_closes(self) -> None:
        backoff = ExponentialBackoff(initial_seconds=1, multiplier=2, maximum_seconds=5, jitter=0)
        driver = Driver(failure_threshold=1, reset_timeout_seconds=backoff)
        driver.call(F)
        waits = []
        for _ in range(4):
            waits.append(driver.snapshot.retry_after)
            driver.wait_out()
            driver.call(F)
        assert waits == [1.0, 2.0, 4.0, 5.0]
        assert driver.snapshot.attempt == 5
        driver.wait_out()
        driver.call(S)
        driver.call(F)
        assert (driver.snapshot.retry_after, driver.snapshot.attempt) == (1.0, 1)

    def test_a_slow_probe_counts_as_failed_although_it_succeeded(self) -> None:
        driver = Driver(trip_when=ConsecutiveFailures(5) | SlowCallRate(0.5, slow_call_seconds=1))
        driver.half_open()
        assert driver.call(S, duration=1.0000001) is OPEN
        assert driver.transitions[-1].cause.trigger is Trigger.PROBE_FAILED
        assert (driver.snapshot.success_total, driver.snapshot.failure_total) == (1, 0)

    def test_a_probe_of_exactly_the_limit_is_not_slow(self) -> None:
        driver = Driver(trip_when=SlowCallRate(0.5, slow_call_seconds=1))
        driver.half_open()
        assert driver.call(S, duration=1.0) is CLOSED

    def test_without_a_rule_about_slow_calls_no_probe_is_slow(self) -> None:
        driver = Driver()
        driver.half_open()
        assert driver.call(S, duration=1e9) is CLOSED

    def test_probes_count_in_the_totals(self) -> None:
        driver = Driver(failure_threshold=1)
        driver.call(F)
        driver.wait_out()
        driver.call(F)
        driver.wait_out()
        driver.call(I, S)
        snapshot = driver.snapshot
        assert (snapshot.probe_total, snapshot.failure_total, snapshot.success_total) == (3, 2, 1)
        assert snapshot.ignored_total == 1


class TestProbeTimeout:
    def test_is_noticed_at_the_next_call_and_counts_as_a_failure(self) -> None:
        driver = Driver(reset_timeout_seconds=10, probe_timeout_seconds=5)
        driver.half_open()
        driver.admit()
        driver.advance(4.75)
        assert driver.try_admit() is None
        assert driver.state is HALF_OPEN
        driver.advance(0.25)
        assert driver.state is HALF_OPEN
        assert not driver.machine.is_full(driver.now)
        assert driver.try_admit() is None
        assert (driver.state, driver.snapshot.failure_total) == (OPEN, 1)
        assert driver.transitions[-1].cause.trigger is Trigger.PROBE_TIMED_OUT

    def test_the_new_reset_timeout_counts_from_the_instant_the_limit_ran_out(self) -> None:
        driver = Driver(reset_timeout_seconds=10, probe_timeout_seconds=5)
        driver.half_open()
        driver.admit()
        driver.advance(12)
        assert driver.try_admit() is None
        snapshot = driver.snapshot
        assert (snapshot.opened_monotonic, snapshot.changed_monotonic, snapshot.retry_after) == (0.0, 15.0, 3.0)
        assert driver.transitions[-1].monotonic == 22.0

    def test_the_call_that_notices_may_itself_be_the_next_probe(self) -> None:
        driver = Driver(reset_timeout_seconds=10, probe_timeout_seconds=5)
        driver.half_open()
        hanging = driver.admit()
        driver.advance(15)
        probe = driver.admit()
        assert probe is not hanging
        assert [step.new for step in driver.transitions[-2:]] == [OPEN, HALF_OPEN]
        assert driver.snapshot.attempt == 2

    def test_a_timed_out_probe_counts_as_failed_and_once_more_as_late_when_it_ends(self) -> None:
        driver = Driver(reset_timeout_seconds=10, probe_timeout_seconds=5)
        driver.half_open()
        probe = driver.admit()
        driver.advance(5)
        driver.try_admit()
        before = driver.snapshot
        driver.settle(probe, F)
        after = driver.snapshot
        assert (after.late_total, after.failure_total, after.success_total) == (before.late_total + 1, 1, 0)
        assert (after.state, after.generation, after.retry_after) == (OPEN, before.generation, before.retry_after)
        assert driver.gates[-1].free == 1

    def test_a_probe_that_succeeds_after_its_limit_closes_if_nobody_has_noticed(self) -> None:
        driver = Driver(reset_timeout_seconds=10, probe_timeout_seconds=5)
        driver.half_open()
        probe = driver.admit()
        driver.advance(12)
        assert driver.settle(probe, S) is CLOSED
        assert driver.snapshot.late_total == 0

    def test_the_oldest_of_several_times_out_first(self) -> None:
        driver = Driver(probe_timeout_seconds=5, max_probes=2)
        driver.half_open()
        driver.admit()
        driver.advance(4)
        young = driver.admit()
        driver.advance(1)
        driver.try_admit()
        assert driver.state is OPEN
        assert driver.snapshot.failure_total == 1
        driver.settle(young, F)
        assert (driver.snapshot.failure_total, driver.snapshot.late_total) == (1, 1)

    def test_by_default_is_the_reset_timeout_and_at_least_a_minute(self) -> None:
        for open_seconds, limit in ((10, 60), (300, 300)):
            driver = Driver(reset_timeout_seconds=open_seconds)
            driver.half_open()
            driver.admit()
            driver.advance(limit - 0.25)
            assert driver.machine.is_full(driver.now)
            driver.advance(0.25)
            assert not driver.machine.is_full(driver.now)

    def test_after_forcing_is_the_forced_time_and_at_least_a_minute(self) -> None:
        driver = Driver(reset_timeout_seconds=500, failure_threshold=1)
        driver.call(F)
        driver.go(Trigger.FORCED_OPEN, reason="because", for_seconds=90.0)
        driver.wait_out()
        driver.admit()
        driver.advance(89)
        assert driver.machine.is_full(driver.now)
        driver.advance(1)
        assert not driver.machine.is_full(driver.now)


class TestByHand:
    def test_forced_open_rejects_until_it_is_reset(self) -> None:
        driver = Driver(reset_timeout_seconds=1)
        driver.go(Trigger.FORCED_OPEN, reason="because")
        driver.advance(1e9)
        assert driver.try_admit() is None
        assert driver.snapshot.retry_after is None
        driver.go(Trigger.RESET)
        assert driver.call(S) is CLOSED

    def test_forced_open_for_a_time_lets_a_probe_through_when_it_is_over(self) -> None:
        driver = Driver()
        driver.go(Trigger.FORCED_OPEN, reason="because", for_seconds=20.0)
        driver.advance(19)
        assert driver.try_admit() is None
        assert driver.snapshot.retry_after == 1.0
        driver.advance(1)
        assert isinstance(driver.admit(), Probe)

    def test_a_probe_that_fails_after_forcing_opens_at_the_first_attempt(self) -> None:
        driver = Driver(reset_timeout_seconds=ExponentialBackoff(initial_seconds=3, jitter=0))
        driver.go(Trigger.FORCED_OPEN, reason="because", for_seconds=20.0)
        driver.wait_out()
        assert driver.call(F) is OPEN
        assert (driver.snapshot.attempt, driver.snapshot.retry_after) == (1, 3.0)

    def test_forcing_freezes_the_count_of_failures(self) -> None:
        driver = Driver(failure_threshold=5)
        driver.call(F, F)
        driver.go(Trigger.FORCED_OPEN, reason="because")
        assert (driver.snapshot.failure_count, driver.snapshot.opened_monotonic) == (2, 0.0)
        assert driver.machine.last_error is None

    def test_disabled_admits_and_counts_and_never_trips(self) -> None:
        driver = Driver(failure_threshold=2)
        driver.go(Trigger.DISABLED)
        assert driver.call(*[F] * 10) is DISABLED
        snapshot = driver.snapshot
        assert (snapshot.failure_total, snapshot.failure_count, snapshot.retry_after) == (10, 10, 0.0)

    def test_disabled_trips_on_no_success_either(self) -> None:
        driver = Driver(trip_when=FailureRate(0.5, window=CountWindow(10), minimum_calls=4))
        driver.go(Trigger.DISABLED)
        assert driver.call(F, F, F, S) is DISABLED
        driver.succeed_on_the_closed_path()
        assert driver.state is DISABLED

    def test_disabling_an_open_breaker_forgets_its_opening(self) -> None:
        driver = Driver(failure_threshold=1)
        driver.call(F)
        driver.go(Trigger.DISABLED)
        assert (driver.snapshot.opened_monotonic, driver.snapshot.attempt) == (None, 0)

    @pytest.mark.parametrize("trigger", [Trigger.FORCED_OPEN, Trigger.DISABLED])
    def test_a_reset_closes_and_forgets_what_was_counted(self, trigger: Trigger) -> None:
        driver = Driver(failure_threshold=3)
        driver.call(F, F)
        driver.go(trigger, reason="because" if trigger is Trigger.FORCED_OPEN else None)
        driver.go(Trigger.RESET)
        assert (driver.state, driver.snapshot.failure_count) == (CLOSED, 0)
        assert driver.call(F, F) is CLOSED

    def test_a_reset_of_a_closed_breaker_forgets_what_was_counted(self) -> None:
        driver = Driver(failure_threshold=3)
        driver.call(F, F)
        driver.go(Trigger.RESET)
        assert driver.call(F, F) is CLOSED
        assert driver.call(F) is OPEN


class TestDeadLoop:
    def test_the_probes_of_a_loop_that_is_gone_are_given_up(self) -> None:
        driver = Driver()
        driver.half_open()
        lost = driver.admit()
        driver.machine.leak(lost)
        assert (driver.snapshot.probes_in_flight, driver.snapshot.leaked_total) == (0, 1)
        assert isinstance(driver.admit(), Probe)
        driver.settle(lost, F)
        assert (driver.state, driver.snapshot.late_total) == (HALF_OPEN, 1)
        assert [gate.free for gate in driver.gates] == [0]


def half_open(max_probes: int = 1, success_threshold: int = 1) -> Driver:
    driver = Driver(failure_threshold=1, max_probes=max_probes, success_threshold=success_threshold)
    driver.call(F)
    driver.advance(60)
    return driver


def test_a_half_open_machine_without_an_episode_begins_one() -> None:
    driver = half_open()
    driver.admit()
    driver.machine.episode = None
    assert not driver.machine.is_full(driver.now)
    driver.settle(driver.admit(), S)
    assert driver.state is CircuitState.CLOSED


def test_permits_that_nobody_holds_come_back_with_a_new_gate() -> None:
    driver = half_open(max_probes=2, success_threshold=2)
    first = driver.admit()
    assert driver.gates[0].take()
    second = driver.admit()
    assert driver.try_admit() is None
    driver.settle(first, S)
    driver.settle(second, S)
    assert driver.state is CircuitState.CLOSED
    assert [gate.free for gate in driver.gates] == [0, 2]
