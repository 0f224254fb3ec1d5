"""Metrics and span events for OpenTelemetry; it only needs the API package.

There is no semantic convention for circuit breakers; the names start with `circuit_breaker.`.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

try:
    from opentelemetry import metrics, trace
except ModuleNotFoundError as _error:
    raise ImportError(
        "recloser.telemetry.opentelemetry needs the API: pip install 'recloser[opentelemetry]'"
    ) from _error

from recloser import StateChanged, __version__
from recloser.events import CallRejected
from recloser.lowlevel import checks
from recloser.telemetry._breaker_metrics import BREAKER_METRICS, CALLS
from recloser.telemetry._instrumentation import Instrumentation, Targets
from recloser.telemetry._instruments import SharedReading, duration_recorder, instruments_of
from recloser.telemetry._names import boundaries_of, checked_registry
from recloser.telemetry._policy_metrics import Policies
from recloser.telemetry._readings import Readings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.metrics import Meter, MeterProvider

    from recloser import BreakerRegistry, Pipeline
    from recloser.telemetry._definitions import MetricDefinition, S
    from recloser.telemetry._instruments import Observer
    from recloser.telemetry._policy_metrics import CountedPolicy

    Adding: TypeAlias = Callable[[MetricDefinition[Any], Observer], Callable[[], None]]

__all__ = ["instrument"]

_TARGETS = Targets("meter provider")


def instrument(
    registry: BreakerRegistry,
    *,
    policies: Iterable[CountedPolicy | Pipeline] = (),
    meter_provider: MeterProvider | None = None,
    max_breakers: int = 1000,
    durations: bool | Sequence[float] = False,
    span_events: bool = True,
    rejection_span_events: bool = False,
) -> Instrumentation:
    """Report to OpenTelemetry what the breakers of a registry, and policies, do.

    The totals that breakers keep anyway are read when a metric reader collects, so calls cost nothing. No counter
    decreases when breakers are evicted and created again.

    Args:
        registry: The registry of the breakers.
        policies: Each `Retry`, `Bulkhead`, `RateLimit`, `Hedge` and `Fallback`, functions that a `Fallback` decorates,
            and pipelines, which stand for their policies. Those of one kind need different names.
        meter_provider: Where the metrics go; by default the global provider.
        max_breakers: How many breakers have metrics of their own, >= 1: the first ones, permanently. All others are
            added up under the name `__other__`.
        durations: Whether to measure how long calls take; or the boundaries of the histogram in seconds, which a view
            of the SDK overrides. A call reads the clock twice and keeps a number, which is recorded when a reader
            collects: exemplars don't have the context of the call. No event is needed.
        span_events: Whether a transition becomes an event of the current span.
        rejection_span_events: Whether a rejection does too. A rejection then costs about twice as much.

    Returns:
        What stops the reporting by `close()`, or at the end of a `with` block. Instruments stay, and observe nothing.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range, or the registry or a policy reports to this provider already.
        ImportError: The API is not installed; raised when the module is imported.
    """
    checked_registry(registry)
    meter = _meter_of(meter_provider)
    checks.flag("span_events", span_events)
    checks.flag("rejection_span_events", rejection_span_events)
    record = duration_recorder(meter, boundaries_of(durations))
    reporting = Policies(policies)
    with ExitStack() as cleanup:
        _TARGETS.claim(cleanup, registry, reporting.reporting, meter_provider)
        add = partial(instruments_of(meter_provider).add, meter)
        readings = Readings(registry, max_breakers, record=record)
        _observe_breakers(cleanup, add, readings)
        _observe(cleanup, add, reporting.metrics, reporting.read)
        _report_to_spans(cleanup, registry, transitions=span_events, rejections=rejection_span_events)
        return Instrumentation(cleanup.pop_all())


def _meter_of(meter_provider: object) -> Meter:
    if meter_provider is not None and not isinstance(meter_provider, metrics.MeterProvider):
        raise TypeError(f"meter_provider must be a MeterProvider, not {meter_provider!r}")
    return metrics.get_meter("recloser", __version__, meter_provider)


def _observe_breakers(cleanup: ExitStack, add: Adding, readings: Readings) -> None:
    """Have instruments observe the breakers, and have their durations recorded, until the cleanup."""
    cleanup.callback(readings.close)
    cleanup.callback(add(CALLS, readings.hand_over))
    _observe(cleanup, add, BREAKER_METRICS, readings.read)


def _observe(
    cleanup: ExitStack,
    add: Adding,
    definitions: Iterable[MetricDefinition[S]],
    read: Callable[[], S],
) -> None:
    """Have instruments observe what is read, until the cleanup."""
    shared = SharedReading(read)
    for definition in definitions:
        cleanup.callback(add(definition, shared.observer(definition)))


def _report_to_spans(cleanup: ExitStack, registry: BreakerRegistry, *, transitions: bool, rejections: bool) -> None:
    """Make events events of the current span, until the cleanup."""
    if transitions:
        cleanup.callback(registry.subscribe(_add_transition, kinds=StateChanged))
    if rejections:
        cleanup.callback(registry.subscribe(_add_rejection, kinds=CallRejected))


def _add_transition(event: StateChanged) -> None:
    fields = event.fields()
    name = fields.pop("circuit_breaker")
    attributes = {"name": name, **fields}
    _add_event("circuit_breaker.transition", attributes)


def _add_rejection(event: CallRejected) -> None:
    attributes = {
        "name": event.breaker,
        "state": event.state.value,
        "retry_after_seconds": event.retry_after,
        "shadow": event.shadow,
    }
    _add_event("circuit_breaker.rejected", attributes)


def _add_event(name: str, fields: Mapping[str, object]) -> None:
    """Add an event to the current span, if it is recording; fields without a value are left out."""
    span = trace.get_current_span()
    if span.is_recording():
        attributes = {
            f"circuit_breaker.{key}": value for key, value in fields.items() if isinstance(value, (str, int, float))
        }
        span.add_event(name, attributes)
