"""Metrics as `prometheus_client` takes them, with recloser's own names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from recloser.telemetry._breaker_metrics import BREAKER_METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric

    from recloser.telemetry._definitions import MetricDefinition, S
    from recloser.telemetry._readings import Reading

UNITS = {"s": "seconds", "1": "ratio"}
"""The units of OpenMetrics, by those of UCUM; what only counts has none."""


def breaker_families(reading: Reading) -> Iterator[Metric]:
    """Iterate over the metrics of breakers."""
    yield from families(BREAKER_METRICS, reading)
    if reading.bounds:
        yield _durations(reading)


def families(definitions: Iterable[MetricDefinition[S]], source: S) -> Iterator[Metric]:
    """Iterate over the metrics that are defined.

    Args:
        definitions: The definitions.
        source: What their values are read from.
    """
    for definition in definitions:
        kind = CounterMetricFamily if definition.kind == "counter" else GaugeMetricFamily
        unit = UNITS.get(definition.unit, "")
        family = kind(definition.name, definition.help, labels=definition.labels, unit=unit)
        for labels, value in definition.read(source):
            family.add_metric(labels, value)
        yield family


def _durations(reading: Reading) -> Metric:
    family = HistogramMetricFamily(
        "circuit_breaker_call_duration_seconds",
        "How long calls took, by how they ended.",
        labels=["name", "outcome"],
        unit="seconds",
    )
    bounds = [*map(str, reading.bounds), "+Inf"]
    for entry in reading.entries:
        for outcome, durations in entry.durations.items():
            buckets = list(zip(bounds, durations.counts, strict=True))
            family.add_metric([entry.name, outcome], buckets, durations.total_seconds)
    return family
