"""Windows over the latest calls: by count or by time, with O(1) cost per record.

`CountWindow` and `TimeWindow` are immutable descriptions that rules share; each breaker keeps its own ring. A ring
knows two kinds of calls: *marked* ones (failures, or slow calls) and *plain* ones. It is told of marked calls one by
one. Plain calls it is never told of: it is handed the running total of plain calls whenever it is asked or marked, and
the difference to what it has seen is what happened in between. So the common case, a success, costs a breaker one
addition.

Rules that hold after every step:

- A count ring holds the latest `size` calls, in order.
- A time ring divides time into buckets of `seconds / buckets`; bucket i starts at `i * width`. It holds the current
  bucket and the `buckets - 1` before it, so that a call exactly `seconds` old is out, and one older than an idle gap of
  that length never stays.
- Reading never changes a ring, and a clock that steps back leaves calls in the current bucket.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from recloser._core import checks

ALWAYS = -math.inf
NEVER = math.inf
SHORTEST_BUCKET_SECONDS = 1e-6
MOST_REMEMBERED = 1_000_000
"""No breaker keeps more calls, buckets or instants: memory is taken in the middle of a call, where it must not fail."""


class Totals(NamedTuple):
    """How many calls a window holds, and how many of them are marked."""

    calls: int
    marked: int


class Ring(Protocol):
    """What a rate or a count of failures is measured on."""

    def mark(self, plain: int, now: float) -> Totals:
        """Record one marked call and return the totals after it."""
        ...

    def settle(self, plain: int, now: float) -> Totals:
        """Take in the plain calls so far and return the totals."""
        ...

    def peek(self, plain: int, now: float) -> Totals:
        """Return the totals without changing anything."""
        ...

    def clear(self, plain: int) -> None:
        """Forget all calls; `plain` is the running total from which to count on."""
        ...

    def adopt(self, other: Ring, plain: int, now: float) -> None:
        """Take over what another ring of the same kind remembers, as far as it fits."""
        ...


@dataclass(frozen=True, slots=True)
class CountWindow:
    """The latest `size` calls.

    Args:
        size: Number of calls, 1 to 1 000 000. One byte of memory each, taken at the first marked call.
    """

    size: int = 100

    def __post_init__(self) -> None:
        """Refuse what is no count."""
        object.__setattr__(self, "size", checks.count("size", self.size, most=MOST_REMEMBERED))

    def ring(self, plain: int) -> CountRing:
        """Return a new, empty ring of this size."""
        return CountRing(self.size, plain)

    def __str__(self) -> str:
        """Say which calls the window holds."""
        return f"the last {self.size} calls"


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """The calls of the latest `seconds`, in steps of `seconds / buckets`.

    Args:
        seconds: Length of the window in seconds, finite and > 0.
        buckets: Number of steps, 1 to 1 000 000. More buckets make the window's edge finer and cost 16 bytes each.
    """

    seconds: float = 60.0
    buckets: int = 10

    def __post_init__(self) -> None:
        """Refuse what is no duration or no count."""
        object.__setattr__(self, "seconds", checks.seconds("seconds", self.seconds))
        object.__setattr__(self, "buckets", checks.count("buckets", self.buckets, most=MOST_REMEMBERED))
        if self.seconds / self.buckets < SHORTEST_BUCKET_SECONDS:
            raise ValueError(
                f"seconds / buckets must be >= {SHORTEST_BUCKET_SECONDS:g}, not {self.seconds!r} / {self.buckets!r}"
            )

    def ring(self, plain: int) -> TimeRing:
        """Return a new, empty ring of this length."""
        return TimeRing(self.seconds, self.buckets, plain)

    def __str__(self) -> str:
        """Say which calls the window holds."""
        return f"the last {self.seconds:g} s"


class CountRing:
    """The latest `size` calls, a byte each; until the first marked call nothing but a number."""

    __slots__ = ("_filled", "_marked", "_marks", "_position", "_seen", "_size")

    def __init__(self, size: int, plain: int) -> None:
        self._size = size
        self.clear(plain)

    def clear(self, plain: int) -> None:
        """Forget all calls; `plain` is the running total from which to count on."""
        self._marks: bytearray | None = None
        self._position = self._filled = self._marked = 0
        self._seen = plain

    def mark(self, plain: int, now: float) -> Totals:  # noqa: ARG002 - one protocol for all rings
        """Record one marked call and return the totals after it."""
        fresh = plain - self._seen
        if fresh:
            self._take_in(fresh, plain)
        if self._marks is None:
            self._marks = bytearray(self._size)
        position = self._position
        self._marked += 1 - self._marks[position]
        self._marks[position] = 1
        self._position = (position + 1) % self._size
        self._filled = min(self._filled + 1, self._size)
        return Totals(self._filled, self._marked)

    def settle(self, plain: int, now: float) -> Totals:  # noqa: ARG002 - one protocol for all rings
        """Take in the plain calls so far and return the totals."""
        fresh = plain - self._seen
        if fresh:
            self._take_in(fresh, plain)
        return Totals(self._filled, self._marked)

    def peek(self, plain: int, now: float) -> Totals:  # noqa: ARG002 - one protocol for all rings
        """Return the totals without changing anything."""
        fresh = plain - self._seen
        marked, marks = self._marked, self._marks
        if fresh and marks is not None:
            marked -= sum(marks.count(1, start, stop) for start, stop in self._spans(fresh))
        return Totals(min(self._filled + fresh, self._size), marked)

    def adopt(self, other: Ring, plain: int, now: float) -> None:
        """Take over the latest calls of another count ring; one of another kind leaves this one empty."""
        self.clear(plain)
        if not isinstance(other, CountRing):
            return
        other.settle(plain, now)
        self._filled = min(other._filled, self._size)
        self._position = self._filled % self._size
        if other._marks is not None:
            ordered = other._marks[other._position :] + other._marks[: other._position]
            latest = ordered[len(ordered) - self._filled :]
            self._marks = latest + bytes(self._size - self._filled)
            self._marked = latest.count(1)

    def _take_in(self, fresh: int, plain: int) -> None:
        """Record the plain calls that ended since the ring was last asked."""
        self._seen = plain
        self._filled = min(self._filled + fresh, self._size)
        if self._marks is not None and self._marked:
            for start, stop in self._spans(fresh):
                self._marked -= self._marks.count(1, start, stop)
                self._marks[start:stop] = bytes(stop - start)
        self._position = (self._position + fresh) % self._size

    def _spans(self, fresh: int) -> tuple[tuple[int, int], ...]:
        """Return the one or two stretches of the ring that the next `fresh` calls overwrite."""
        if fresh >= self._size:
            return ((0, self._size),)
        stop = self._position + fresh
        if stop <= self._size:
            return ((self._position, stop),)
        return ((self._position, self._size), (0, stop - self._size))


class TimeRing:
    """Per bucket, the running totals at its start; what the window holds is the difference to the oldest bucket's."""

    __slots__ = ("_bases", "_bucket", "_buckets", "_marked", "_plain_at_start", "_width", "edge")

    def __init__(self, seconds: float, buckets: int, plain: int) -> None:
        self._width = seconds / buckets
        self._buckets = buckets
        self.clear(plain)

    def clear(self, plain: int) -> None:
        """Forget all calls; `plain` is the running total from which to count on."""
        self._bases: array[int] | None = None
        self._bucket = 0
        self._marked = 0
        self._plain_at_start = plain
        self.edge = ALWAYS
        """The instant at which the current bucket ends; ALWAYS while there is none."""

    def mark(self, plain: int, now: float) -> Totals:
        """Record one marked call and return the totals after it."""
        bases = self._roll(plain, now)
        self._marked += 1
        return self._totals(bases, plain, self._bucket)

    def settle(self, plain: int, now: float) -> Totals:
        """Take in the plain calls so far, the latest of which ended at `now`, and return the totals."""
        return self._totals(self._roll(plain - 1, now), plain, self._bucket)

    def peek(self, plain: int, now: float) -> Totals:
        """Return the totals without changing anything."""
        bases = self._bases
        if bases is None:
            return Totals(0, 0)
        return self._totals(bases, plain, max(self._bucket, self._bucket_of(now)))

    def adopt(self, other: Ring, plain: int, now: float) -> None:
        """Take over the latest buckets of another time ring; one of another kind leaves this one empty."""
        self.clear(plain)
        if not isinstance(other, TimeRing) or other._bases is None:
            return
        theirs = other._roll(plain, now)
        ours = self._roll(plain, now)
        self._marked = other._marked
        for bucket in range(self._bucket - self._buckets + 1, self._bucket + 1):
            same_start = other._bucket_of(bucket * self._width)
            self._set_base(ours, bucket, *other._base(theirs, same_start))

    def _roll(self, plain: int, now: float) -> array[int]:
        """Make the bucket of `now` the current one; `plain` is the running total before it began."""
        bases = self._bases
        if bases is not None and now < self.edge:
            return bases
        bucket = self._bucket_of(now)
        if bases is None:
            self._bases = bases = array("Q", bytes(16 * self._buckets))
            first, plain = bucket - self._buckets + 1, self._plain_at_start
        else:
            first = max(self._bucket, bucket - self._buckets) + 1
        for entered in range(first, bucket + 1):
            self._set_base(bases, entered, plain, self._marked)
        self._bucket = bucket
        self.edge = (bucket + 1) * self._width
        return bases

    def _bucket_of(self, now: float) -> int:
        bucket = int(now // self._width)
        if (bucket + 1) * self._width <= now:
            return bucket + 1
        return bucket - 1 if bucket * self._width > now else bucket

    def _set_base(self, bases: array[int], bucket: int, plain: int, marked: int) -> None:
        slot = 2 * (bucket % self._buckets)
        bases[slot] = plain
        bases[slot + 1] = marked

    def _base(self, bases: array[int], bucket: int) -> tuple[int, int]:
        """Return the running totals at the start of a bucket, or of the nearest one that is remembered."""
        oldest = self._bucket - self._buckets + 1
        slot = 2 * (min(max(bucket, oldest), self._bucket) % self._buckets)
        return bases[slot], bases[slot + 1]

    def _totals(self, bases: array[int], plain: int, current: int) -> Totals:
        oldest = current - self._buckets + 1
        if oldest > self._bucket:
            return Totals(0, 0)
        plain_before, marked_before = self._base(bases, oldest)
        marked = self._marked - marked_before
        return Totals(plain - plain_before + marked, marked)


Window = CountWindow | TimeWindow
