"""The instruments of OpenTelemetry."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeAlias
from weakref import WeakKeyDictionary, ref

from opentelemetry.metrics import Observation, get_meter_provider

from recloser.telemetry._definitions import S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider

    from recloser.telemetry._definitions import MetricDefinition

MOST_ERROR_TYPES = 100
OTHER_ERROR_TYPE = "_OTHER"
"""The value of `error.type` in the semantic conventions for an error whose type is not reported."""

LONGEST_SHARED_SECONDS = 1.0


Observer: TypeAlias = "Callable[[], Iterable[Observation]]"


class Instruments:
    """The observable instruments of one meter provider, for all who report to it.

    A meter creates an instrument of one name once: whoever asks for it again gets the first one, without a callback of
    his own. So an instrument has one callback, which asks all present observers.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._observers: dict[str, tuple[Observer, ...]] = {}

    def add(self, meter: Meter, definition: MetricDefinition[Any], observer: Observer) -> Callable[[], None]:
        """Add an observer to an instrument, which is created for the first one; return a function that removes it."""
        name = definition.dotted_name
        with self._lock:
            is_new = name not in self._observers
            self._observers[name] = (*self._observers.get(name, ()), observer)

        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            return [observation for each in self._observers[name] for observation in each()]

        def remove() -> None:
            with self._lock:
                self._observers[name] = tuple(each for each in self._observers[name] if each is not observer)

        if is_new:
            create = {
                "counter": meter.create_observable_counter,
                "sum": meter.create_observable_up_down_counter,
                "gauge": meter.create_observable_gauge,
            }[definition.kind]
            create(name, [observe], definition.unit, definition.help)
        return remove


_INSTRUMENTS: WeakKeyDictionary[MeterProvider, ref[Instruments]] = WeakKeyDictionary()
"""By provider, as long as the provider has them."""
_LOCK = Lock()


def instruments_of(provider: MeterProvider | None) -> Instruments:
    """Return the instruments of a meter provider, None for the global one.

    Before the application sets the global provider, another one stands in. It passes its instruments on.
    """
    present = get_meter_provider()
    provider = present if provider is None else provider
    with _LOCK:
        kept = [_INSTRUMENTS.get(provider)]
        if provider is present:
            kept += [kept_for for other, kept_for in _INSTRUMENTS.items() if _is_stand_in(other)]
        alive = [found for found in (each() for each in kept if each is not None) if found is not None]
        instruments = alive[0] if alive else Instruments()
        _INSTRUMENTS[provider] = ref(instruments)
        return instruments


def _is_stand_in(provider: MeterProvider) -> bool:
    return type(provider).__name__ == "_ProxyMeterProvider"  # the API does not export the class


class SharedReading(Generic[S]):
    """One reading for all instruments that a reader collects together, which then agree with each other.

    The API does not say which callbacks belong together. So a reading serves each instrument once, and is not used when
    it is older than a second.

    Args:
        read: Reads the source.
        clock: Returns monotonic seconds.
    """

    def __init__(self, read: Callable[[], S], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._lock = Lock()
        self._latest: tuple[S, float] | None = None
        self._served: set[str] = set()

    def observer(self, definition: MetricDefinition[S]) -> Observer:
        """Return what observes this reading for an instrument."""
        attributes = definition.attributes

        def observe() -> Iterable[Observation]:
            source = self.reading_for(definition.dotted_name)
            return [
                Observation(value, dict(zip(attributes, labels, strict=True)))
                for labels, value in definition.read(source)
            ]

        return observe

    def reading_for(self, instrument: str) -> S:
        """Return the reading that an instrument observes."""
        with self._lock:
            now = self._clock()
            if self._latest is None or instrument in self._served or now - self._latest[1] > LONGEST_SHARED_SECONDS:
                self._latest = self._read(), now
                self._served.clear()
            self._served.add(instrument)
            return self._latest[0]


def duration_recorder(
    meter: Meter, boundaries: tuple[float, ...]
) -> Callable[[str, str, float, str | None], None] | None:
    """Return a function that records how long a call took, by name, outcome and type of the error.

    Args:
        meter: Creates the instrument.
        boundaries: The boundaries of the histogram, in seconds; empty if durations are not measured: then it is None.
    """
    if not boundaries:
        return None
    histogram = meter.create_histogram(
        "circuit_breaker.call.duration",
        "s",
        "How long calls took, by how they ended.",
        explicit_bucket_boundaries_advisory=boundaries,
    )
    error_types: set[str] = set()

    def record(name: str, outcome: str, seconds: float, error_type: str | None) -> None:
        attributes = {"circuit_breaker.name": name, "circuit_breaker.outcome": outcome}
        if outcome == "failure":
            attributes["error.type"] = _bounded(error_type, error_types)
        histogram.record(seconds, attributes)

    return record


def _bounded(error_type: str | None, known: set[str]) -> str:
    """Return an error type, unless there are too many: programs can create types at run time, without limit."""
    if error_type is None or (error_type not in known and len(known) >= MOST_ERROR_TYPES):
        return OTHER_ERROR_TYPE
    known.add(error_type)
    return error_type
