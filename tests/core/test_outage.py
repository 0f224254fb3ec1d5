"""Outages of the machine: from closed to closed, whatever happens meanwhile."""

from datetime import UTC, datetime

import pytest

from recloser._core.machine import CLOSED, DISABLED, FORCED_OPEN, OPEN
from recloser._core.outage import MOST_KINDS, MOST_OUTAGES, OTHER_ERRORS, Outage
from recloser._core.states import Trigger
from tests.core.driver import Driver, F, I, S


def going_on(driver: Driver) -> Outage:
    outage = driver.snapshot.outage
    assert outage is not None
    return outage


def fail_probe(driver: Driver) -> None:
    driver.wait_out()
    driver.call(F)


def test_there_is_no_outage_while_the_machine_is_closed_or_disabled() -> None:
    driver = Driver(failure_threshold=2)
    driver.call(F)
    assert driver.snapshot.outage is None
    driver.go(Trigger.DISABLED)
    driver.go(Trigger.RESET)
    assert (driver.snapshot.outage, driver.machine.outages) == (None, ())


def test_an_outage_keeps_its_beginning_and_first_evidence_through_failed_probes() -> None:
    driver = Driver(failure_threshold=2, reset_timeout_seconds=60)
    driver.advance(5)
    driver.call(F, F)
    began, first = driver.now, driver.snapshot.cause
    for _ in range(3):
        fail_probe(driver)
    driver.advance(7)
    outage, snapshot = going_on(driver), driver.snapshot
    assert outage.cause == first
    assert outage.cause.text == "2 consecutive failures (threshold 2)"
    assert (outage.seconds, snapshot.time_in_state_seconds) == (3 * 60 + 7, 7)
    assert snapshot.opened_monotonic == began
    assert (outage.probes, outage.probes_passed, outage.probes_failed) == (3, 0, 3)
    assert outage.errors == (("ConnectionError", 4),)
    assert outage.ended_by is None


def test_an_outage_ends_when_the_machine_closes_and_is_kept() -> None:
    driver = Driver(failure_threshold=1, reset_timeout_seconds=60, success_threshold=2)
    driver.call(F)
    driver.wait_out()
    driver.call(S)
    assert going_on(driver).probes_passed == 1
    driver.call(S)
    assert driver.snapshot.outage is None
    [ended] = driver.machine.outages
    assert ended.ended_by == driver.snapshot.cause
    assert (ended.seconds, ended.probes, ended.probes_passed, ended.probes_failed) == (60, 2, 2, 0)
    assert driver.transitions[-1].outage == ended
    assert driver.transitions[0].outage is not None
    assert driver.transitions[0].outage.seconds == 0


def test_an_outage_counts_its_own_rejections_and_no_earlier_ones() -> None:
    driver = Driver(failure_threshold=1, reset_timeout_seconds=60)
    for rejected in (3, 5):
        driver.call(F)
        driver.machine.rejected += rejected
        assert going_on(driver).rejected == rejected
        driver.wait_out()
        driver.call(S)
    assert [outage.rejected for outage in driver.machine.outages] == [3, 5]


def test_an_outage_goes_on_while_a_person_forces_the_machine_open() -> None:
    driver = Driver(failure_threshold=1, reset_timeout_seconds=60)
    driver.call(F)
    driver.go(Trigger.FORCED_OPEN, reason="moving", for_seconds=90.0)
    driver.advance(90)
    driver.call(F)
    assert driver.state is OPEN
    outage = going_on(driver)
    assert (outage.cause.trigger, outage.seconds, outage.probes_failed) == (Trigger.TRIPPED, 90, 1)


