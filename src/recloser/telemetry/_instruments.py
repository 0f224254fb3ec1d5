"""The instruments of OpenTelemetry for a registry's breakers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.metrics import Observation

from recloser.events import CallFailed
from recloser.registry import Ledger
from recloser.telemetry._names import STATES, outcome_of, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.metrics import CallbackOptions, Meter

    from recloser import StateChanged
    from recloser.events import CallIgnored, CallSucceeded

    Read = Callable[[Callable[[Ledger], Iterator[Observation]]], Callable[[CallbackOptions], Iterable[Observation]]]

MOST_ERROR_TYPES = 100
OTHER_ERROR_TYPE = "_OTHER"
"""The value of `error.type` in the semantic conventions for an error whose type is not reported."""


def create_observables(meter: Meter, read: Read) -> None:
    """Create the instruments that are read when a metric reader collects.

    Args:
        meter: Creates the instruments.
        read: Turns a function that iterates over the observations of a ledger into a callback of an instrument.
    """
    meter.create_observable_counter(
        "circuit_breaker.calls", [read(_calls)], "{call}", "Calls that were admitted, by how they ended."
    )
    meter.create_observable_counter(
        "circuit_breaker.rejections",
        [read(_rejections)],
        "{call}",
        "Calls that were rejected, or would have been in shadow mode.",
    )
    meter.create_observable_counter("circuit_breaker.probes", [read(_probes)], "{call}", "Probes that were admitted.")
    meter.create_observable_gauge(
        "circuit_breaker.state",
        [read(_states)],
        "1",
        f"1 for the state that the breaker is in, else 0; for {Ledger.OTHER}, how many breakers are in it.",
    )
    meter.create_observable_gauge(
        "circuit_breaker.time_in_state",
        [read(_times)],
        "s",
        "Time since the last state change, or since the breaker was created.",
    )


def _calls(ledger: Ledger) -> Iterator[Observation]:
    for entry in ledger.read():
        for outcome, number in outcomes(entry.totals).items():
            yield Observation(number, {"circuit_breaker.name": entry.name, "circuit_breaker.outcome": outcome})


def _rejections(ledger: Ledger) -> Iterator[Observation]:
    for entry in ledger.read():
        yield Observation(entry.totals.rejected, {"circuit_breaker.name": entry.name})


def _probes(ledger: Ledger) -> Iterator[Observation]:
    for entry in ledger.read():
        yield Observation(entry.totals.probe, {"circuit_breaker.name": entry.name})


def _states(ledger: Ledger) -> Iterator[Observation]:
    for entry in ledger.read():
        present = [snapshot.state.value for snapshot in entry.snapshots]
        for state in STATES if present else ():
            attributes = {"circuit_breaker.name": entry.name, "circuit_breaker.state": state}
            yield Observation(present.count(state), attributes)


def _times(ledger: Ledger) -> Iterator[Observation]:
    for entry in ledger.read():
        for snapshot in entry.snapshots if entry.name != Ledger.OTHER else ():
            yield Observation(snapshot.time_in_state_seconds, {"circuit_breaker.name": entry.name})


def transition_counter(meter: Meter, ledger: Ledger) -> Callable[[StateChanged], None]:
    """Return a listener that counts transitions."""
    counter = meter.create_counter("circuit_breaker.transitions", "{transition}", "State changes, by their cause.")

    def count(event: StateChanged) -> None:
        counter.add(
            1,
            {
                "circuit_breaker.name": ledger.name_of(event.breaker),
                "circuit_breaker.old_state": event.old.value,
                "circuit_breaker.new_state": event.new.value,
                "circuit_breaker.cause": event.cause.trigger.value,
            },
        )

    return count


def duration_histogram(
    meter: Meter, ledger: Ledger, boundaries: tuple[float, ...]
) -> Callable[[CallSucceeded | CallFailed | CallIgnored], None]:
    """Return a listener that records how long calls took."""
    histogram = meter.create_histogram(
        "circuit_breaker.call.duration",
        "s",
        "How long calls took, by how they ended.",
        explicit_bucket_boundaries_advisory=boundaries,
    )
    error_types: set[str] = set()

    def record(event: CallSucceeded | CallFailed | CallIgnored) -> None:
        if event.duration_seconds is None:
            return
        attributes = {
            "circuit_breaker.name": ledger.name_of(event.breaker),
            "circuit_breaker.outcome": outcome_of(event),
        }
        if isinstance(event, CallFailed):
            attributes["error.type"] = _bounded(event.error_type, error_types)
        histogram.record(event.duration_seconds, attributes)

    return record


def _bounded(error_type: str | None, known: set[str]) -> str:
    """Return an error type, unless there are too many: programs can create types at run time, without limit."""
    if error_type is None or (error_type not in known and len(known) >= MOST_ERROR_TYPES):
        return OTHER_ERROR_TYPE
    known.add(error_type)
    return error_type
