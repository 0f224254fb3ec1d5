"""A verdict by expiry is provisional: a probe that has run out of time may still pass."""

import pytest

from recloser._core.machine import CLOSED, HALF_OPEN, OPEN, Probe
from recloser._core.outcomes import Outcome
from recloser._core.states import Trigger
from recloser._core.trip import SlowCallRate
from tests.core.driver import Driver, F, I, S

LIMIT = 5
RESET = 10


def outage(**options: object) -> Driver:
    """Returns a driver whose breaker is open and takes a probe."""
    driver = Driver(reset_timeout_seconds=RESET, probe_timeout_seconds=LIMIT, **options)
    driver.open()
    driver.wait_out()
    return driver


def overrun(driver: Driver) -> Probe:
    """Returns a probe that has run out of time, which the next call has noticed."""
    driver.wait_out()
    probe = driver.admit()
    assert isinstance(probe, Probe)
    driver.advance(LIMIT)
    assert driver.try_admit() is None
    assert driver.state is OPEN
    return probe


def test_the_success_of_a_probe_that_ran_out_of_time_closes_the_breaker_with_that_as_the_cause() -> None:
    driver = outage()
    probe = overrun(driver)
    driver.advance(1)
    assert driver.settle(probe, S) is CLOSED
    cause = driver.transitions[-1].cause
    assert cause.trigger is Trigger.PROBE_PASSED_LATE
    assert cause.text == "a probe that had run out of time succeeded after all"
    snapshot = driver.snapshot
    assert (snapshot.failure_total, snapshot.late_total, snapshot.success_total) == (1, 1, 0)
    assert (snapshot.attempt, snapshot.changed_monotonic, snapshot.failure_count) == (0, driver.now, 0)


@pytest.mark.parametrize("outcome", [F, I])
def test_only_a_success_changes_the_verdict(outcome: Outcome) -> None:
    driver = outage()
    probe = overrun(driver)
    assert driver.settle(probe, outcome) is OPEN
    assert driver.snapshot.late_total == 1


def test_the_first_sign_of_life_is_a_success_too_and_the_rest_of_the_call_goes_on() -> None:
    driver = outage(failure_threshold=1)
    rest = driver.progress(overrun(driver))
    assert driver.state is CLOSED
    assert rest is driver.machine.epoch
    assert driver.settle(rest, F) is OPEN


def test_any_probe_of_the_outage_may_pass_late_whatever_came_to_nothing_after_it() -> None:
    driver = outage()
    first, _second = overrun(driver), overrun(driver)
    driver.wait_out()
    driver.call(I)
    assert driver.state is HALF_OPEN
    assert driver.settle(first, S) is CLOSED


@pytest.mark.parametrize("trigger", [Trigger.RESET, Trigger.FORCED_OPEN, Trigger.DISABLED])
def test_what_a_person_has_decided_since_stays(trigger: Trigger) -> None:
    driver = outage()
    probe = overrun(driver)
    state = driver.go(trigger).new
    assert driver.settle(probe, S) is state
    assert driver.snapshot.late_total == 1


def test_a_later_probe_that_failed_has_decided() -> None:
    driver = outage()
    early = overrun(driver)
    driver.wait_out()
    driver.call(F)
    assert driver.settle(early, S) is OPEN
    assert driver.settle(overrun(driver), S) is CLOSED


def test_an_outage_that_is_over_has_decided() -> None:
    driver = outage()
    early = overrun(driver)
    driver.wait_out()
    driver.call(S)
    driver.open()
    assert driver.settle(early, S) is OPEN


def test_what_is_final_stays() -> None:
    driver = outage()
    probe = overrun(driver)
    driver.machine.make_final()
    assert driver.settle(probe, S) is OPEN


class TestWhileALaterProbeRuns:
    def test_nothing_changes(self) -> None:
        driver = outage()
        early = overrun(driver)
        driver.wait_out()
        driver.admit()
        before = driver.snapshot
        assert driver.settle(early, S) is HALF_OPEN
        after = driver.snapshot
        assert (after.generation, after.probes_in_flight, after.late_total) == (before.generation, 1, 1)
        assert driver.try_admit() is None

    @pytest.mark.parametrize(("outcome", "state"), [(S, CLOSED), (F, OPEN), (I, HALF_OPEN)])
    def test_the_later_one_decides(self, outcome: Outcome, state: object) -> None:
        driver = outage()
        early = overrun(driver)
        driver.wait_out()
        later = driver.admit()
        driver.settle(early, S)
        assert driver.settle(later, outcome) is state

    def test_the_late_success_decides_once_the_later_one_runs_out_of_time_as_well(self) -> None:
        driver = outage()
        early = overrun(driver)
        driver.wait_out()
        later = driver.admit()
        driver.settle(early, S)
        driver.advance(LIMIT + 1)
        assert driver.admit() is driver.machine.epoch
        assert driver.transitions[-1].cause.trigger is Trigger.PROBE_PASSED_LATE
        assert driver.snapshot.changed_monotonic == driver.now - 1
        assert (driver.snapshot.ignored_total, driver.snapshot.failure_total) == (1, 1)
        assert driver.settle(later, F) is CLOSED

    def test_sessions_of_any_length_close_the_breaker(self) -> None:
        for length in range(LIMIT + 1, 5 * (LIMIT + RESET)):
            driver, sessions = outage(), []
            for _ in range(500):
                for session in [session for session in sessions if driver.now >= session[0] + length]:
                    sessions.remove(session)
                    driver.settle(session[1], S)
                ticket = driver.try_admit()
                if ticket is not None:
                    sessions.append((driver.now, ticket))
                if driver.state is CLOSED:
                    break
                driver.advance(1)
            assert driver.state is CLOSED, length


class TestWithMoreSuccessesToCome:
    def test_those_before_it_and_late_ones_add_up(self) -> None:
        driver = outage(success_threshold=3)
        driver.call(S)
        probe = driver.admit()
        driver.advance(LIMIT)
        driver.try_admit()
        assert driver.settle(probe, S) is OPEN
        assert driver.snapshot.probes_passed == 2
        driver.wait_out()
        assert driver.call(S) is CLOSED
        assert driver.transitions[-1].cause.text == "3 of 3 probes succeeded"

    def test_the_last_late_one_closes(self) -> None:
        driver = outage(success_threshold=2)
        first, second = overrun(driver), overrun(driver)
        assert driver.settle(first, S) is OPEN
        assert driver.settle(second, S) is CLOSED

    def test_a_failure_makes_them_void(self) -> None:
        driver = outage(success_threshold=2)
        driver.settle(overrun(driver), S)
        driver.wait_out()
        driver.call(F)
        assert driver.snapshot.probes_passed == 0

    def test_the_first_sign_of_life_settles_a_probe_for_good(self) -> None:
        driver = outage(success_threshold=2)
        assert driver.progress(driver.admit()) is None
        assert (driver.state, driver.snapshot.probes_passed, driver.snapshot.probes_in_flight) == (HALF_OPEN, 1, 0)
        assert driver.call(S) is CLOSED


def test_a_late_success_that_is_slow_changes_nothing() -> None:
    driver = outage(failure_threshold=None, trip_when=SlowCallRate(0.5, slow_call_seconds=3, minimum_calls=1))
    probe = overrun(driver)
    assert driver.settle(probe, S, duration=LIMIT + 1.0) is OPEN
    assert driver.snapshot.probes_passed == 0
