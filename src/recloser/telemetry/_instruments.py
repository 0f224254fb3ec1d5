"""The instruments of OpenTelemetry."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Generic

from opentelemetry.metrics import Observation

from recloser.events import CallFailed
from recloser.telemetry._definitions import S
from recloser.telemetry._names import outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, Meter

    from recloser.events import CallIgnored, CallSucceeded
    from recloser.registry import Ledger
    from recloser.telemetry._definitions import MetricDefinition

MOST_ERROR_TYPES = 100
OTHER_ERROR_TYPE = "_OTHER"
"""The value of `error.type` in the semantic conventions for an error whose type is not reported."""

LONGEST_SHARED_SECONDS = 1.0


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
        self._is_closed = False

    def close(self) -> None:
        """End all observations."""
        self._is_closed = True

    def create(self, meter: Meter, definition: MetricDefinition[S]) -> None:
        """Create an instrument that observes this reading."""
        create = {
            "counter": meter.create_observable_counter,
            "sum": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }[definition.kind]
        attributes = definition.attributes

        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            if self._is_closed:
                return []
            source = self.reading_for(definition.dotted_name)
            return [
                Observation(value, dict(zip(attributes, labels, strict=True)))
                for labels, value in definition.read(source)
            ]

        create(definition.dotted_name, [observe], definition.unit, definition.help)

    def reading_for(self, instrument: str) -> S:
        """Return the reading that an instrument observes."""
        with self._lock:
            now = self._clock()
            if self._latest is None or instrument in self._served or now - self._latest[1] > LONGEST_SHARED_SECONDS:
                self._latest = self._read(), now
                self._served.clear()
            self._served.add(instrument)
            return self._latest[0]


def duration_histogram(
    meter: Meter, ledger: Ledger, boundaries: tuple[float, ...]
) -> Callable[[CallSucceeded | CallFailed | CallIgnored], None]:
    """Return a listener that records how long calls took."""
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
    """Return an error type, unless there are too many: programs can create types at run time, without limit."""
    if error_type is None or (error_type not in known and len(known) >= MOST_ERROR_TYPES):
        return OTHER_ERROR_TYPE
    known.add(error_type)
    return error_type
