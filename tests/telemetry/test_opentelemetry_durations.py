"""Durations as OpenTelemetry sees them: recorded in batches, when a reader collects."""

import gc
import logging
import math
import threading
from collections import Counter

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)

from recloser import BreakerRegistry
from recloser._breaker import durations as durations_module
from recloser.telemetry._instruments import MOST_ERROR_TYPES
from recloser.telemetry.opentelemetry import instrument
from recloser.telemetry.prometheus import BreakerCollector
from recloser.testing import ManualClock
from tests.telemetry.kit import answer, break_down, fail, live, make, succeed, take
from tests.telemetry.scrapes import scrape
from tests.telemetry.sdk import NAME, Sdk

pytestmark = pytest.mark.anyio

DURATION = "circuit_breaker.call.duration"
OUTCOME = "circuit_breaker.outcome"
PATIENCE_SECONDS = 30.0


def totals_of(data: MetricsData | None) -> Counter[str]:
    """Returns how many durations a reader has collected, by outcome."""
    scopes = [] if data is None else [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
    numbers: Counter[str] = Counter()
    for metric in (metric for scope in scopes for metric in scope.metrics if metric.name == DURATION):
        for point in metric.data.data_points:
            numbers[point.attributes[OUTCOME]] += point.count
    return numbers


def waiting(registry: BreakerRegistry, name: str) -> int:
    """Returns how many durations of a name have not been recorded."""
    [samples] = registry.breaker(name).engine.dispatcher.durations.samples
    return len(samples.successes) + len(samples.others)


async def test_durations_are_a_histogram_with_the_boundaries_that_were_asked_for(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock)
    with instrument(registry, meter_provider=sdk.provider, durations=(1, 2.5)):
        for seconds in (0.5, 2, 9):
            async with registry.breaker("payments").guard():
                clock.advance(seconds)
        ignored = take(registry, "payments")
        ignored.ignore()
        points = sdk.points("circuit_breaker.call.duration", "circuit_breaker.outcome")
        point = points[("success",)]
        assert (point.explicit_bounds, point.bucket_counts, point.sum) == ((1, 2.5), (1, 1, 1), 11.5)
        assert points[("ignored",)].count == 1


async def test_a_failed_calls_duration_bears_the_type_of_its_error(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock, failure_threshold=1000)
    with instrument(registry, meter_provider=sdk.provider, durations=True):
        with pytest.raises(Exception, match="down"):
            await registry.breaker("payments").call(break_down)
        fail(registry, "payments")
        succeed(registry, "payments")
        take(registry, "payments").ignore()
        keys = set(sdk.points(DURATION, OUTCOME, "error.type"))
        assert keys == {("failure", "DownError"), ("failure", "_OTHER"), ("success", None), ("ignored", None)}


async def test_error_types_that_are_made_at_run_time_stay_bounded(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock, failure_threshold=1000)
    with instrument(registry, meter_provider=sdk.provider, durations=True):
        for number in range(MOST_ERROR_TYPES + 5):
            take(registry, "payments").fail(type(f"Error{number}", (Exception,), {})())
        take(registry, "payments").fail(type("Error0", (Exception,), {})())
        points = sdk.points("circuit_breaker.call.duration", "error.type")
        assert len(points) == MOST_ERROR_TYPES + 1
        assert (points[("_OTHER",)].count, points[("Error0",)].count) == (5, 2)


async def test_a_call_that_began_before_anybody_measured_has_no_duration(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock, overdue_after_seconds=math.inf)
    permit = take(registry, "payments")
    with instrument(registry, meter_provider=sdk.provider, durations=True):
        permit.succeed()
        assert sdk.points("circuit_breaker.call.duration") == {}


# When they are recorded


async def test_a_collection_records_what_waits_and_has_it(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock, failure_threshold=100)
    with instrument(registry, meter_provider=sdk.provider, durations=(1, 5)):
        expected = 0.0
        for number in range(1, 4):
            for seconds in range(number):
                async with registry.breaker("payments").guard():
                    clock.advance(seconds)
                expected += seconds
            fail(registry, "payments")
            assert waiting(registry, "payments") == number + 1
            points = sdk.points(DURATION, OUTCOME)
            assert waiting(registry, "payments") == 0
            assert points[("failure",)].count == number
            assert (points[("success",)].count, points[("success",)].sum) == (number * (number + 1) // 2, expected)


async def test_each_reader_has_all_durations_whoever_collects_first(clock: ManualClock) -> None:
    delta = InMemoryMetricReader(preferred_temporality={Histogram: AggregationTemporality.DELTA})
    sdk, registry = Sdk(delta), make(clock)
    seen: Counter[str] = Counter()
    with instrument(registry, meter_provider=sdk.provider, durations=True):
        for number in range(1, 5):
            succeed(registry, "payments")
            readers = [sdk.reader, delta][:: 1 if number % 2 else -1]
            collected = {reader: totals_of(reader.get_metrics_data()) for reader in readers}
            assert collected[sdk.reader] == {"success": number}
            assert collected[delta] == {"success": 1}
            seen += collected[delta]
        assert seen == {"success": 4}
        assert totals_of(delta.get_metrics_data()) == {}
    sdk.provider.shutdown()


class Exporter(MetricExporter):
    """Keeps what was exported."""

    def __init__(self) -> None:
        super().__init__()
        self.exported: list[Counter[str]] = []

    def export(self, metrics_data: MetricsData, *_: object, **__: object) -> MetricExportResult:
        self.exported.append(totals_of(metrics_data))
        return MetricExportResult.SUCCESS

    def force_flush(self, *_: object, **__: object) -> bool:
        return True

    def shutdown(self, *_: object, **__: object) -> None:
        pass


def test_flushing_and_shutting_the_provider_down_lose_nothing(clock: ManualClock) -> None:
    exporter, registry = Exporter(), make(clock)
    sdk = Sdk(PeriodicExportingMetricReader(exporter, export_interval_millis=1e9))
    with instrument(registry, meter_provider=sdk.provider, durations=True):
        succeed(registry, "payments")
        sdk.provider.force_flush()
        assert exporter.exported == [{"success": 1}]
        succeed(registry, "payments")
        sdk.provider.shutdown()
        assert exporter.exported[-1] == {"success": 2}
        succeed(registry, "payments")


async def test_closing_records_what_waits(sdk: Sdk, clock: ManualClock) -> None:
    registry, other = make(clock), make(clock)
    instrumentations = [instrument(each, meter_provider=sdk.provider, durations=True) for each in (registry, other)]
    for number, each in enumerate((registry, other), start=1):
        succeed(each, "payments")
        instrumentations[number - 1].close()
        succeed(each, "payments")
        assert each.breaker("payments").engine.watch is None
        assert totals_of(sdk.reader.get_metrics_data()) == {"success": number}


async def test_each_registry_of_a_provider_is_recorded(sdk: Sdk, clock: ManualClock) -> None:
    registries = [make(clock), make(clock)]
    first, second = (instrument(each, meter_provider=sdk.provider, durations=True) for each in registries)
    for number, each in enumerate(registries):
        succeed(each, f"breaker-{number}")
    assert set(sdk.points(DURATION, NAME)) == {("breaker-0",), ("breaker-1",)}
    first.close()
    succeed(registries[1], "breaker-1")
    assert sdk.points(DURATION, NAME)[("breaker-1",)].count == 2
    with instrument(registries[0], meter_provider=sdk.provider, durations=True):
        succeed(registries[0], "breaker-0")
        assert sdk.points(DURATION, NAME)[("breaker-0",)].count == 2
    second.close()


@pytest.mark.parametrize("provider", [MeterProvider(shutdown_on_exit=False), NoOpMeterProvider()], ids=["SDK", "API"])
def test_without_a_reader_what_waits_is_bounded(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch, provider: MeterProvider
) -> None:
    monkeypatch.setattr(durations_module, "MOST_SAMPLES", 10)
    registry = make(clock, failure_threshold=1000)
    with instrument(registry, meter_provider=provider, durations=True):
        for _ in range(25):
            succeed(registry, "payments")
            fail(registry, "payments")
            assert waiting(registry, "payments") <= 2 * 10
        assert waiting(registry, "payments") > 0


async def test_what_the_sdk_raises_is_logged_and_breaks_neither_a_call_nor_a_collection(
    sdk: Sdk, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def record(*_: object) -> None:
        raise ValueError("the SDK fails")

    monkeypatch.setattr(durations_module, "MOST_SAMPLES", 2)
    registry = make(clock)
    with instrument(registry, meter_provider=sdk.provider, durations=True):
        monkeypatch.setattr(Histogram, "record", record)
        for _ in range(3):
            assert await registry.breaker("payments").call(answer) == "answer"
        assert sdk.values("circuit_breaker.calls", NAME, OUTCOME)["payments", "success"] == 3
    [logged] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "can't be recorded" in logged.getMessage()


async def test_evicted_breakers_leave_their_durations_and_nothing_else(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    with instrument(registry, meter_provider=sdk.provider, max_breakers=1, durations=True):
        for number in range(20):
            succeed(registry, f"host-{number}")
            gc.collect()
        assert len(list(registry)) == 1
        points = sdk.points(DURATION, NAME)
        assert {name: point.count for (name,), point in points.items()} == {"host-0": 1, "__other__": 19}


def test_threads_that_call_while_others_collect_lose_and_double_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations_module, "MOST_SAMPLES", 50)
    sdk, registry = Sdk(), BreakerRegistry(failure_threshold=10**9)
    done = threading.Event()

    def call(number: int) -> None:
        for _ in range(1000):
            succeed(registry, f"host-{number}")
            fail(registry, f"host-{number}")

    def collect() -> None:
        while not done.is_set():
            sdk.reader.collect()

    with instrument(registry, meter_provider=sdk.provider, durations=True):
        for number in range(3):
            registry.breaker(f"host-{number}")
        collector = threading.Thread(target=collect)
        callers = [threading.Thread(target=call, args=(number,)) for number in range(3)]
        for thread in (collector, *callers):
            thread.start()
        for thread in callers:
            thread.join(PATIENCE_SECONDS)
        done.set()
        collector.join(PATIENCE_SECONDS)
        assert {key: point.count for key, point in sdk.points(DURATION, NAME, OUTCOME).items()} == {
            (f"host-{number}", outcome): 1000 for number in range(3) for outcome in ("success", "failure")
        }
    sdk.provider.shutdown()


async def test_prometheus_and_opentelemetry_measure_the_same(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock)
    collector = BreakerCollector(registry, durations=(1, 5))
    with instrument(registry, meter_provider=sdk.provider, durations=(2, 5)):
        await live(registry, "payments", clock)
        for seconds in (1.5, 3):
            async with registry.breaker("payments").guard():
                clock.advance(seconds)
        told = scrape(collector)
        points = sdk.points(DURATION, OUTCOME)
        for outcome in ("success", "failure", "ignored"):
            labels = {"name": "payments", "outcome": outcome}
            points_of = [point for (each,), point in points.items() if each == outcome]
            assert sum(point.count for point in points_of) == told.value(
                "circuit_breaker_call_duration_seconds_count", **labels
            )
            assert sum(point.sum for point in points_of) == told.value(
                "circuit_breaker_call_duration_seconds_sum", **labels
            )
        collector.close()
        assert registry.breaker("payments").engine.watch is not None
    assert registry.breaker("payments").engine.watch is None
