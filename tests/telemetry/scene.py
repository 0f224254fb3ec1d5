"""Breakers that do everything that there are metrics for, policies, and how each exporter tells of them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Histogram, InMemoryMetricReader, Sum
from opentelemetry.sdk.metrics.export import Metric as SdkMetric
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from recloser import (
    BreakerRegistry,
    Bulkhead,
    CircuitBreaker,
    Constant,
    CountWindow,
    FailureRate,
    Fallback,
    Hedge,
    Pipeline,
    RateLimit,
    Retry,
    SlowCallRate,
)
from recloser.telemetry.opentelemetry import instrument
from recloser.telemetry.prometheus import BreakerCollector
from recloser.testing import ManualClock
from tests.telemetry.kit import fail, live, make, take
from tests.telemetry.scrapes import Scrape, scrape_over_http, served

WINDOW = CountWindow(10)
RATES = FailureRate(0.9, window=WINDOW, minimum_calls=2) | SlowCallRate(
    0.9, slow_call_seconds=1, window=WINDOW, minimum_calls=2
)
MOST_BREAKERS = 3
"""How many breakers have metrics of their own; one more is among all others."""
UNITS = {"s": "seconds", "1": "ratio"}


def make_scene(clock: ManualClock) -> BreakerRegistry:
    return make(clock, trip_when=RATES, failure_threshold=None)


def play(registry: BreakerRegistry, clock: ManualClock) -> None:
    """Lets breakers do everything."""
    registry.add(CircuitBreaker("payments", failure_threshold=2, clock=clock))
    anyio.run(live, registry, "payments", clock)
    let_through(registry.breaker("payments"))
    take(registry, "rates").succeed()
    fail(registry, "rates")
    registry.breaker("rates").force_open("a test")
    for name in ("search", "mail"):
        take(registry, name).ignore()


def let_through(breaker: CircuitBreaker) -> None:
    """Lets a breaker in shadow mode admit a call that it would have rejected."""
    breaker.reconfigure(shadow=True)
    breaker.force_open("a test")
    permit = breaker.try_acquire_nowait()
    assert permit is not None
    permit.succeed()
    breaker.reset()


def policies() -> list[object]:
    """Returns one policy of each kind that has metrics."""
    return [
        Pipeline(
            Fallback(Constant(None), name="prices"),
            Retry(2, name="prices"),
            Bulkhead(2, name="prices"),
            RateLimit(9, per_seconds=1, name="prices"),
        ),
        Hedge(1, name="prices"),
    ]


def prometheus_scrape(*, openmetrics: bool = False) -> Scrape:
    """Returns what Prometheus is told."""
    clock = ManualClock(1_000.0)
    registry = make_scene(clock)
    collector = BreakerCollector(registry, policies=policies(), max_breakers=MOST_BREAKERS, durations=True)
    play(registry, clock)
    with served(collector) as address:
        return scrape_over_http(address, openmetrics=openmetrics)


@contextmanager
def instrumented(*readers: object) -> Iterator[None]:
    """Has OpenTelemetry's readers told everything."""
    clock = ManualClock(1_000.0)
    registry = make_scene(clock)
    provider = MeterProvider(readers, shutdown_on_exit=False)
    settings = {"meter_provider": provider, "max_breakers": MOST_BREAKERS, "durations": True}
    with instrument(registry, policies=policies(), **settings):
        play(registry, clock)
        yield
    provider.shutdown()


def opentelemetry_metrics() -> dict[str, SdkMetric]:
    """Returns what OpenTelemetry's SDK is told, by name."""
    reader = InMemoryMetricReader()
    with instrumented(reader):
        [resource] = reader.get_metrics_data().resource_metrics
    return {metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics}


def exported_scrape() -> Scrape:
    """Returns what Prometheus is told through an exporter of OpenTelemetry."""
    return Scrape([exported(metric) for metric in opentelemetry_metrics().values()])


def exported(metric: SdkMetric) -> Metric:
    """Translates a metric by the rules of OpenTelemetry's specification, "Prometheus and OpenMetrics Compatibility".

    Dots become underscores. The unit is appended unless the name ends with it, a unit in braces is dropped, and a sum
    that never decreases gets `_total`.
    """
    unit = UNITS.get(metric.unit, "")
    assert unit or re.fullmatch(r"\{\w+\}", metric.unit)
    name = metric.name.replace(".", "_")
    name = name if not unit or name.endswith(f"_{unit}") else f"{name}_{unit}"
    labels = sorted({key for point in metric.data.data_points for key in point.attributes})
    keys = ["otel_scope_name", *(label.replace(".", "_") for label in labels)]
    is_counter = isinstance(metric.data, Sum) and metric.data.is_monotonic
    kind = HistogramMetricFamily if isinstance(metric.data, Histogram) else GaugeMetricFamily
    family = (CounterMetricFamily if is_counter else kind)(name, metric.description, labels=keys)
    for point in metric.data.data_points:
        values = ["recloser", *(str(point.attributes.get(label, "")) for label in labels)]
        if isinstance(metric.data, Histogram):
            bounds = [*map(str, point.explicit_bounds), "+Inf"]
            counts = [sum(point.bucket_counts[: index + 1]) for index in range(len(bounds))]
            family.add_metric(values, list(zip(bounds, counts, strict=True)), point.sum)
        else:
            family.add_metric(values, point.value)
    return family
