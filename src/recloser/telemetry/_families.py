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
    from recloser.telemetry._tallies import DurationTally

UNITS = {"s": "seconds", "1": "ratio"}
"""The units of OpenMetrics, by those of UCUM; what only counts has none."""


def breaker_families(reading: Reading, durations: DurationTally | None) -> Iterator[Metric]:
    """Iterate over the metrics of breakers.

    Args:
        reading: What the breakers have done.
        durations: How long calls took; None if that is not measured.
    """
    yield from families(BREAKER_METRICS, reading)
    if durations is not None:
        yield _durations(durations)


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


def _durations(durations: DurationTally) -> Metric:
    family = HistogramMetricFamily(
        "circuit_breaker_call_duration_seconds",
        "How long calls took, by how they ended.",
        labels=["name", "outcome"],
        unit="seconds",
    )
    bounds = [*map(str, durations.bounds), "+Inf"]
    for labels, histogram in durations.read().items():
        buckets = list(zip(bounds, histogram.counts, strict=True))
        family.add_metric(labels, buckets, histogram.total_seconds)
    return family
