"""A listener that remembers."""

from __future__ import annotations

from typing import TypeVar

from recloser import CircuitState, Event, StateChanged

E = TypeVar("E", bound=Event)


class RecordingListener:
    """Keeps every event that it is told, in order: `breaker.subscribe(listener)`.

    Attributes:
        events: What it was told, oldest first.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of a type, oldest first."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def transitions(self) -> list[tuple[CircuitState, CircuitState]]:
        """The old and the new state of each state change; they compare equal to strings such as `"open"`."""
        return [(event.old, event.new) for event in self.of(StateChanged)]

    def clear(self) -> None:
        """Forget all events."""
        self.events.clear()

    def __repr__(self) -> str:
        """Name the types of the events."""
        return f"<RecordingListener: {', '.join(type(event).__name__ for event in self.events)}>"
