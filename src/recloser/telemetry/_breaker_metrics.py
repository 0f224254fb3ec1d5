"""The metrics of breakers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, TypeAlias

from recloser.registry import Ledger
from recloser.telemetry._definitions import MetricDefinition
from recloser.telemetry._names import STATES, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from recloser.events import Snapshot
    from recloser.registry import Entry, Totals
    from recloser.telemetry._readings import Reading

Series: TypeAlias = "Iterator[tuple[tuple[str, ...], float]]"


def states_of(entry: Entry) -> Iterator[tuple[tuple[str, str], int]]:
    """Iterate over the labels and values of a gauge of states; there are none if no such breaker exists now."""
    if entry.snapshots:
        counts = Counter(snapshot.state.value for snapshot in entry.snapshots)
        for state in STATES:
            yield (entry.name, state), counts[state]


def _calls(reading: Reading) -> Series:
    for entry in reading.entries:
        for outcome, number in outcomes(entry.totals).items():
            yield (entry.name, outcome), number


def _total(value: Callable[[Totals], int]) -> Callable[[Reading], Series]:
    def read(reading: Reading) -> Series:
        for entry in reading.entries:
            yield (entry.name,), value(entry.totals)

    return read


def _states(reading: Reading) -> Series:
    for entry in reading.entries:
        yield from states_of(entry)


def _probes_in_flight(reading: Reading) -> Series:
    for entry in reading.entries:
        if entry.snapshots:
            yield (entry.name,), sum(snapshot.probes_in_flight for snapshot in entry.snapshots)


def _shadow(reading: Reading) -> Series:
    for entry in reading.entries:
        if entry.snapshots:
            yield (entry.name,), sum(snapshot.shadow for snapshot in entry.snapshots)


def _shadow_rejections(reading: Reading) -> Series:
    for entry in reading.entries:
        if entry.totals.would_reject:
            yield (entry.name,), entry.totals.would_reject


def _shadow_calls(reading: Reading) -> Series:
    for entry in reading.entries:
        if entry.totals.would_reject:
            yield (entry.name, "success"), entry.totals.shadow_success
            yield (entry.name, "failure"), entry.totals.shadow_failure


def _own(value: Callable[[Snapshot], float | None]) -> Callable[[Reading], Series]:
    """Return what reads a value of each existing breaker that has metrics of its own, unless it is None."""

    def read(reading: Reading) -> Series:
        for name, snapshot in reading.own():
            figure = value(snapshot)
            if figure is not None:
                yield (name,), figure

    return read


def _outage_start(snapshot: Snapshot) -> float | None:
    return None if snapshot.outage is None else snapshot.outage.since.timestamp()


def _failure_threshold(snapshot: Snapshot) -> int | None:
    """Return the number of failures at which the rule trips; None if it trips at a share."""
    return snapshot.threshold if isinstance(snapshot.threshold, int) else None


def _define(
    name: str,
    kind: Literal["counter", "sum", "gauge"],
    unit: str,
    help_text: str,
    read: Callable[[Reading], Iterable[tuple[tuple[str, ...], float]]],
    *labels: str,
) -> MetricDefinition[Reading]:
    return MetricDefinition("circuit_breaker", name, kind, unit, help_text, ("name", *labels), read)


CALLS = _define(
    "circuit_breaker_calls", "counter", "{call}", "Calls that were admitted, by how they ended.", _calls, "outcome"
)

BREAKER_METRICS = (
    CALLS,
    _define(
        "circuit_breaker_rejections",
        "counter",
        "{rejection}",
        "Calls that were rejected; those that shadow mode lets through are none.",
        _total(lambda totals: totals.rejected),
    ),
    _define(
        "circuit_breaker_shadow",
        "sum",
        "{breaker}",
        f"1 if the breaker is in shadow mode, else 0; for {Ledger.OTHER}, how many breakers are.",
        _shadow,
    ),
    _define(
        "circuit_breaker_shadow_rejections",
        "counter",
        "{rejection}",
        "Calls that would have been rejected, and ran because of shadow mode; absent if there were none.",
        _shadow_rejections,
    ),
    _define(
        "circuit_breaker_shadow_calls",
        "counter",
        "{call}",
        "How calls ended that would have been rejected, and ran because of shadow mode; absent if there were none.",
        _shadow_calls,
        "outcome",
    ),
    _define(
        "circuit_breaker_probes",
        "counter",
        "{probe}",
        "Probes that were admitted.",
        _total(lambda totals: totals.probe),
    ),
    _define("circuit_breaker_probes_in_flight", "sum", "{probe}", "Probes that are running.", _probes_in_flight),
    _define(
        "circuit_breaker_state",
        "sum",
        "{breaker}",
        f"1 for the state that the breaker is in, else 0; for {Ledger.OTHER}, how many breakers are in it.",
        _states,
        "state",
    ),
    _define(
        "circuit_breaker_transitions",
        "counter",
        "{transition}",
        "State changes, by their cause.",
        lambda reading: reading.transitions.items(),
        "old_state",
        "new_state",
        "cause",
    ),
    _define(
        "circuit_breaker_last_transition_timestamp_seconds",
        "gauge",
        "s",
        "When the state changed last, as a Unix time; absent if it never changed.",
        lambda reading: (((name,), at) for name, at in reading.changed_at.items()),
    ),
    _define(
        "circuit_breaker_outage_start_timestamp_seconds",
        "gauge",
        "s",
        "When the outage began, as a Unix time; absent while the breaker is closed or disabled.",
        _own(_outage_start),
    ),
    _define(
        "circuit_breaker_retry_after_seconds",
        "gauge",
        "s",
        "Time until a call may be admitted; absent if it is unknown.",
        _own(lambda snapshot: snapshot.retry_after),
    ),
    _define(
        "circuit_breaker_counted_failures",
        "gauge",
        "{failure}",
        "Failures that the trip rule counts now, of several rules the first one.",
        _own(lambda snapshot: snapshot.failure_count),
    ),
    _define(
        "circuit_breaker_failure_threshold",
        "gauge",
        "{failure}",
        "Failures at which the trip rule opens the breaker, of several rules the first one; absent if it is a share.",
        _own(_failure_threshold),
    ),
    _define(
        "circuit_breaker_failure_ratio",
        "gauge",
        "1",
        "Share of failed calls in the window, 0 to 1; absent if it is undefined or not measured.",
        _own(lambda snapshot: snapshot.failure_rate),
    ),
    _define(
        "circuit_breaker_slow_call_ratio",
        "gauge",
        "1",
        "Share of slow calls in the window, 0 to 1; absent if it is undefined or not measured.",
        _own(lambda snapshot: snapshot.slow_call_rate),
    ),
)
