"""How long the calls of one breaker took: a histogram for each outcome, and samples for those who want each duration.

The breaker writes, in the thread of its calls; collectors read in any thread, when they are scraped. Collectors with
different bounds share one histogram: when one adds a bound, a finer histogram begins, and the coarser one before it
keeps what it has counted.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from recloser._core.outcomes import Outcome
from recloser._core.windows import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST_OVER_SECONDS = 60.0
MOST_SAMPLES = 10_000
"""How many samples wait for their reader; the call that adds the last one hands them over."""


class Histogram:
    """The durations of the calls with one outcome.

    Args:
        bounds: The upper bounds of the buckets, in seconds, ascending; above the last one is one more bucket.
    """

    __slots__ = ("_longest_before", "bounds", "counts", "longest_seconds", "longest_until", "total_seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds: tuple[float, ...] = bounds
        self.counts: list[int] = [0] * (len(bounds) + 1)
        self.total_seconds: float = 0.0
        self.longest_seconds: float = 0.0
        self.longest_until: float = ALWAYS  # when the minute of the longest call ends
        self._longest_before: float = 0.0

    def add(self, seconds: float, now: float) -> None:
        """Add one duration, of a call that ended at `now`."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total_seconds += seconds
        if seconds > self.longest_seconds or now >= self.longest_until:
            self.note_longest(seconds, now)

    def recorder(self) -> Callable[[float, float], None]:
        """Return `add()` as a function of its own, `add(now, seconds)`, which is a fifth quicker."""
        bounds, counts, lowest = self.bounds, self.counts, self.bounds[0]

        def add(now: float, seconds: float) -> None:
            if seconds > lowest:
                counts[bisect_left(bounds, seconds)] += 1
            else:  # the quickest calls, for which a search would cost as much as the rest
                counts[0] += 1
            self.total_seconds += seconds
            if seconds > self.longest_seconds or now >= self.longest_until:
                self.note_longest(seconds, now)

        return add

    def note_longest(self, seconds: float, now: float) -> None:
        """Note the longest duration of this minute, or the first one of the next."""
        if now >= self.longest_until:
            self._longest_before = self.longest_seconds if now < self.longest_until + LONGEST_OVER_SECONDS else 0.0
            self.longest_until = now + LONGEST_OVER_SECONDS
        self.longest_seconds = seconds

    def longest(self, now: float) -> float:
        """Return the longest duration of the last one to two minutes."""
        if now < self.longest_until:
            return max(self.longest_seconds, self._longest_before)
        return self.longest_seconds if now < self.longest_until + LONGEST_OVER_SECONDS else 0.0

    def counts_by(self, bounds: tuple[float, ...]) -> list[int] | None:
        """Return the counts of buckets with other bounds; None if a bound is not one of this histogram's."""
        counts = [0] * (len(bounds) + 1)
        if not set(bounds) <= set(self.bounds):
            return None
        for bound, count in zip((*self.bounds, float("inf")), tuple(self.counts), strict=True):
            counts[bisect_left(bounds, bound)] += count
        return counts


class Sample(NamedTuple):
    """How long one call took that did not succeed.

    Attributes:
        outcome: What it counted as.
        seconds: How long it ran.
        error_type: The qualified name of the exception's type; None if there was no exception.
    """

    outcome: Outcome
    seconds: float
    error_type: str | None


class Samples:
    """Durations that wait for one reader; many breakers can share them.

    Args:
        hand_over: Called when there are `MOST_SAMPLES` of one kind, to take them out with `take()`.
    """

    __slots__ = ("_hand_over", "others", "successes")

    def __init__(self, hand_over: Callable[[Samples], None]) -> None:
        self.successes: list[float] = []
        self.others: list[Sample] = []
        self._hand_over = hand_over

    def take(self) -> tuple[list[float], list[Sample]]:
        """Take out all samples; safe in any thread, while calls add more."""
        successes, others = self.successes[:], self.others[:]
        del self.successes[: len(successes)], self.others[: len(others)]
        return successes, others

    def recorder(self) -> Callable[[float, float], None]:
        """Return a function that adds the duration of a success, `add(now, seconds)`."""
        successes = self.successes
        append = successes.append

        def add(now: float, seconds: float) -> None:  # noqa: ARG001 - as the recorder of a histogram
            append(seconds)
            if len(successes) >= MOST_SAMPLES:
                self._hand_over(self)

        return add

    def add_success(self, seconds: float) -> None:
        """Add the duration of a success."""
        self.successes.append(seconds)
        if len(self.successes) >= MOST_SAMPLES:
            self._hand_over(self)

    def add(self, sample: Sample) -> None:
        """Add the duration of another call."""
        self.others.append(sample)
        if len(self.others) >= MOST_SAMPLES:
            self._hand_over(self)


class Durations:
    """The histograms of one breaker, and the samples that it adds to.

    Args:
        bounds: The bounds of the histograms; empty if only samples are wanted.
        samples: Where each duration is added.
        before: The histograms that these replace.
    """

    __slots__ = ("_by_outcome", "before", "bounds", "samples")

    def __init__(
        self, bounds: tuple[float, ...], samples: tuple[Samples, ...] = (), before: Durations | None = None
    ) -> None:
        self.bounds: tuple[float, ...] = bounds
        self.samples: tuple[Samples, ...] = samples
        self.before: Durations | None = before
        self._by_outcome: dict[Outcome, Histogram] = {}

    def histogram(self, outcome: Outcome) -> Histogram | None:
        """Return the histogram of an outcome, made for the first call; None if nobody wants histograms."""
        if not self.bounds:
            return None
        found = self._by_outcome.get(outcome)
        return self._by_outcome.setdefault(outcome, Histogram(self.bounds)) if found is None else found

    def recorders(self) -> list[Callable[[float, float], None]]:
        """Return functions that add the duration of a success: `add(now, seconds)`."""
        histogram = self.histogram(Outcome.SUCCESS)
        return [each.recorder() for each in (histogram, *self.samples) if each is not None]

    def add(self, outcome: Outcome, seconds: float, now: float, exc: BaseException | None) -> None:
        """Add the duration of a call that ended at `now`."""
        histogram = self.histogram(outcome)
        if histogram is not None:
            histogram.add(seconds, now)
        for samples in self.samples:
            if outcome is Outcome.SUCCESS:
                samples.add_success(seconds)
            else:
                samples.add(Sample(outcome, seconds, None if exc is None else type(exc).__qualname__))

    def all_of(self, outcome: Outcome) -> Iterator[Histogram]:
        """Iterate over the histograms of an outcome, the present one and those before it."""
        link: Durations | None = self
        while link is not None:
            found = link._by_outcome.get(outcome)
            if found is not None:
                yield found
            link = link.before

    def with_bounds(self, bounds: tuple[float, ...]) -> Durations:
        """Return the histograms for these bounds as well: these ones, or finer ones that follow them."""
        union = tuple(sorted({*self.bounds, *bounds}))
        return self if union == self.bounds else Durations(union, self.samples, self if self.bounds else None)
