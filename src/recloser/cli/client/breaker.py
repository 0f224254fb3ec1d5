"""What is known of one breaker of another process.

Values that run with the server's clock are kept as the moments that they mean, in seconds since 1970 on that clock.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from recloser.cli.client.messages import TOTALS

__all__ = ["CLOSED", "Breaker", "Rates", "urgency"]

CLOSED = "closed"
_STATES = ("open", "forced_open", "half_open", "disabled", CLOSED)  # the most urgent one first


def urgency(state: str) -> int:
    """Return a state's place among all, the most urgent one first; one that is not known comes last."""
    return _STATES.index(state) if state in _STATES else len(_STATES)


@dataclass(frozen=True, slots=True)
class Rates:
    """What happens per second."""

    calls: float
    failures: float
    rejections: float


@dataclass(slots=True)
class Breaker:
    """What is known of one breaker.

    Attributes:
        name: Its name.
        first_at: When it was first heard of.
        entry: What the server says of it.
        since: When its state began.
        probe_at: When a probe may go through; None if none ever will by itself.
        growth: What its totals grew by, and when that was heard.
    """

    name: str
    first_at: float
    entry: dict[str, Any] = field(default_factory=dict[str, Any])
    since: float = 0.0
    probe_at: float | None = None
    growth: deque[tuple[float, Rates]] = field(default_factory=deque[tuple[float, Rates]])

    @property
    def state(self) -> str:
        """The state, as the server names it."""
        state: str = self.entry["state"]
        return state

    @property
    def explanation(self) -> str:
        """The server's words; empty if it has none."""
        explanation: str = self.entry.get("explanation", "")
        return explanation

    @property
    def why(self) -> str:
        """Why it is in its state: the server's words, without the name and the state, which stand beside it."""
        text = self.explanation
        start = text.find(f" is {self.state.replace('_', ' ')} for ", len(self.name))
        colon = text.find(": ", start) if start >= 0 else -1
        rest = text[colon + 2 :] if colon >= 0 else text
        return rest[:1].upper() + rest[1:]

    def is_about(self, text: str) -> bool:
        """Return whether a text is in the name or in the explanation, in whatever case."""
        return text.casefold() in f"{self.name}\n{self.explanation}".casefold()

    def merge(self, changed: dict[str, Any], at: float) -> None:
        """Take over what has changed.

        Raises:
            KeyError: It has no state.
        """
        old, new = self.entry, self.entry | changed
        if not old:
            new["state"]
        self.entry = new
        if old:
            self.growth.append((at, _growth(old, new)))
        if "time_in_state_seconds" in changed:
            self.since = at - changed["time_in_state_seconds"]
        if "retry_after" in changed:
            wait = changed["retry_after"]
            self.probe_at = None if wait is None else at + wait

    def rates(self, since: float, now: float) -> Rates | None:
        """Return what happened per second since a time, and forget what was before; None if it is known too shortly."""
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
        """Move all times, because the clock was set that they are read from."""
        self.first_at += seconds
        self.since += seconds
        if self.probe_at is not None:
            self.probe_at += seconds
        self.growth = deque((at + seconds, growth) for at, growth in self.growth)


def _growth(old: dict[str, Any], new: dict[str, Any]) -> Rates:
    """Return what totals grew by. One that went back is of a new breaker with an old name, and counts from zero."""
    grown: dict[str, float] = {}
    for key in TOTALS:
        before, after = old.get(key, 0.0), new.get(key, 0.0)
        grown[key] = after - before if after >= before else after
    rejections = grown.pop("rejected_total")
    return Rates(sum(grown.values()), grown["failure_total"], rejections)
