"""The times in which an event loop stood still.

While a process is starved, stopped or busy with a blocking function, its calls wait for it, not for their dependencies.
"""

from __future__ import annotations

from collections import deque

STALL_SECONDS = 0.1
"""An event loop that is this late, or later, stood still."""
AFTERMATH_SECONDS = 0.1
"""For how long after a stall time limits may run out because of it."""
STALLS_REMEMBERED = 64


class Stalls:
    """The stalls of one event loop, in the seconds of one monotonic clock.

    Attributes:
        count: How many there were.
        seconds: How long they were together.
        longest: How long the longest one was, in seconds.
    """

    __slots__ = ("_spans", "count", "longest", "seconds")

    def __init__(self) -> None:
        self._spans: deque[tuple[float, float]] = deque(maxlen=STALLS_REMEMBERED)
        self.count = 0
        self.seconds = 0.0
        self.longest = 0.0

    @property
    def ended_at(self) -> float | None:
        """When the last one ended; None if there was none."""
        return self._spans[-1][1] if self._spans else None

    @property
    def last_seconds(self) -> float:
        """How long the last one was; 0 if there was none."""
        began, ended = self._spans[-1] if self._spans else (0.0, 0.0)
        return ended - began

    def add(self, began: float, ended: float) -> None:
        """Add a stall that is over; it began after the end of the one before."""
        self._spans.append((began, ended))
        self.count += 1
        self.seconds += ended - began
        self.longest = max(self.longest, ended - began)

    def is_recent(self, now: float) -> bool:
        """Return whether a stall has just ended."""
        ended_at = self.ended_at
        return ended_at is not None and now - ended_at <= AFTERMATH_SECONDS

    def within(self, since: float, until: float) -> float:
        """Return how much of a time, in seconds, the event loop stood still."""
        found = 0.0
        for began, ended in reversed(self._spans):
            if ended <= since:
                break
            found += max(0.0, min(ended, until) - max(began, since))
        return found
