"""What each way to monitor breakers adds to a successful call."""

from collections.abc import Awaitable, Callable, Mapping

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from benchmarks.contender import LONG_SECONDS, NEVER, work
from benchmarks.harness import Run
from benchmarks.loops import calls
from recloser import BreakerRegistry, StateChanged
from recloser.telemetry.logging import LogListener
from recloser.telemetry.opentelemetry import instrument
from recloser.telemetry.prometheus import BreakerCollector

Watch = Callable[[BreakerRegistry], object]


def _transitions(registry: BreakerRegistry) -> object:
    return registry.subscribe(lambda _event: None, kinds=StateChanged)


def _log(registry: BreakerRegistry) -> object:
    listener = LogListener()
    return registry.subscribe(listener, kinds=listener.kinds)


def _opentelemetry(registry: BreakerRegistry, *, durations: bool = False) -> object:
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    return instrument(registry, meter_provider=provider, durations=durations)


def _watched(watch: Watch) -> Callable[[], Awaitable[Run]]:
    async def build() -> Run:
        registry = BreakerRegistry(failure_threshold=NEVER, reset_timeout_seconds=LONG_SECONDS)
        _KEPT.append(watch(registry))
        return calls(registry.breaker("watched")(work))

    return build


_KEPT: list[object] = []
"""Keeps the monitoring objects alive."""


WATCHES: Mapping[str, Callable[[], Awaitable[Run]]] = {
    "a listener of transitions": _watched(_transitions),
    "log listener": _watched(_log),
    "Prometheus": _watched(BreakerCollector),
    "OpenTelemetry": _watched(_opentelemetry),
    "Prometheus with durations": _watched(lambda registry: BreakerCollector(registry, durations=True)),
    "OpenTelemetry with durations": _watched(lambda registry: _opentelemetry(registry, durations=True)),
}
FREE = {"a listener of transitions", "log listener", "Prometheus", "OpenTelemetry"}
"""The ways that don't need an event for each call."""
