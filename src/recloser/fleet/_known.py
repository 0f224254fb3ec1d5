"""What one process knows of the fleet's state of one breaker, and how much of its time is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser._core.fleet import FleetState
from recloser._core.states import CircuitState
from recloser.fleet._store.values import MANUAL, SharedState

if TYPE_CHECKING:
    from collections.abc import Callable


class KnownState:
    """The latest state of the fleet that this process knows. Before the first one, the fleet counts as closed.

    Args:
        now: Returns the seconds of the worker's clock; called in its event loop only.

    Attributes:
        shared: The state as it was received.
    """

    __slots__ = ("_now", "_received_at", "shared")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._received_at = 0.0
        self.shared: SharedState = SharedState()

    def update(self, shared: SharedState) -> None:
        """Go on with another state, received now."""
        self.shared = shared
        self._received_at = self._now()

    def current(self) -> SharedState:
        """Return the state with the time that is left now."""
        return self.shared.later(self._elapsed_us()) if self.shared.remaining_us else self.shared

    def left_us(self) -> int | None:
        """Return the microseconds until the state ends; None if it has no end."""
        return self.current().remaining_us

    def to_follow(self) -> FleetState:
        """Return the state as a breaker follows it."""
        left = self.left_us()
        seconds = None if left is None else left / 1_000_000
        shared = self.shared
        if shared.state is CircuitState.HALF_OPEN or not (shared.reason or shared.author or shared.state in MANUAL):
            return FleetState(shared.state, seconds, shared.trips, reason=None, author=None)
        reason = " ".join(shared.reason.split()) or "no reason given"
        return FleetState(shared.state, seconds, shared.trips, reason, " ".join(shared.author.split()) or None)

    def _elapsed_us(self) -> int:
        return max(0, round((self._now() - self._received_at) * 1_000_000))
