import json

import pytest

from recloser._core.events import Cause
from recloser._core.states import CircuitState, Trigger
from recloser._core.trip import ConsecutiveFailures, FailureCount, FailureRate, SlowCallRate, TripRule
from recloser._core.windows import CountWindow, TimeWindow
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
        kind="consecutive_failures",
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
    expected = Cause(Trigger.FORCED_OPEN, text, reason="moving house", for_seconds=for_seconds)
    assert last_cause(driver) == expected


def test_the_length_of_another_process_s_probe_is_no_figure_of_the_cause() -> None:
    driver = Driver()
    driver.call(*[F] * 5)
    driver.go(Trigger.FLEET_PROBING, for_seconds=30)
    assert last_cause(driver) == Cause(Trigger.FLEET_PROBING, "another process of the fleet runs the probe")


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        (
            ConsecutiveFailures(2, within_seconds=10),
            {"kind": "consecutive_failures", "observed": 2, "threshold": 2},
        ),
        (
            FailureCount(2, window=TimeWindow(60)),
            {"kind": "failure_count", "observed": 2, "threshold": 2, "window": {"seconds": 60.0}},
        ),
        (
            FailureRate(0.5, window=CountWindow(10), minimum_calls=3),
            {
                "kind": "failure_rate",
                "observed": 2 / 3,
                "threshold": 0.5,
                "calls": 3,
                "counted": 2,
                "window": {"calls": 10},
            },
        ),
        (
            SlowCallRate(0.5, slow_call_seconds=0.5, window=CountWindow(20), minimum_calls=3),
            {
                "kind": "slow_call_rate",
                "observed": 1.0,
                "threshold": 0.5,
                "calls": 3,
                "counted": 3,
                "window": {"calls": 20},
                "slow_call_seconds": 0.5,
            },
        ),
        (
            ConsecutiveFailures(9) | FailureCount(2, window=CountWindow(5)),
            {"kind": "failure_count", "observed": 2, "threshold": 2, "window": {"calls": 5}},
        ),
    ],
    ids=str,
)
def test_the_fields_of_a_trip_are_the_figures_of_the_rule_that_was_met(
    rule: TripRule, fields: dict[str, object]
) -> None:
    driver = Driver(trip_when=rule, failure_threshold=None)
    driver.call(S, F, F, duration=1.0)
    nothing = dict.fromkeys(Cause(Trigger.TRIPPED, "").fields())
    assert driver.state is CircuitState.OPEN
    assert last_cause(driver).fields() == {
        **nothing,
        "trigger": "tripped",
        "rule": str(rule),
        "last_error": "ConnectionError: down",
        **fields,
    }


def test_the_fields_of_a_cause_are_ready_for_json() -> None:
    driver = Driver()
    driver.go(Trigger.FORCED_OPEN, reason="moving house", for_seconds=90.0)
    fields = last_cause(driver).fields()
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields
    assert (fields["trigger"], fields["reason"], fields["for_seconds"]) == ("forced_open", "moving house", 90.0)
    assert {type(value) for value in fields.values()} == {str, float, type(None)}


def test_disabling_and_resetting_are_told_as_done_by_hand() -> None:
    driver = Driver()
    driver.go(Trigger.DISABLED)
    driver.go(Trigger.RESET)
    assert [transition.cause.text for transition in driver.transitions] == ["disabled by hand", "reset by hand"]
