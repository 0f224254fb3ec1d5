"""The metrics for Prometheus with the names of resilience4j, so that its Grafana dashboards work.

Its rates are percentages, and -1 if they are undefined. A breaker in shadow mode rejects nothing, so its state is
`metrics_only`. Metrics without a counterpart are missing: recloser counts
calls but does not keep them, so there are no `slow_calls`, no `max_buffered_calls`, and only the failed
`buffered_calls`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from recloser.telemetry._names import STATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recloser.events import Snapshot
    from recloser.telemetry._readings import Reading

PREFIX = "resilience4j_circuitbreaker_"
SHADOW = "metrics_only"
"""The state of a breaker that counts, and rejects nothing."""
KINDS = {"success": "successful", "failure": "failed", "ignored": "ignored"}


def breaker_families(reading: Reading) -> Iterator[Metric]:
    """Iterate over the metrics of breakers."""
    yield _states(reading)
    yield _calls(reading)
    if reading.bounds:
        yield _longest(reading)
    rejected = CounterMetricFamily(f"{PREFIX}not_permitted_calls", "Calls that were rejected.", labels=["name", "kind"])
    for entry in reading.entries:
        rejected.add_metric([entry.name, "not_permitted"], entry.totals.rejected)
    yield rejected
    yield _percentages(
        reading,
        "failure_rate",
        "Failed calls in the window in percent, -1 if undefined.",
        lambda snapshot: snapshot.failure_rate,
    )
    yield _percentages(
        reading,
        "slow_call_rate",
        "Slow calls in the window in percent, -1 if undefined.",
        lambda snapshot: snapshot.slow_call_rate,
    )
    buffered = GaugeMetricFamily(
        f"{PREFIX}buffered_calls", "Failures that the trip rule counts now.", labels=["name", "kind"]
    )
    for name, snapshot in reading.own():
        buffered.add_metric([name, "failed"], snapshot.failure_count)
    yield buffered


def _states(reading: Reading) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}state", "1 for the state of the breaker, else 0.", labels=["name", "state"])
    for entry in reading.entries:
        counts = Counter(SHADOW if snapshot.shadow else snapshot.state.value for snapshot in entry.snapshots)
        for state in (*STATES, SHADOW) if entry.snapshots else ():
            family.add_metric([entry.name, state], counts[state])
    return family


def _calls(reading: Reading) -> Metric:
    """Return a summary; without durations it has no sum."""
    name = f"{PREFIX}calls_seconds"
    family = Metric(name, "Calls that were admitted, by how they ended.", "summary")
    for entry in reading.entries:
        totals = entry.totals
        numbers = {
            "success": totals.success,
            "failure": totals.failure,
            "ignored": totals.ignored + totals.cancelled,
        }
        for outcome, number in numbers.items():
            labels = {"name": entry.name, "kind": KINDS[outcome]}
            family.add_sample(f"{name}_count", labels, number)
            if reading.bounds:
                durations = entry.durations.get(outcome)
                family.add_sample(f"{name}_sum", labels, 0.0 if durations is None else durations.total_seconds)
    return family


def _longest(reading: Reading) -> Metric:
    """Return the longest calls; there are none if no such breaker exists now."""
    family = GaugeMetricFamily(
        f"{PREFIX}calls_seconds_max", "The longest call of the last one to two minutes.", labels=["name", "kind"]
    )
    for entry in reading.entries:
        for outcome, durations in entry.durations.items() if entry.snapshots else ():
            family.add_metric([entry.name, KINDS[outcome]], durations.longest_seconds)
    return family


def _percentages(reading: Reading, name: str, help_text: str, rate: Callable[[Snapshot], float | None]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}{name}", help_text, labels=["name"])
    for breaker, snapshot in reading.own():
        share = rate(snapshot)
        family.add_metric([breaker], -1.0 if share is None else share * 100)
    return family
