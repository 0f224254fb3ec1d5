"""What is counted from events between two scrapes: transitions by cause, and how long calls took.

Events arrive in the thread of the breakers, scrapes in another thread. Both hold a lock briefly.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from recloser.telemetry._names import outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser import StateChanged
    from recloser.events import CallFailed, CallIgnored, CallSucceeded

LONGEST_OVER_SECONDS = 60.0


class TransitionKind(NamedTuple):
    """The labels of a transition."""

    name: str
    old_state: str
    new_state: str
    cause: str


class TransitionTally:
    """Counts transitions.

    Args:
        name_of: Returns the name by which a breaker is counted.
    """

    def __init__(self, name_of: Callable[[str], str]) -> None:
        self._name_of = name_of
        self._lock = Lock()
        self._counts: Counter[TransitionKind] = Counter()

    def __call__(self, event: StateChanged) -> None:
        """Count a transition."""
        name = self._name_of(event.breaker)
        with self._lock:
            self._counts[TransitionKind(name, event.old.value, event.new.value, event.cause.trigger.value)] += 1

    def read(self) -> dict[TransitionKind, int]:
        """Return the counts."""
        with self._lock:
            return dict(self._counts)


class Histogram(NamedTuple):
    """How long the calls of one name with one outcome took.

    Attributes:
        counts: By bucket: how many calls took at most as long as its bound; the last bucket has none.
        total_seconds: The sum of their durations.
        longest_seconds: The longest duration of the last one to two minutes.
    """

    counts: tuple[int, ...]
    total_seconds: float
    longest_seconds: float


class _Cell:
    __slots__ = ("counts", "longest", "longest_before", "minute", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.total = 0.0
        self.minute = 0
        self.longest = self.longest_before = 0.0

    def go_to(self, minute: int) -> None:
        if minute != self.minute:
            self.longest_before = self.longest if minute == self.minute + 1 else 0.0
            self.longest = 0.0
            self.minute = minute


class DurationTally:
    """Sorts the durations of calls into buckets.

    Args:
        bounds: Upper bounds of the buckets, in seconds, ascending.
        name_of: Returns the name by which a breaker is counted.
        clock: Returns monotonic seconds; it ages the longest duration.
    """

    def __init__(
        self,
        bounds: tuple[float, ...],
        name_of: Callable[[str], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bounds = bounds
        self._name_of = name_of
        self._clock = clock
        self._lock = Lock()
        self._cells: dict[tuple[str, str], _Cell] = {}

    def __call__(self, event: CallSucceeded | CallFailed | CallIgnored) -> None:
        """Count how long a call took, if that is known."""
        seconds = event.duration_seconds
        if seconds is None:
            return
        key = self._name_of(event.breaker), outcome_of(event)
        bucket = bisect_left(self.bounds, seconds)
        with self._lock:
            cell = self._cells.get(key)
            if cell is None:
                cell = self._cells[key] = _Cell(len(self.bounds) + 1)
            cell.counts[bucket] += 1
            cell.total += seconds
            cell.go_to(self._minute())
            cell.longest = max(cell.longest, seconds)

    def read(self) -> dict[tuple[str, str], Histogram]:
        """Return the histograms by name and outcome; the count of a bucket includes all lower buckets."""
        with self._lock:
            return {key: self._histogram(cell) for key, cell in self._cells.items()}

    def _histogram(self, cell: _Cell) -> Histogram:
        cell.go_to(self._minute())
        return Histogram(tuple(accumulate(cell.counts)), cell.total, max(cell.longest, cell.longest_before))

    def _minute(self) -> int:
        return int(self._clock() // LONGEST_OVER_SECONDS)
