"""A listener that records events."""

from __future__ import annotations

from typing import TypeVar

from recloser import CircuitState, Event, StateChanged

E = TypeVar("E", bound=Event)


class RecordingListener:
    """Records every event, in order: `breaker.subscribe(listener)`.

    Attributes:
        events: The events, oldest first.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Record an event."""
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of a type, oldest first."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def transitions(self) -> list[tuple[CircuitState, CircuitState]]:
        """The old and the new state of each transition; they are equal to strings such as `"open"`."""
        return [(event.old, event.new) for event in self.of(StateChanged)]

    def clear(self) -> None:
        """Remove all events."""
        self.events.clear()

    def __repr__(self) -> str:
        """Return the types of the events."""
        return f"<RecordingListener: {', '.join(type(event).__name__ for event in self.events)}>"
