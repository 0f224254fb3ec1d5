"""The metrics for Prometheus, with recloser's own names."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from recloser.registry import Ledger
from recloser.telemetry._names import STATES, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric

    from recloser.events import Snapshot
    from recloser.registry import Entry
    from recloser.telemetry._tallies import Histogram, TransitionKind


class Reading(NamedTuple):
    """The data of one scrape.

    Attributes:
        entries: The entries of the ledger.
        transitions: How often each kind of transition has happened.
        durations: The histograms by name and outcome; None if durations are not measured.
        bounds: The bounds of the histogram's buckets.
    """

    entries: list[Entry]
    transitions: dict[TransitionKind, int]
    durations: dict[tuple[str, str], Histogram] | None
    bounds: tuple[float, ...]

    def gauge(self, name: str, help_text: str, value: Callable[[Snapshot], float | None]) -> GaugeMetricFamily:
        """Return a gauge of the existing breakers that have metrics of their own.

        Args:
            name: The name of the metric.
            help_text: The description of the metric.
            value: Returns the value of a breaker; None if it has none.
        """
        family = GaugeMetricFamily(name, help_text, labels=["name"])
        for entry in self.entries:
            for snapshot in entry.snapshots if entry.name != Ledger.OTHER else ():
                figure = value(snapshot)
                if figure is not None:
                    family.add_metric([entry.name], figure)
        return family


def states_of(entry: Entry) -> Iterator[tuple[list[str], int]]:
    """Iterate over the labels and values of a gauge of states; there are none if no such breaker exists now."""
    if entry.snapshots:
        counts = Counter(snapshot.state.value for snapshot in entry.snapshots)
        for state in STATES:
            yield [entry.name, state], counts[state]


def families(reading: Reading) -> Iterator[Metric]:
    """Iterate over the metrics."""
    yield from _calls(reading)
    yield from _states(reading)
    yield from _figures(reading)
    if reading.durations is not None:
        yield _durations(reading, reading.durations)


def _calls(reading: Reading) -> Iterator[Metric]:
    calls = CounterMetricFamily(
        "circuit_breaker_calls", "Calls that were admitted, by how they ended.", labels=["name", "outcome"]
    )
    rejections = CounterMetricFamily(
        "circuit_breaker_rejections", "Calls that were rejected, or would have been in shadow mode.", labels=["name"]
    )
    probes = CounterMetricFamily("circuit_breaker_probes", "Probes that were admitted.", labels=["name"])
    for entry in reading.entries:
        name = entry.name
        for outcome, number in outcomes(entry.totals).items():
            calls.add_metric([name, outcome], number)
        rejections.add_metric([name], entry.totals.rejected)
        probes.add_metric([name], entry.totals.probe)
    yield from (calls, rejections, probes)


def _states(reading: Reading) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "circuit_breaker_state",
        f"1 for the state that the breaker is in, else 0; for {Ledger.OTHER}, how many breakers are in it.",
        labels=["name", "state"],
    )
    in_flight = GaugeMetricFamily("circuit_breaker_probes_in_flight", "Probes that are running.", labels=["name"])
    for entry in reading.entries:
        for labels, value in states_of(entry):
            states.add_metric(labels, value)
        if entry.snapshots:
            running = sum(snapshot.probes_in_flight for snapshot in entry.snapshots)
            in_flight.add_metric([entry.name], running)
    transitions = CounterMetricFamily(
        "circuit_breaker_transitions",
        "State changes, by their cause.",
        labels=["name", "old_state", "new_state", "cause"],
    )
    for change, number in reading.transitions.items():
        transitions.add_metric(list(change), number)
    yield from (states, in_flight, transitions)


def _figures(reading: Reading) -> Iterator[Metric]:
    yield reading.gauge(
        "circuit_breaker_time_in_state_seconds",
        "Time since the last state change, or since the breaker was created.",
        lambda snapshot: snapshot.time_in_state_seconds,
    )
    yield reading.gauge(
        "circuit_breaker_retry_after_seconds",
        "Time until a call may be admitted; absent if it is unknown.",
        lambda snapshot: snapshot.retry_after,
    )
    yield reading.gauge(
        "circuit_breaker_counted_failures",
        "Failures that the trip rule counts now.",
        lambda snapshot: snapshot.failure_count,
    )
    yield reading.gauge(
        "circuit_breaker_threshold", "The first number of the trip rule.", lambda snapshot: snapshot.threshold
    )
    yield reading.gauge(
        "circuit_breaker_failure_rate",
        "Share of failed calls in the window, 0 to 1; absent if it is undefined or not measured.",
        lambda snapshot: snapshot.failure_rate,
    )
    yield reading.gauge(
        "circuit_breaker_slow_call_rate",
        "Share of slow calls in the window, 0 to 1; absent if it is undefined or not measured.",
        lambda snapshot: snapshot.slow_call_rate,
    )


def _durations(reading: Reading, durations: dict[tuple[str, str], Histogram]) -> Metric:
    family = HistogramMetricFamily(
        "circuit_breaker_call_duration_seconds", "How long calls took, by how they ended.", labels=["name", "outcome"]
    )
    bounds = [*map(str, reading.bounds), "+Inf"]
    for labels, histogram in durations.items():
        buckets = list(zip(bounds, histogram.counts, strict=True))
        family.add_metric(labels, buckets, histogram.total_seconds)
    return family
