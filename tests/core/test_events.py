import copy
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime

import pytest

from recloser._breaker.records import event_of
from recloser._core.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Cause,
    Event,
    EventsDropped,
    LateOutcome,
    ProbeAdmitted,
    StateChanged,
)
from recloser._core.outcomes import Outcome
from recloser._core.states import CircuitState, Trigger
from tests.core.driver import Driver, F

AT = datetime(2024, 5, 17, 12, tzinfo=UTC)
CLOSED, OPEN = CircuitState.CLOSED, CircuitState.OPEN

SNAPSHOT = Driver().snapshot
CHANGED = StateChanged(
    breaker="db",
    at=AT,
    monotonic=1.0,
    old=CLOSED,
    new=OPEN,
    cause=Cause(Trigger.TRIPPED, "so", rule="5 failures", observed=5, threshold=5, last_error="OSError: down"),
    snapshot=SNAPSHOT,
    retry_after=60.0,
    outage=None,
)
EVENTS: list[Event] = [
    CHANGED,
    CallSucceeded(breaker="db", at=AT, monotonic=1.0, generation=1, duration_seconds=0.5, is_probe=False),
    CallFailed(
        breaker="db",
        at=AT,
        monotonic=1.0,
        generation=1,
        duration_seconds=None,
        is_probe=True,
        error_type="OSError",
        error_message="down",
    ),
    CallIgnored(breaker="db", at=AT, monotonic=1.0, generation=1, duration_seconds=0.5, is_probe=False, cancelled=True),
    CallRejected(breaker="db", at=AT, monotonic=1.0, state=OPEN, retry_after=3.0, shadow=False),
    ProbeAdmitted(breaker="db", at=AT, monotonic=1.0, generation=3),
    LateOutcome(breaker="db", at=AT, monotonic=1.0, generation=1, outcome=Outcome.FAILURE),
    EventsDropped(breaker="db", at=AT, monotonic=1.0, count=2),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_events_are_frozen_values_that_name_their_breaker(event: Event) -> None:
    assert isinstance(event, Event)
    assert replace(event) == event
    assert replace(event, monotonic=2.0) != event
    for field in fields(event):
        with pytest.raises(FrozenInstanceError, match=field.name):
            setattr(event, field.name, getattr(event, field.name))
    with pytest.raises(AttributeError):
        event.breaker_name = "other"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        del event.breaker
    assert pickle.loads(pickle.dumps(event)) == copy.deepcopy(event) == event  # noqa: S301 - its own
    assert hash(copy.copy(event)) == hash(event)
    assert repr(event).startswith(f"{type(event).__name__}(breaker='db', at={AT!r}, monotonic=1.0, ")


def test_an_event_carries_the_unix_time_until_it_is_asked_for() -> None:
    event = event_of((CallSucceeded, "db", AT.timestamp(), 1.0, 1, 0.5, False))
    assert isinstance(event.at_, float)  # type: ignore[attr-defined]
    assert event.at == AT
    assert event.at is event.at
    assert event == EVENTS[1]


@pytest.mark.parametrize("event", EVENTS[1:-1], ids=lambda event: type(event).__name__)
def test_a_record_holds_the_fields_of_its_event_in_their_order(event: Event) -> None:
    values = [getattr(event, field.name) for field in fields(event)]
    assert event_of((type(event), *values)) == event


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "1 event of 'db' lost: the reader was too slow"), (3, "3 events of 'db' lost: the reader was too slow")],
)
def test_lost_events_say_how_many_they_were(count: int, text: str) -> None:
    assert str(EventsDropped(breaker="db", at=AT, monotonic=1.0, count=count)) == text


def test_a_state_change_reads_as_a_line_of_a_log() -> None:
    assert str(CHANGED) == "Circuit breaker 'db' went from closed to open: so; last error OSError: down"


def test_a_state_change_has_plain_fields_for_a_structured_log() -> None:
    assert CHANGED.fields() == {
        "circuit_breaker": "db",
        "old_state": "closed",
        "new_state": "open",
        "cause": "tripped",
        "rule": "5 failures",
        "observed": 5,
        "threshold": 5,
        "last_error": "OSError: down",
        "error_type": None,
        "error_status": None,
        "peer": None,
        "reason": None,
        "author": None,
        "failure_count": 0,
        "time_in_old_state_seconds": 0.0,
        "retry_after_seconds": 60.0,
        "shadow": False,
        "outage_seconds": None,
        "outage_rejections": None,
        "outage_failed_probes": None,
    }
    assert {type(value) for value in CHANGED.fields().values()} == {str, int, float, bool, type(None)}


def test_a_cause_reads_as_part_of_a_sentence() -> None:
    assert str(Cause(Trigger.RESET, "reset by hand")) == "reset by hand"
    cause = Cause(Trigger.TRIPPED, "5 consecutive failures (threshold 5)", last_error="OSError: down")
    assert str(cause) == "5 consecutive failures (threshold 5); last error OSError: down"


def test_a_snapshot_says_how_long_the_state_has_lasted() -> None:
    driver = Driver(now=100.0)
    driver.advance(2.5)
    assert driver.snapshot.time_in_state_seconds == 2.5
    driver.call(*[F] * 5)
    assert driver.snapshot.time_in_state_seconds == 0.0
    driver.advance(4)
    assert driver.snapshot.time_in_state_seconds == 4.0


def test_time_in_a_state_is_never_negative() -> None:
    driver = Driver(now=100.0)
    driver.advance(-1)
    assert driver.snapshot.time_in_state_seconds == 0.0
