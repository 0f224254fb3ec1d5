"""What each way to watch breakers adds to a call."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

from benchmarks.comparisons import Build
from benchmarks.contender import LONG_SECONDS, NEVER, TRIP_AFTER, Dependency, Work, trip, work
from benchmarks.harness import BETWEEN_ROUNDS, Run
from benchmarks.loops import Items, calls, failing_calls, items
from benchmarks.own import RECLOSER
from recloser import BreakerRegistry
from recloser.events import CallFailed, CallIgnored, CallRejected, CallSucceeded, StateChanged
from recloser.telemetry.logging import LogListener

Watch = Callable[[BreakerRegistry], object]

SINGLE_CALLS = (CallSucceeded, CallFailed, CallIgnored, CallRejected)


def listener(*kinds: type[Any]) -> Watch:
    """Returns what subscribes one listener to kinds of events."""
    return lambda registry: registry.subscribe(lambda _event: None, kinds=kinds)


def two_listeners(registry: BreakerRegistry) -> object:
    """Subscribes two listeners to all single calls."""
    return listener(*SINGLE_CALLS)(registry), listener(*SINGLE_CALLS)(registry)


def log(registry: BreakerRegistry) -> object:
    """Subscribes the log listener."""
    found = LogListener()
    return registry.subscribe(found, kinds=found.kinds)


def prometheus(registry: BreakerRegistry, *, durations: bool = False) -> object:
    """Collects metrics for Prometheus."""
    module = import_module("recloser.telemetry.prometheus")
    return module.BreakerCollector(registry, durations=durations)


def opentelemetry(registry: BreakerRegistry, *, durations: bool = False) -> object:
    """Collects metrics for OpenTelemetry."""
    sdk, export = import_module("opentelemetry.sdk.metrics"), import_module("opentelemetry.sdk.metrics.export")
    provider = sdk.MeterProvider([export.InMemoryMetricReader()], shutdown_on_exit=False)
    module = import_module("recloser.telemetry.opentelemetry")
    if durations:
        BETWEEN_ROUNDS.append(provider.force_flush)
    return module.instrument(registry, meter_provider=provider, durations=durations)


def _watched(watch: Watch, function: Any, loop: Callable[..., Run], *arguments: object) -> Build:  # noqa: ANN401 - what a breaker can protect
    async def build() -> Run:
        registry = BreakerRegistry(failure_threshold=NEVER, reset_timeout_seconds=LONG_SECONDS)
        _KEPT.append(watch(registry))
        return loop(registry.breaker("watched")(function), *arguments)

    return build


def succeeding(watch: Watch) -> Build:
    """Returns what builds a loop of watched successes."""
    return _watched(watch, work, calls)


def failing(watch: Watch, function: Work) -> Build:
    """Returns what builds a loop of watched failures: the function raises ConnectionError."""
    return _watched(watch, function, failing_calls, ConnectionError)


def streamed(watch: Watch, function: Items) -> Build:
    """Returns what builds a loop over the items of a watched stream."""
    return _watched(watch, function, items)


def rejecting(watch: Watch) -> Build:
    """Returns what builds a loop of watched rejections."""

    async def build() -> Run:
        registry = BreakerRegistry(failure_threshold=TRIP_AFTER, reset_timeout_seconds=LONG_SECONDS)
        _KEPT.append(watch(registry))
        dependency = Dependency()
        protected = registry.breaker("watched")(dependency.function())
        await trip(RECLOSER, protected, dependency)
        return failing_calls(protected, RECLOSER.rejection)

    return build


async def streaming() -> Run:
    """Builds a loop of successes with an event stream that nobody reads: it keeps the last 256 events."""
    registry = BreakerRegistry(failure_threshold=NEVER, reset_timeout_seconds=LONG_SECONDS)
    stack = AsyncExitStack()
    _KEPT.extend((stack, await stack.enter_async_context(registry.events())))
    return calls(registry.breaker("watched")(work))


_KEPT: list[object] = []
"""Keeps the monitoring objects alive."""

FREE: Mapping[str, Watch] = {
    "a listener of transitions": listener(StateChanged),
    "a listener of failures alone": listener(CallFailed),
    "a listener of rejections alone": listener(CallRejected),
    "log listener": log,
    "Prometheus": prometheus,
    "OpenTelemetry": opentelemetry,
}
"""The ways that don't need to know of a success."""

PER_CALL: Mapping[str, tuple[Watch, float | None]] = {
    "one listener of all single calls": (listener(*SINGLE_CALLS), 4.5),
    "two listeners of all single calls": (two_listeners, None),
    "Prometheus with durations": (lambda registry: prometheus(registry, durations=True), 3.5),
    "OpenTelemetry with durations": (lambda registry: opentelemetry(registry, durations=True), 3.5),
}
"""The ways that need to, and their bars."""
