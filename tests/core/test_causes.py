import pytest

from recloser._core.events import Cause
from recloser._core.states import CircuitState, Trigger
from recloser._core.trip import FailureRate
from recloser._core.windows import TimeWindow
from tests.core.driver import Driver, F, S


def last_cause(driver: Driver) -> Cause:
    return driver.transitions[-1].cause


def test_a_trip_is_told_in_the_numbers_of_the_rule_with_the_last_error() -> None:
    driver = Driver(failure_threshold=3)
    driver.call(F, F, F)
    assert last_cause(driver) == Cause(
        Trigger.TRIPPED,
        "3 consecutive failures (threshold 3)",
        rule="3 consecutive failures",
        observed=3,
        threshold=3,
        last_error="ConnectionError: down",
    )


def test_a_trip_whose_evidence_is_gone_is_told_without_numbers() -> None:
    """The instant of the transition is read after that of the outcome; a bucket may end between the two."""
    driver = Driver(trip_when=FailureRate(1, window=TimeWindow(10, 1), minimum_calls=1), failure_threshold=None)
    ticket = driver.admit()
    driver.advance(9.999)
    trigger = driver.machine.settle(ticket, F, driver.now, 0.0)
    assert trigger is Trigger.TRIPPED
    driver.advance(0.001)
    driver.go(trigger, last_error="OSError")
    assert last_cause(driver) == Cause(Trigger.TRIPPED, "the trip rule was met", last_error="OSError")


def test_closing_is_told_with_the_number_of_probes() -> None:
    driver = Driver(success_threshold=2)
    driver.half_open()
    driver.call(S, S)
    assert driver.state is CircuitState.CLOSED
    assert last_cause(driver) == Cause(Trigger.PROBES_PASSED, "2 of 2 probes succeeded", observed=2, threshold=2)


def test_closing_after_one_probe_is_told_in_the_singular() -> None:
    driver = Driver()
    driver.half_open()
    driver.call(S)
    assert last_cause(driver).text == "1 of 1 probe succeeded"


def test_a_failed_probe_is_told_with_its_error() -> None:
    driver = Driver()
    driver.half_open()
    driver.call(F)
    assert last_cause(driver) == Cause(Trigger.PROBE_FAILED, "a probe failed", last_error="ConnectionError: down")


def test_a_probe_that_outlived_its_limit_is_told_with_the_limit() -> None:
    driver = Driver(reset_timeout_seconds=10, probe_timeout_seconds=2.5)
    driver.half_open()
    driver.admit()
    driver.advance(2.5)
    assert driver.try_admit() is None
    error = "probe still running after 2.5 s"
    assert last_cause(driver) == Cause(Trigger.PROBE_TIMED_OUT, "a probe did not end in time", last_error=error)


def test_the_end_of_the_reset_timeout_is_a_cause() -> None:
    driver = Driver()
    driver.half_open()
    assert last_cause(driver) == Cause(Trigger.WAIT_ELAPSED, "the reset timeout has elapsed and a call arrived")


@pytest.mark.parametrize(
    ("for_seconds", "text"),
    [(None, "forced open until reset: moving house"), (90.0, "forced open for 90 s: moving house")],
)
def test_forcing_open_is_told_with_its_reason_and_its_time(for_seconds: float | None, text: str) -> None:
    driver = Driver()
    driver.go(Trigger.FORCED_OPEN, reason="moving house", for_seconds=for_seconds)
    assert last_cause(driver) == Cause(Trigger.FORCED_OPEN, text, reason="moving house")


def test_disabling_and_resetting_are_told_as_done_by_hand() -> None:
    driver = Driver()
    driver.go(Trigger.DISABLED)
    driver.go(Trigger.RESET)
    assert [transition.cause.text for transition in driver.transitions] == ["disabled by hand", "reset by hand"]
