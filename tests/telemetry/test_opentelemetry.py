"""`instrument()`: what breakers do, as OpenTelemetry sees it, with the SDK's own readers and exporters."""

import gc
import subprocess
import sys
import time
import weakref
from typing import Literal

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import recloser
from recloser import BreakerRegistry, CircuitBreakerOpenError
from recloser.telemetry._definitions import MetricDefinition
from recloser.telemetry._instruments import Instruments, SharedReading
from recloser.telemetry.opentelemetry import instrument
from recloser.testing import ManualClock
from tests.telemetry.kit import answer, break_down, fail, live, make, succeed
from tests.telemetry.sdk import NAME, Sdk

pytestmark = pytest.mark.anyio


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(spans: InMemorySpanExporter) -> trace.Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return provider.get_tracer("tests")


async def test_what_breakers_count_is_read_when_a_reader_collects(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock)
    with instrument(registry, meter_provider=sdk.provider):
        await live(registry, "payments", clock)
        assert sdk.values("circuit_breaker.calls", NAME, "circuit_breaker.outcome") == {
            ("payments", "success"): 2,
            ("payments", "failure"): 3,
            ("payments", "ignored"): 1,
            ("payments", "cancelled"): 0,
            ("payments", "late"): 1,
            ("payments", "leaked"): 0,
        }
        assert sdk.values("circuit_breaker.rejections", NAME) == {("payments",): 1}
        assert sdk.values("circuit_breaker.probes", NAME) == {("payments",): 2}


async def test_the_state_is_1_for_the_one_that_the_breaker_is_in(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock)
    with instrument(registry, meter_provider=sdk.provider):
        fail(registry, "payments", 2)
        clock.advance(5)
        states = sdk.values("circuit_breaker.state", "circuit_breaker.state")
        assert states == {("closed",): 0, ("open",): 1, ("half_open",): 0, ("forced_open",): 0, ("disabled",): 0}
        assert sdk.values("circuit_breaker.retry_after", NAME) == {("payments",): 55}
        changed = sdk.values("circuit_breaker.last_transition_timestamp", NAME)
        assert changed == {("payments",): pytest.approx(time.time() - 5, abs=2)}


async def test_transitions_are_counted_by_states_and_cause(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock)
    keys = (NAME, "circuit_breaker.old_state", "circuit_breaker.new_state", "circuit_breaker.cause")
    with instrument(registry, meter_provider=sdk.provider):
        await live(registry, "payments", clock)
        assert sdk.values("circuit_breaker.transitions", *keys) == {
            ("payments", "closed", "open", "tripped"): 1,
            ("payments", "open", "half_open", "wait_elapsed"): 2,
            ("payments", "half_open", "open", "probe_failed"): 1,
            ("payments", "half_open", "closed", "probes_passed"): 1,
        }


