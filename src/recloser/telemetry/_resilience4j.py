"""The metrics for Prometheus with the names of resilience4j, so that its Grafana dashboards work.

Its rates are percentages, and -1 if they are undefined. Metrics without a counterpart are missing: recloser counts
calls but does not keep them, so there are no `slow_calls`, no `max_buffered_calls`, and only the failed
`buffered_calls`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from recloser.registry import Ledger
from recloser.telemetry._families import states_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recloser.telemetry._families import Reading

PREFIX = "resilience4j_circuitbreaker_"
KINDS = {"success": "successful", "failure": "failed", "ignored": "ignored"}


def families(reading: Reading) -> Iterator[Metric]:
    """Iterate over the metrics."""
    yield _states(reading)
    yield _calls(reading)
    if reading.durations is not None:
        longest = GaugeMetricFamily(
            f"{PREFIX}calls_seconds_max", "The longest call of the last one to two minutes.", labels=["name", "kind"]
        )
        for (name, outcome), histogram in reading.durations.items():
            longest.add_metric([name, KINDS[outcome]], histogram.longest_seconds)
        yield longest
    rejected = CounterMetricFamily(f"{PREFIX}not_permitted_calls", "Calls that were rejected.", labels=["name", "kind"])
    for entry in reading.entries:
        rejected.add_metric([entry.name, "not_permitted"], entry.totals.rejected)
    yield rejected
    yield reading.gauge(
        f"{PREFIX}failure_rate",
        "Failed calls in the window in percent, -1 if undefined.",
        lambda snapshot: _percent(snapshot.failure_rate),
    )
    yield reading.gauge(
        f"{PREFIX}slow_call_rate",
        "Slow calls in the window in percent, -1 if undefined.",
        lambda snapshot: _percent(snapshot.slow_call_rate),
    )
    buffered = GaugeMetricFamily(
        f"{PREFIX}buffered_calls", "Failures that the trip rule counts now.", labels=["name", "kind"]
    )
    for entry in reading.entries:
        for snapshot in entry.snapshots if entry.name != Ledger.OTHER else ():
            buffered.add_metric([entry.name, "failed"], snapshot.failure_count)
    yield buffered


def _states(reading: Reading) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}state", "1 for the state of the breaker, else 0.", labels=["name", "state"])
    for entry in reading.entries:
        for labels, value in states_of(entry):
            family.add_metric(labels, value)
        if entry.snapshots:
            family.add_metric([entry.name, "metrics_only"], 0)
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
            if reading.durations is not None:
                histogram = reading.durations.get((entry.name, outcome))
                family.add_sample(f"{name}_sum", labels, 0.0 if histogram is None else histogram.total_seconds)
    return family


def _percent(rate: float | None) -> float:
    return -1.0 if rate is None else rate * 100
