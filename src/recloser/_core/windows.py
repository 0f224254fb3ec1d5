"""Windows over the latest calls, by count or by time, with O(1) cost per call.

`CountWindow` and `TimeWindow` are immutable descriptions that rules share; each breaker has its own ring. A ring
distinguishes two kinds of calls: *hits* (failures, or slow calls) and *others*. It records each hit. It is never called
for the others: instead, each method receives their running total, and the difference to the last total that the ring
has seen is the number of new ones. So the common case, a success, costs a breaker one addition.

Invariants:

- A count ring contains the latest `size` calls, in order.
- A time ring divides time into buckets of `seconds / buckets`; bucket i starts at `i * width`. It contains the current
  bucket and the `buckets - 1` before it. So a call that is exactly `seconds` old is out, and a call from before an idle
  gap of that length never stays.
- Reading never changes a ring. If a clock steps back, calls go into the current bucket.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from recloser._core import checks
from recloser._core.values import Value

ALWAYS = -math.inf
NEVER = math.inf
SHORTEST_BUCKET_SECONDS = 1e-6
MOST_REMEMBERED = 1_000_000
"""The most calls, buckets or times that a breaker keeps: it allocates memory during a call, which must not fail."""


class WindowTotals(NamedTuple):
    """How many calls a window contains, and how many of them are hits."""

    calls: int
    hits: int


class Ring(Protocol):
    """The calls that a rate or a number of failures is measured on."""

    def hit(self, others: int, now: float) -> tuple[int, int]:
        """Record one hit and return the totals after it: calls, hits."""
        ...

    def settle(self, others: int, now: float) -> tuple[int, int]:
        """Record the others so far and return the totals: calls, hits."""
        ...

    def peek(self, others: int, now: float) -> WindowTotals:
        """Return the totals without changing anything."""
        ...

    def clear(self, others: int) -> None:
        """Forget all calls; `others` is the running total to continue from."""
        ...

    def adopt(self, source: Ring, others: int, now: float) -> None:
        """Take over the calls of another ring of the same kind, as far as they fit."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CountWindow(Value):
    """The latest `size` calls.

    Args:
        size: Number of calls, 1 to 1 000 000. Each takes one byte, allocated at the first failure or slow call.
    """

    size: int = 100

    def __post_init__(self) -> None:
        """Check the size."""
        object.__setattr__(self, "size", checks.count("size", self.size, most=MOST_REMEMBERED))

    def ring(self, others: int) -> CountRing:
        """Internal: return a new, empty ring of this size."""
        return CountRing(self.size, others)

    def __str__(self) -> str:
        """Say which calls the window holds."""
        return f"the last {self.size} calls"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TimeWindow(Value):
    """The calls of the latest `seconds`, in steps of `seconds / buckets`.

    Args:
        seconds: Length of the window in seconds, finite and > 0.
        buckets: Number of steps, 1 to 1 000 000. More buckets make the window's edge finer and cost 16 bytes each.
    """

    seconds: float = 60.0
    buckets: int = 10

    def __post_init__(self) -> None:
        """Check the duration and the number of buckets."""
        object.__setattr__(self, "seconds", checks.seconds("seconds", self.seconds))
        object.__setattr__(self, "buckets", checks.count("buckets", self.buckets, most=MOST_REMEMBERED))
        if self.seconds / self.buckets < SHORTEST_BUCKET_SECONDS:
            raise ValueError(
                f"seconds / buckets must be >= {SHORTEST_BUCKET_SECONDS:g}, not {self.seconds!r} / {self.buckets!r}"
            )

    def ring(self, others: int) -> TimeRing:
        """Internal: return a new, empty ring of this length."""
        return TimeRing(self.seconds, self.buckets, others)

    def __str__(self) -> str:
        """Say which calls the window holds."""
        return f"the last {self.seconds:g} s"


