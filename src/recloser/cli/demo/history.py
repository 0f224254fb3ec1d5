"""What the breaker did: its transitions and its half-open episodes, as it reports them."""

from dataclasses import dataclass

from recloser import CircuitState, Event, StateChanged

__all__ = ["HalfOpenPeriod", "History"]


@dataclass(slots=True)
class HalfOpenPeriod:
    """One half-open episode.

    Attributes:
        began: When it began, in seconds on the demo's clock.
        generation: The breaker's generation during it; None while it lasts.
    """

    began: float
    generation: int | None = None


class History:
    """A listener for the breaker's events."""

    def __init__(self) -> None:
        self.changes: list[StateChanged] = []
        self.episodes: list[HalfOpenPeriod] = []

    def __call__(self, event: Event) -> None:
        """Record a transition; ignore other events."""
        if not isinstance(event, StateChanged):
            return
        self.changes.append(event)
        if event.old is CircuitState.HALF_OPEN:
            self.episodes[-1].generation = event.snapshot.generation
        if event.new is CircuitState.HALF_OPEN:
            self.episodes.append(HalfOpenPeriod(event.monotonic))

    def state_at(self, at: float) -> CircuitState:
        """Return the state that the breaker had at a time of the demo's clock."""
        return next((change.new for change in reversed(self.changes) if change.monotonic <= at), CircuitState.CLOSED)

    def first(self, state: CircuitState, *, since: float) -> float | None:
        """Return when the breaker first was in a state at or after a time; None if it never was."""
        if self.state_at(since) is state:
            return since
        entered = (change.monotonic for change in self.changes if change.new is state and change.monotonic > since)
        return next(entered, None)
