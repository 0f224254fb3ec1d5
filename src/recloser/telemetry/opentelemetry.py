"""Metrics and span events for OpenTelemetry; it only needs the API package.

There is no semantic convention for circuit breakers; the names start with `circuit_breaker.`.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

try:
    from opentelemetry import metrics, trace
except ModuleNotFoundError as _error:
    raise ImportError(
        "recloser.telemetry.opentelemetry needs the API: pip install 'recloser[opentelemetry]'"
    ) from _error

from recloser import BreakerRegistry, StateChanged, __version__
from recloser.events import CallFailed, CallIgnored, CallRejected, CallSucceeded
from recloser.lowlevel import checks
from recloser.registry import Ledger
from recloser.telemetry import _instruments
from recloser.telemetry._names import boundaries_of, checked_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

__all__ = ["Instrumentation", "instrument"]


def instrument(
    registry: BreakerRegistry,
    *,
    meter_provider: MeterProvider | None = None,
    max_breakers: int = 1000,
    durations: bool | Sequence[float] = False,
    span_events: bool = True,
    rejection_span_events: bool = False,
) -> Instrumentation:
    """Report to OpenTelemetry what the breakers of a registry do.

    The totals that breakers keep anyway are read when a metric reader collects, so calls cost nothing. No counter
    decreases when breakers are evicted and created again.

    Args:
        registry: The registry of the breakers.
        meter_provider: Where the metrics go; by default the global provider.
        max_breakers: How many breakers have metrics of their own, >= 1: the first ones, permanently. All others are
            added up under the name `__other__`.
        durations: Whether to measure how long calls take; or the boundaries of the histogram in seconds, which a view
            of the SDK overrides. Costs some microseconds per call.
        span_events: Whether a transition becomes an event of the current span.
        rejection_span_events: Whether a rejection does too. A rejection then costs about twice as much.

    Returns:
        An object that stops the reporting by `close()`, or at the end of a `with` block.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
        ImportError: The API is not installed; raised when the module is imported.
    """
    checked_registry(registry)
    if meter_provider is not None and not isinstance(meter_provider, metrics.MeterProvider):
        raise TypeError(f"meter_provider must be a MeterProvider, not {meter_provider!r}")
    checks.flag("span_events", span_events)
    checks.flag("rejection_span_events", rejection_span_events)
    boundaries = boundaries_of(durations)
    ledger = Ledger(registry, max_breakers=max_breakers)
    meter = metrics.get_meter("recloser", __version__, meter_provider)
    with ExitStack() as subscriptions:
        _subscribe_metrics(subscriptions, registry, meter, ledger, boundaries)
        if span_events:
            subscriptions.callback(registry.subscribe(_add_transition, kinds=StateChanged))
        if rejection_span_events:
            subscriptions.callback(registry.subscribe(_add_rejection, kinds=CallRejected))
        return Instrumentation(meter, ledger, subscriptions.pop_all())


class Instrumentation:
    """The reporting that `instrument()` has set up; a context manager that stops it."""

    def __init__(self, meter: Meter, ledger: Ledger, subscriptions: ExitStack) -> None:
        self._ledger = ledger
        self._subscriptions = subscriptions
        self._is_closed = False
        _instruments.create_observables(meter, self._callback)

    def close(self) -> None:
        """Stop reporting. The API cannot remove instruments: they stay, without observations."""
        self._is_closed = True
        self._subscriptions.close()

    def __enter__(self) -> Self:
        """Return the instrumentation itself."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop reporting."""
        self.close()

    def _callback(
        self, observations: Callable[[Ledger], Iterator[Observation]]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_options: CallbackOptions) -> Iterable[Observation]:
            return [] if self._is_closed else list(observations(self._ledger))

        return read


def _subscribe_metrics(
    subscriptions: ExitStack,
    registry: BreakerRegistry,
    meter: Meter,
    ledger: Ledger,
    boundaries: tuple[float, ...] | None,
) -> None:
    """Subscribe the instruments that are updated by events."""
    transitions = _instruments.transition_counter(meter, ledger)
    subscriptions.callback(registry.subscribe(transitions, kinds=StateChanged))
    if boundaries is not None:
        timed = (CallSucceeded, CallFailed, CallIgnored)
        histogram = _instruments.duration_histogram(meter, ledger, boundaries)
        subscriptions.callback(registry.subscribe(histogram, kinds=timed))


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
