"""What only events tell, added up between two scrapes: transitions by cause, and how long calls took.

Events come in the thread of the breakers, readings in that of the scrape: each holds the lock for a moment.
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

    from recloser import CallFailed, CallIgnored, CallSucceeded, StateChanged

LONGEST_OVER_SECONDS = 60.0


class Change(NamedTuple):
    """A kind of transition of the breakers of one name."""

    name: str
    old_state: str
    new_state: str
    cause: str


class Transitions:
    """Counts transitions.

    Args:
        name_of: Returns the name under which a breaker is counted.
    """

    def __init__(self, name_of: Callable[[str], str]) -> None:
        self._name_of = name_of
        self._lock = Lock()
        self._counts: Counter[Change] = Counter()

    def __call__(self, event: StateChanged) -> None:
        """Count a transition."""
        name = self._name_of(event.breaker)
        with self._lock:
            self._counts[Change(name, event.old.value, event.new.value, event.cause.trigger.value)] += 1

    def read(self) -> dict[Change, int]:
        """Return the counts."""
        with self._lock:
            return dict(self._counts)


class Histogram(NamedTuple):
    """How long calls of one name and outcome took.

    Attributes:
        counts: By bucket: calls that took at most as long as its bound; the last one has none.
        total_seconds: All of them together.
        longest_seconds: The longest of the last one to two minutes.
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


class Durations:
    """Sorts the durations of calls into buckets.

    Args:
        bounds: Upper bounds of the buckets, in seconds, ascending.
        name_of: Returns the name under which a breaker is counted.
        clock: Monotonic seconds; for what is forgotten after a while.
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
        """Note how long a call took, if that is known."""
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
        """Return what is known by name and outcome; the counts are those of a bucket and all below it."""
        with self._lock:
            return {key: self._histogram(cell) for key, cell in self._cells.items()}

    def _histogram(self, cell: _Cell) -> Histogram:
        cell.go_to(self._minute())
        return Histogram(tuple(accumulate(cell.counts)), cell.total, max(cell.longest, cell.longest_before))

    def _minute(self) -> int:
        return int(self._clock() // LONGEST_OVER_SECONDS)