class CountRing:
    """The latest `size` calls, one byte each; before the first hit, only their number."""

    __slots__ = ("_filled", "_hits", "_position", "_seen", "_size", "slots")

    def __init__(self, size: int, others: int) -> None:
        self._size = size
        self.clear(others)

    def clear(self, others: int) -> None:
        """Forget all calls; `others` is the running total to continue from."""
        self.slots: bytearray | None = None
        self._position = self._filled = self._hits = 0
        self._seen = others

    def hit(self, others: int, now: float) -> tuple[int, int]:  # noqa: ARG002 - one protocol for all rings
        """Record one hit and return the totals after it."""
        fresh = others - self._seen
        if fresh:
            self._take_in(fresh, others)
        slots = self.slots
        if slots is None:
            slots = self.slots = bytearray(self._size)
        position = self._position
        if not slots[position]:
            slots[position] = 1
            self._hits += 1
        self._move(position, 1)
        return self._filled, self._hits

    def settle(self, others: int, now: float) -> tuple[int, int]:  # noqa: ARG002 - one protocol for all rings
        """Record the others so far and return the totals."""
        fresh = others - self._seen
        if fresh:
            self._take_in(fresh, others)
        return self._filled, self._hits

    def peek(self, others: int, now: float) -> WindowTotals:  # noqa: ARG002 - one protocol for all rings
        """Return the totals without changing anything."""
        fresh = others - self._seen
        hits, slots = self._hits, self.slots
        if fresh and slots is not None:
            hits -= sum(slots.count(1, start, stop) for start, stop in self._spans(fresh))
        return WindowTotals(min(self._filled + fresh, self._size), hits)

    def adopt(self, source: Ring, others: int, now: float) -> None:
        """Take over the latest calls of another count ring; a ring of another kind leaves this one empty."""
        self.clear(others)
        if not isinstance(source, CountRing):
            return
        source.settle(others, now)
        self._filled = min(source._filled, self._size)
        self._position = self._filled % self._size
        if source.slots is not None:
            ordered = source.slots[source._position :] + source.slots[: source._position]
            latest = ordered[len(ordered) - self._filled :]
            self.slots = latest + bytes(self._size - self._filled)
            self._hits = latest.count(1)

    def _take_in(self, fresh: int, others: int) -> None:
        """Record the others that ended since the ring was last used."""
        self._seen = others
        position, slots = self._position, self.slots
        if slots is not None and self._hits:
            for start, stop in self._spans(fresh):
                gone = slots.count(1, start, stop)
                if gone:
                    self._hits -= gone
                    slots[start:stop] = bytes(stop - start)
        self._move(position, fresh)

    def _move(self, position: int, calls: int) -> None:
        """Move on by the calls that have been recorded."""
        size = self._size
        self._position = (position + calls) % size
        if self._filled < size:
            self._filled = min(self._filled + calls, size)

    def _spans(self, fresh: int) -> tuple[tuple[int, int], ...]:
        """Return the one or two parts of the ring that the next `fresh` calls overwrite."""
        if fresh >= self._size:
            return ((0, self._size),)
        stop = self._position + fresh
        if stop <= self._size:
            return ((self._position, stop),)
        return ((self._position, self._size), (0, stop - self._size))


class TimeRing:
    """For each bucket, the running totals at its start; the window is the difference to those of the oldest bucket."""

    __slots__ = ("_bucket", "_buckets", "_hits", "_others_at_start", "bases", "edge", "width")

    edge: float

    def __init__(self, seconds: float, buckets: int, others: int) -> None:
        self.width: float = seconds / buckets
        self._buckets = buckets
        self.clear(others)

    def clear(self, others: int) -> None:
        """Forget all calls; `others` is the running total to continue from."""
        self.bases: array[int] | None = None
        self._bucket = 0
        self._hits = 0
        self._others_at_start = others
        self.edge = ALWAYS
        """The time when the current bucket ends; ALWAYS while there is none."""

    def hit(self, others: int, now: float) -> tuple[int, int]:
        """Record one hit and return the totals after it."""
        bases = self.bases
        if bases is None or now >= self.edge:
            bases = self._roll(others, now)
        self._hits += 1
        return self._totals(bases, others, self._bucket)

    def settle(self, others: int, now: float) -> tuple[int, int]:
        """Record the others so far, the latest of which ended at `now`, and return the totals."""
        return self._totals(self._roll(others - 1, now), others, self._bucket)

    def peek(self, others: int, now: float) -> WindowTotals:
        """Return the totals without changing anything."""
        bases = self.bases
        if bases is None:
            return WindowTotals(0, 0)
        return WindowTotals(*self._totals(bases, others, max(self._bucket, self._bucket_of(now))))

    def adopt(self, source: Ring, others: int, now: float) -> None:
        """Take over the latest buckets of another time ring; a ring of another kind leaves this one empty."""
        self.clear(others)
        if not isinstance(source, TimeRing) or source.bases is None:
            return
        theirs = source._roll(others, now)
        ours = self._roll(others, now)
        self._hits = source._hits
        for bucket in range(self._bucket - self._buckets + 1, self._bucket + 1):
            same_start = source._bucket_of(bucket * self.width)
            self._set_base(ours, bucket, *source._base(theirs, same_start))

    def _roll(self, others: int, now: float) -> array[int]:
        """Make the bucket of `now` the current one; `others` is the running total before it began."""
        bases = self.bases
        if bases is not None and now < self.edge:
            return bases
        bucket = self._bucket_of(now)
        if bases is None:
            self.bases = bases = array("Q", bytes(16 * self._buckets))
            first, others = bucket - self._buckets + 1, self._others_at_start
        else:
            first = max(self._bucket, bucket - self._buckets) + 1
        for entered in range(first, bucket + 1):
            self._set_base(bases, entered, others, self._hits)
        self._bucket = bucket
        self.edge = (bucket + 1) * self.width
        return bases

    def _bucket_of(self, now: float) -> int:
        bucket = int(now // self.width)
        if (bucket + 1) * self.width <= now:
            return bucket + 1
        return bucket - 1 if bucket * self.width > now else bucket

    def _set_base(self, bases: array[int], bucket: int, others: int, hits: int) -> None:
        slot = 2 * (bucket % self._buckets)
        bases[slot] = others
        bases[slot + 1] = hits

    def _base(self, bases: array[int], bucket: int) -> tuple[int, int]:
        """Return the running totals at the start of a bucket, or of the nearest bucket that is kept."""
        oldest = self._bucket - self._buckets + 1
        slot = 2 * (min(max(bucket, oldest), self._bucket) % self._buckets)
        return bases[slot], bases[slot + 1]

    def _totals(self, bases: array[int], others: int, current: int) -> tuple[int, int]:
        oldest = current - self._buckets + 1
        if oldest > self._bucket:
            return 0, 0
        others_before, hits_before = self._base(bases, oldest)
        hits = self._hits - hits_before
        return others - others_before + hits, hits


Window = CountWindow | TimeWindow
