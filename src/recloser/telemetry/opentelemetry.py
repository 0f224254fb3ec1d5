"""Metrics and span events for OpenTelemetry; of its packages only the API is needed.

There is no semantic convention for circuit breakers; the names begin with `circuit_breaker.`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

try:
    from opentelemetry import metrics, trace
except ModuleNotFoundError as error:
    raise ImportError(
        "recloser.telemetry.opentelemetry needs the API: pip install 'recloser[opentelemetry]'"
    ) from error

from recloser import (
    BreakerRegistry,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    StateChanged,
    __version__,
)
from recloser.lowlevel import checks
from recloser.registry import Ledger
from recloser.telemetry._names import STATES, boundaries_of, outcome_of, outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

__all__ = ["Instrumentation", "instrument"]

MOST_ERROR_TYPES = 100
OTHER_ERROR_TYPE = "_OTHER"
"""What the semantic conventions call an error whose type is not told."""


def instrument(
    registry: BreakerRegistry,
    *,
    meter_provider: MeterProvider | None = None,
    max_breakers: int = 1000,
    durations: bool | Sequence[float] = False,
    span_events: bool = True,
    rejection_span_events: bool = False,
) -> Instrumentation:
    """Tell OpenTelemetry what the breakers of a registry do.

    Whatever a breaker counts anyway is read when a metric reader collects, so a call costs nothing. No counter goes
    back when breakers are evicted and made again.

    Args:
        registry: Whose breakers.
        meter_provider: Where the metrics go; by default the global one.
        max_breakers: How many breakers have metrics of their own, >= 1: those that come first, for good. All others
            add up under the name `__other__`.
        durations: Whether to measure how long calls take; or the boundaries of the histogram in seconds, advice that a
            view of the SDK overrules. Costs each call of each breaker some microseconds.
        span_events: Whether transitions become events of the span in which they happen.
        rejection_span_events: Whether rejections do as well. They then cost about twice as much.

    Returns:
        What ends it again: `close()`, or the end of a `with` block.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
        ImportError: The API is not installed; raised by the import of the module.
    """
    if not isinstance(registry, BreakerRegistry):
        raise TypeError(f"registry must be a BreakerRegistry, not {registry!r}")
    if meter_provider is not None and not isinstance(meter_provider, metrics.MeterProvider):
        raise TypeError(f"meter_provider must be a MeterProvider, not {meter_provider!r}")
    checks.flag("span_events", span_events)
    checks.flag("rejection_span_events", rejection_span_events)
    boundaries = boundaries_of(durations)
    ledger = Ledger(registry, max_breakers=max_breakers)
    meter = metrics.get_meter("recloser", __version__, meter_provider)
    made = Instrumentation(ledger)
    made._observe(meter)
    made._leave.append(registry.subscribe(_transition_counter(meter, ledger), kinds=StateChanged))
    if boundaries is not None:
        timed = (CallSucceeded, CallFailed, CallIgnored)
        made._leave.append(registry.subscribe(_duration_histogram(meter, ledger, boundaries), kinds=timed))
    if span_events:
        made._leave.append(registry.subscribe(_add_transition, kinds=StateChanged))
    if rejection_span_events:
        made._leave.append(registry.subscribe(_add_rejection, kinds=CallRejected))
    return made


class Instrumentation:
    """What `instrument()` has set up; a context manager that ends it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._leave: list[Callable[[], None]] = []
        self._is_closed = False

    def close(self) -> None:
        """Tell OpenTelemetry nothing more. The API can't remove instruments: they stay and are silent."""
        self._is_closed = True
        for leave in self._leave:
            leave()

    def __enter__(self) -> Self:
        """Return the instrumentation itself."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def _observe(self, meter: metrics.Meter) -> None:
        """Make the instruments that are read when a reader collects."""
        meter.create_observable_counter(
            "circuit_breaker.calls",
            [self._reading(_calls)],
            "{call}",
            "Calls that were let through, by how they ended.",
        )
        meter.create_observable_counter(
            "circuit_breaker.rejections",
            [self._reading(_rejections)],
            "{call}",
            "Calls that were not started, or would not have been.",
        )
        meter.create_observable_counter(
            "circuit_breaker.probes", [self._reading(_probes)], "{call}", "Probes that were let through."
        )
        meter.create_observable_gauge(
            "circuit_breaker.state",
            [self._reading(_states)],
            "1",
            f"1 for the state that the breaker is in, else 0; for {Ledger.OTHER}, how many breakers are in it.",
        )
        meter.create_observable_gauge(
            "circuit_breaker.time_in_state",
            [self._reading(_times)],
            "s",
            "Time since the last state change, or since the breaker was made.",
        )

    def _reading(
        self, observations: Callable[[Ledger], Iterator[Observation]]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(_options: CallbackOptions) -> Iterable[Observation]:
            return [] if self._is_closed else list(observations(self._ledger))

        return read


def _calls(ledger: Ledger) -> Iterator[Observation]:
    for entry in ledger.read():
        for outcome, number in outcomes(entry.totals).items():
            attributes = {"circuit_breaker.name": entry.name, "circuit_breaker.outcome": outcome}
            yield metrics.Observation(number, attributes)


def _rejections(ledger: Ledger) -> Iterator[Observation]:
    for entry in ledger.read():
        yield metrics.Observation(entry.totals.rejected, {"circuit_breaker.name": entry.name})


def _probes(ledger: Ledger) -> Iterator[Observation]:
    for entry in ledger.read():
        yield metrics.Observation(entry.totals.probe, {"circuit_breaker.name": entry.name})


def _states(ledger: Ledger) -> Iterator[Observation]:
    for entry in ledger.read():
        present = [snapshot.state.value for snapshot in entry.snapshots]
        for state in STATES if present else ():
            attributes = {"circuit_breaker.name": entry.name, "circuit_breaker.state": state}
            yield metrics.Observation(present.count(state), attributes)


def _times(ledger: Ledger) -> Iterator[Observation]:
    for entry in ledger.read():
        for snapshot in entry.snapshots if entry.name != Ledger.OTHER else ():
            yield metrics.Observation(snapshot.time_in_state_seconds, {"circuit_breaker.name": entry.name})


def _transition_counter(meter: metrics.Meter, ledger: Ledger) -> Callable[[StateChanged], None]:
    counter = meter.create_counter("circuit_breaker.transitions", "{transition}", "State changes, by their cause.")

    def count(event: StateChanged) -> None:
        counter.add(
            1,
            {
                "circuit_breaker.name": ledger.name_of(event.breaker),
                "circuit_breaker.old_state": event.old.value,
                "circuit_breaker.new_state": event.new.value,
                "circuit_breaker.cause": event.cause.trigger.value,
            },
        )

    return count


def _duration_histogram(
    meter: metrics.Meter, ledger: Ledger, boundaries: tuple[float, ...]
) -> Callable[[CallSucceeded | CallFailed | CallIgnored], None]:
    histogram = meter.create_histogram(
        "circuit_breaker.call.duration",
        "s",
        "How long calls took, by how they ended.",
        explicit_bucket_boundaries_advisory=boundaries,
    )
    error_types: set[str] = set()

    def record(event: CallSucceeded | CallFailed | CallIgnored) -> None:
        if event.duration_seconds is None:
            return
        attributes = {
            "circuit_breaker.name": ledger.name_of(event.breaker),
            "circuit_breaker.outcome": outcome_of(event),
        }
        if isinstance(event, CallFailed):
            attributes["error.type"] = _bounded(event.error_type, error_types)
        histogram.record(event.duration_seconds, attributes)

    return record


def _bounded(error_type: str | None, known: set[str]) -> str:
    """Return an error's type, unless there are too many already; types that are made at run time have no end."""
    if error_type is None or (error_type not in known and len(known) >= MOST_ERROR_TYPES):
        return OTHER_ERROR_TYPE
    known.add(error_type)
    return error_type


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
    """Add an event to the span of the running code, if it is recorded; fields that say nothing are left out."""
    span = trace.get_current_span()
    if span.is_recording():
        attributes = {
            f"circuit_breaker.{key}": value for key, value in fields.items() if isinstance(value, (str, int, float))
        }
        span.add_event(name, attributes)
