"""What is known about one breaker of another process.

Values that run with the server's clock are kept as moments, in seconds since 1970 on that clock.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from recloser.cli.client.messages import TOTALS, UNKNOWN
from recloser.cli.client.states import CLOSED, IN_SHADOW

__all__ = ["Breaker", "Rates"]


@dataclass(frozen=True, slots=True)
class Rates:
    """How much happens per second."""

    calls: float
    failures: float
    rejections: float


@dataclass(slots=True)
class Breaker:
    """What is known about one breaker.

    Attributes:
        name: Its name.
        first_at: When the first message about it was sent.
        entry: What the server says about it; all fields are there, unknown ones are None.
        since: When its state began.
        probe_at: When a probe may go through; None if none will without a reset.
        growth: How much its totals have grown, and when the message was sent.
    """

    name: str
    first_at: float
    entry: dict[str, Any] = field(default_factory=UNKNOWN.copy)
    since: float = 0.0
    probe_at: float | None = None
    growth: deque[tuple[float, Rates]] = field(default_factory=deque[tuple[float, Rates]])

    @property
    def state(self) -> str:
        """The state, as the server names it."""
        state: str = self.entry["state"]
        return state

    @property
    def shown_state(self) -> str:
        """The state; for a breaker that is not closed and rejects nothing, shadow mode in its place."""
        return IN_SHADOW if self.entry["shadow"] and self.state != CLOSED else self.state

    def merge(self, changed: dict[str, Any], at: float) -> None:
        """Take over what has changed.

        Raises:
            KeyError: It is the first that is known of the breaker, and has no state.
        """
        is_new = self.entry["state"] is None
        if is_new:
            changed["state"]
            self.since = at
        old, self.entry = self.entry, self.entry | changed
        if not is_new:
            self.growth.append((at, _growth(old, self.entry)))
        if changed.get("time_in_state_seconds") is not None:
            self.since = at - changed["time_in_state_seconds"]
        if "retry_after" in changed:
            wait = changed["retry_after"]
            self.probe_at = None if wait is None else at + wait

    def rates(self, since: float, now: float) -> Rates | None:
        """Return how much happened per second since a time, and forget what is older; None if too little is known."""
        while self.growth and self.growth[0][0] <= since:
            self.growth.popleft()
        known = now - max(since, self.first_at)
        if known < 1:
            return None
        grown = [growth for _, growth in self.growth]
        return Rates(
            sum(growth.calls for growth in grown) / known,
            sum(growth.failures for growth in grown) / known,
            sum(growth.rejections for growth in grown) / known,
        )

    def shift(self, seconds: float) -> None:
        """Move all moments, because the clock that they are read from was set."""
        self.first_at += seconds
        self.since += seconds
        if self.probe_at is not None:
            self.probe_at += seconds
        self.growth = deque((at + seconds, growth) for at, growth in self.growth)


def _growth(old: dict[str, Any], new: dict[str, Any]) -> Rates:
    """Return how much totals have grown. A smaller one belongs to a new breaker with an old name, and counts from 0."""
    grown: dict[str, float] = {}
    for key in TOTALS:
        before, after = old[key] or 0.0, new[key] or 0.0
        grown[key] = after - before if after >= before else after
    rejections = grown.pop("rejected_total")
    return Rates(sum(grown.values()), grown["failure_total"], rejections)