async def test_no_counter_goes_back_when_a_breaker_is_evicted_and_made_again(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    with instrument(registry, meter_provider=sdk.provider):
        seen = []
        for name in ("payments", "other", "payments"):
            succeed(registry, name)
            gc.collect()
            seen.append(sdk.values("circuit_breaker.calls", NAME, "circuit_breaker.outcome")["payments", "success"])
        assert seen == [1, 1, 2]
        assert sdk.values("circuit_breaker.state", NAME) == {("payments",): 0}


async def test_names_beyond_the_bound_share_one(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock)
    with instrument(registry, meter_provider=sdk.provider, max_breakers=1, durations=True):
        for name in "abc":
            succeed(registry, name)
        registry.breaker("c").reset()
        calls = sdk.values("circuit_breaker.calls", NAME, "circuit_breaker.outcome")
        assert (calls["a", "success"], calls["__other__", "success"]) == (1, 2)
        assert sdk.values("circuit_breaker.transitions", NAME) == {("__other__",): 1}
        assert set(sdk.values("circuit_breaker.counted_failures", NAME)) == {("a",)}
        assert set(sdk.points("circuit_breaker.call.duration", NAME)) == {("a",), ("__other__",)}


async def test_without_durations_calls_stay_on_the_closed_path(sdk: Sdk, clock: ManualClock) -> None:
    registry = make(clock)
    with instrument(registry, meter_provider=sdk.provider, rejection_span_events=True):
        assert registry.breaker("payments").engine.watch is None


async def test_after_closing_nothing_is_told(sdk: Sdk, clock: ManualClock, tracer: trace.Tracer) -> None:
    registry = make(clock)
    instrumentation = instrument(registry, meter_provider=sdk.provider, durations=True, rejection_span_events=True)
    instrumentation.close()
    instrumentation.close()
    with tracer.start_as_current_span("request") as span:
        await live(registry, "payments", clock)
    assert span.events == ()
    assert not sdk.metrics()
    assert not registry.fan_in.dispatcher.entries


async def test_a_registry_reports_to_one_meter_provider_once(sdk: Sdk, clock: ManualClock) -> None:
    registry, other = make(clock), Sdk()
    with instrument(registry, meter_provider=sdk.provider) as first:
        subscribed = len(registry.fan_in.dispatcher.entries)
        with pytest.raises(ValueError, match=r"^registry reports to this meter provider already: .*close\(\)"):
            instrument(registry, meter_provider=sdk.provider)
        assert len(registry.fan_in.dispatcher.entries) == subscribed
        with instrument(registry, meter_provider=other.provider, span_events=False), instrument(registry):
            pass
        first.close()
        instrument(registry, meter_provider=sdk.provider).close()
    other.provider.shutdown()


async def test_registries_that_report_to_one_meter_provider_are_all_told(sdk: Sdk, clock: ManualClock) -> None:
    first, second = make(clock), make(clock)
    for registry, name in ((first, "first"), (second, "second"), (second, "shared"), (first, "shared")):
        succeed(registry, name)
    with instrument(first, meter_provider=sdk.provider):
        with instrument(second, meter_provider=sdk.provider):
            calls = sdk.values("circuit_breaker.calls", NAME, "circuit_breaker.outcome")
            assert {name: number for (name, outcome), number in calls.items() if outcome == "success"} == {
                "first": 1,
                "second": 1,
                "shared": 2,
            }
        assert set(sdk.values("circuit_breaker.calls", NAME)) == {("first",), ("shared",)}
    assert not sdk.metrics()
    with instrument(second, meter_provider=sdk.provider):
        assert set(sdk.values("circuit_breaker.calls", NAME)) == {("second",), ("shared",)}


async def test_the_instruments_of_one_collection_share_a_reading(sdk: Sdk) -> None:
    reads, now = [], 0.0

    def read() -> int:
        reads.append(now)
        return len(reads)

    def define(name: str, kind: Literal["counter", "gauge"]) -> MetricDefinition[int]:
        return MetricDefinition("test", f"test_{name}", kind, "{read}", "Reads.", (), lambda number: [((), number)])

    shared, instruments = SharedReading(read, lambda: now), Instruments()
    meter = sdk.provider.get_meter("recloser", recloser.__version__)
    for name, kind in (("first", "counter"), ("second", "gauge")):
        definition = define(name, kind)
        instruments.add(meter, definition, shared.observer(definition))
    for expected in (1, 2):
        collected = sdk.metrics()
        assert {collected[name].data.data_points[0].value for name in ("test.first", "test.second")} == {expected}
    now = 1.5
    assert shared.reading_for("another instrument") == 3, "the latest one is too old"


async def test_without_an_sdk_everything_is_silent(clock: ManualClock) -> None:
    registry = make(clock)
    with instrument(registry, meter_provider=metrics.NoOpMeterProvider(), durations=True):
        await live(registry, "payments", clock)


SET_LATER = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from recloser import BreakerRegistry
from recloser.telemetry.opentelemetry import instrument

registries = [BreakerRegistry() for _ in range(3)]
reader = InMemoryMetricReader()
provider = MeterProvider([reader])
for number, registry in enumerate(registries):
    if number == 1:
        metrics.set_meter_provider(provider)
    registry.breaker(f"breaker-{number}").try_acquire_nowait().succeed()
    instrument(registry, meter_provider=provider if number == 2 else None, durations=True)
[resource] = reader.get_metrics_data().resource_metrics
[calls] = [each for scope in resource.scope_metrics for each in scope.metrics if each.name == "circuit_breaker.calls"]
print(*sorted({point.attributes["circuit_breaker.name"] for point in calls.data.data_points}))
"""


def test_registries_are_told_before_and_after_the_global_meter_provider_is_set() -> None:
    done = subprocess.run([sys.executable, "-c", SET_LATER], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["breaker-0", "breaker-1", "breaker-2"]


async def test_a_meter_provider_that_nobody_holds_is_forgotten(clock: ManualClock) -> None:
    registry, sdk = make(clock), Sdk()
    instrumentation = instrument(registry, meter_provider=sdk.provider, durations=True)
    succeed(registry, "payments")
    sdk.metrics()
    instrumentation.close()
    gone = weakref.ref(sdk.provider)
    del sdk, instrumentation
    gc.collect()
    assert gone() is None


async def test_the_global_meter_provider_is_the_default(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(metrics, "get_meter", lambda *arguments: asked.append(arguments) or metrics.NoOpMeter("none"))
    instrument(make(clock)).close()
    assert asked == [("recloser", recloser.__version__, None)]


# Spans


async def test_a_transition_is_an_event_of_the_span_in_which_it_happens(
    clock: ManualClock, sdk: Sdk, tracer: trace.Tracer, spans: InMemorySpanExporter
) -> None:
    registry = make(clock, failure_threshold=1)
    with (
        instrument(registry, meter_provider=sdk.provider),
        tracer.start_as_current_span("request"),
        pytest.raises(Exception, match="down"),
    ):
        await registry.breaker("payments").call(break_down)
    [span] = spans.get_finished_spans()
    [event] = [event for event in span.events if event.name != "exception"]
    assert event.name == "circuit_breaker.transition"
    assert dict(event.attributes) == {
        "circuit_breaker.name": "payments",
        "circuit_breaker.old_state": "closed",
        "circuit_breaker.new_state": "open",
        "circuit_breaker.cause": "tripped",
        "circuit_breaker.rule": "1 consecutive failure",
        "circuit_breaker.observed": 1,
        "circuit_breaker.threshold": 1,
        "circuit_breaker.last_error": "DownError: down",
        "circuit_breaker.error_type": "DownError",
        "circuit_breaker.failure_count": 1,
        "circuit_breaker.time_in_old_state_seconds": 0.0,
        "circuit_breaker.retry_after_seconds": 60.0,
        "circuit_breaker.shadow": False,
        "circuit_breaker.outage_seconds": 0.0,
        "circuit_breaker.outage_rejections": 0,
        "circuit_breaker.outage_failed_probes": 0,
    }


async def test_a_rejection_is_an_event_only_on_request(clock: ManualClock, sdk: Sdk, tracer: trace.Tracer) -> None:
    registry = make(clock)
    fail(registry, "payments", 2)
    for wanted in (False, True):
        with (
            instrument(registry, meter_provider=sdk.provider, rejection_span_events=wanted),
            tracer.start_as_current_span("request") as span,
        ):
            with pytest.raises(CircuitBreakerOpenError):
                await registry.breaker("payments").call(answer)
            assert [event.name for event in span.events] == ["circuit_breaker.rejected"] * wanted
    assert dict(span.events[0].attributes) == {
        "circuit_breaker.name": "payments",
        "circuit_breaker.state": "open",
        "circuit_breaker.retry_after_seconds": 60.0,
        "circuit_breaker.shadow": False,
    }


async def test_span_events_can_be_left_out(clock: ManualClock, sdk: Sdk, tracer: trace.Tracer) -> None:
    registry = make(clock)
    with (
        instrument(registry, meter_provider=sdk.provider, span_events=False),
        tracer.start_as_current_span("request") as span,
    ):
        registry.breaker("payments").reset()
        assert span.events == ()


async def test_a_span_that_is_not_recorded_gets_no_event(clock: ManualClock, sdk: Sdk) -> None:
    registry = make(clock)
    with instrument(registry, meter_provider=sdk.provider), trace.use_span(trace.INVALID_SPAN):
        registry.breaker("payments").reset()
        assert sdk.values("circuit_breaker.transitions", NAME) == {("payments",): 1}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"registry": 5}, TypeError, "registry must be a BreakerRegistry, not 5"),
        ({"meter_provider": "sdk"}, TypeError, "meter_provider must be a MeterProvider, not 'sdk'"),
        ({"max_breakers": 0}, ValueError, "max_breakers must be an integer >= 1, not 0"),
        ({"durations": (2, 1)}, ValueError, "each finite, > 0 and above the last"),
        ({"span_events": 1}, TypeError, "span_events must be True or False, not 1"),
        ({"rejection_span_events": None}, TypeError, "rejection_span_events must be True or False, not None"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        instrument(**{"registry": BreakerRegistry(), **arguments})