@pytest.mark.parametrize(("trigger", "state"), [(Trigger.RESET, CLOSED), (Trigger.DISABLED, DISABLED)])
def test_a_person_ends_an_outage_by_reset_and_disable(trigger: Trigger, state: object) -> None:
    driver = Driver()
    driver.go(Trigger.FORCED_OPEN, reason="moving")
    assert (driver.state, going_on(driver).cause.reason) == (FORCED_OPEN, "moving")
    driver.go(trigger)
    [ended] = driver.machine.outages
    assert (driver.state, driver.snapshot.outage) == (state, None)
    assert ended.ended_by is not None
    assert (ended.ended_by.trigger, ended.errors, ended.last_error) == (trigger, (), None)


def test_forcing_a_disabled_machine_open_begins_an_outage() -> None:
    driver = Driver()
    driver.go(Trigger.DISABLED)
    driver.go(Trigger.FORCED_OPEN, reason="moving")
    assert going_on(driver).cause.trigger is Trigger.FORCED_OPEN


def test_ignored_probes_neither_pass_nor_fail() -> None:
    driver = Driver(failure_threshold=1, reset_timeout_seconds=60)
    driver.call(F)
    driver.wait_out()
    driver.call(I)
    outage = going_on(driver)
    assert (outage.probes, outage.probes_passed, outage.probes_failed) == (1, 0, 0)


def test_a_probe_that_does_not_end_in_time_is_an_error_of_its_own_kind() -> None:
    driver = Driver(failure_threshold=1, reset_timeout_seconds=10, probe_timeout_seconds=5)
    driver.call(F)
    driver.wait_out()
    driver.admit()
    driver.advance(6)
    assert driver.try_admit() is None
    outage = going_on(driver)
    assert outage.errors == (("ConnectionError", 1), ("probe timeout", 1))
    assert outage.last_error == "probe still running after 5 s"


def test_the_kinds_of_errors_and_the_outages_that_are_kept_are_bounded() -> None:
    driver = Driver()
    for number in range(MOST_OUTAGES + 2):
        driver.go(Trigger.TRIPPED, last_error="OSError: down")
        for kind in range(MOST_KINDS + 4):
            driver.wait_out()
            driver.admit()
            driver.go(Trigger.PROBE_FAILED, last_error=f"{'E' * 300}{kind}: {number}")
        errors = going_on(driver).errors
        driver.go(Trigger.RESET)
    assert len(driver.machine.outages) == MOST_OUTAGES
    assert sum(times for _, times in errors) == MOST_KINDS + 5
    assert max(len(kind) for kind, _ in errors) == 100
    driver.go(Trigger.TRIPPED, last_error="A")
    for kind in "BCDEFGHIJKL":
        driver.wait_out()
        driver.admit()
        driver.go(Trigger.PROBE_FAILED, last_error=kind)
    kinds = going_on(driver).errors
    assert (len(kinds), kinds[-1]) == (MOST_KINDS + 1, (OTHER_ERRORS, 4))


def test_an_outage_is_dated_by_the_time_that_is_given_to_its_first_transition() -> None:
    driver = Driver()
    noon = datetime(2030, 1, 2, 12, tzinfo=UTC)
    driver.machine.transition(Trigger.FORCED_OPEN, driver.now, at=noon.timestamp(), reason="moving")
    driver.machine.transition(Trigger.FORCED_OPEN, driver.now, at=noon.timestamp() + 60, reason="moving on")
    assert going_on(driver).since == noon


def test_an_outage_that_a_torn_step_has_left_behind_does_not_lend_its_beginning_to_the_next() -> None:
    driver = Driver(failure_threshold=1)
    driver.call(F)
    left = driver.machine.outage
    driver.go(Trigger.RESET)
    driver.machine.outage = left
    driver.advance(10)
    driver.call(F)
    assert going_on(driver).seconds == 0


def test_an_outage_reads_as_what_has_happened_since_it_began() -> None:
    driver = Driver(failure_threshold=1, reset_timeout_seconds=60)
    driver.call(F)
    assert str(going_on(driver)) == ""
    fail_probe(driver)
    driver.machine.rejected += 1
    assert str(going_on(driver)) == "1 probe failed; errors so far: 2 x ConnectionError; 1 call rejected"
    assert hash(going_on(driver)) == hash(going_on(driver))
