"""How long the calls of one breaker took: histograms by outcome, and samples for those who want each duration.

Who wants durations makes a `Claim` on the breakers and releases it at the end. A breaker on which there is no claim
measures nothing. The breaker writes, in the thread of its calls; readers read in any thread, when they are scraped.
Readers with different bounds share one histogram: when one adds a bound, a finer histogram begins, and the coarser one
before it keeps what it has counted.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from recloser._breaker.steps import STEP
from recloser._core.outcomes import Outcome
from recloser._core.windows import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

LONGEST_OVER_SECONDS = 60.0
MOST_SAMPLES = 100_000
"""How many samples wait for their reader; a call that adds one more hands some over. They take three megabytes."""
SAMPLES_OF_A_CALL = 100
"""How many of the waiting samples a call hands over, so that no call takes long."""


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
            following = self.longest_until + LONGEST_OVER_SECONDS
            is_next = now < following
            self._longest_before = self.longest_seconds if is_next else 0.0
            self.longest_until = following if is_next else now + LONGEST_OVER_SECONDS
        self.longest_seconds = seconds

    def longest(self, now: float) -> float:
        """Return the longest duration of the last one to two minutes."""
        if now < self.longest_until:
            return max(self.longest_seconds, self._longest_before)
        return self.longest_seconds if now < self.longest_until + LONGEST_OVER_SECONDS else 0.0

    def counts_by(self, bounds: tuple[float, ...]) -> list[int] | None:
        """Return the counts of buckets with other bounds; None if a bound is not one of this histogram's."""
        if not set(bounds) <= set(self.bounds):
            return None
        counts = [0] * (len(bounds) + 1)
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
        record: Called with each duration: the outcome, the seconds, and the type of the error, None if there was none.
            It raises no Exception.
    """

    __slots__ = ("_record", "others", "successes")

    def __init__(self, record: Callable[[Outcome, float, str | None], object]) -> None:
        self.successes: list[float] = []
        self.others: list[Sample] = []
        self._record = record

    def hand_over(self) -> None:
        """Hand over all samples; safe in any thread and in several, while calls add more.

        Raises:
            KeyboardInterrupt: It arrived meanwhile; the other samples wait on.
            SystemExit: Likewise.
        """
        self._hand_over(len(self.successes), len(self.others))

    def relieve(self) -> None:
        """Hand over some samples if too many wait; it raises as `hand_over()` does."""
        self._hand_over(*(SAMPLES_OF_A_CALL * (len(kind) > MOST_SAMPLES) for kind in (self.successes, self.others)))

    def _hand_over(self, successes: int, others: int) -> None:
        for seconds in _taken(self.successes, successes):
            self._record(Outcome.SUCCESS, seconds, None)
        for sample in _taken(self.others, others):
            self._record(*sample)

    def recorder(self) -> Callable[[float, float], None]:
        """Return a function that adds the duration of a success, `add(now, seconds)`."""
        successes, most = self.successes, MOST_SAMPLES
        append = successes.append

        def add(now: float, seconds: float) -> None:  # noqa: ARG001 - as the recorder of a histogram
            append(seconds)
            if len(successes) > most:
                self.relieve()

        return add

    def add(self, sample: Sample) -> None:
        """Add the duration of a call, and hand over nothing."""
        if sample.outcome is Outcome.SUCCESS:
            self.successes.append(sample.seconds)
        else:
            self.others.append(sample)


def _taken(waiting: list[T], most: int) -> Iterator[T]:
    """Take out items, at most so many; each is taken once, even if several threads do that."""
    for _ in range(most):
        try:
            yield waiting.pop()
        except IndexError:  # another thread was quicker
            return


class Claim:
    """What one reader wants of the breakers on which it makes the claim.

    Args:
        bounds: The upper bounds of the buckets of histograms, in seconds, ascending; empty if it wants none.
        samples: Where each duration is added; None if it wants no samples.
    """

    __slots__ = ("bounds", "samples")

    def __init__(self, bounds: tuple[float, ...] = (), samples: Samples | None = None) -> None:
        self.bounds: tuple[float, ...] = bounds
        self.samples: Samples | None = samples


class Histograms:
    """One histogram for each outcome, with the same bounds."""

    __slots__ = ("bounds", "by_outcome")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds: tuple[float, ...] = bounds
        self.by_outcome: dict[Outcome, Histogram] = {}

    def of(self, outcome: Outcome) -> Histogram:
        """Return the histogram of an outcome, made for the first call."""
        found = self.by_outcome.get(outcome)
        return self.by_outcome.setdefault(outcome, Histogram(self.bounds)) if found is None else found


class Durations:
    """The durations of one breaker, for all claims on it; it refers to nothing else of the breaker."""

    __slots__ = ("chain", "claims", "samples")

    def __init__(self) -> None:
        self.claims: tuple[Claim, ...] = ()
        self.samples: tuple[Samples, ...] = ()
        self.chain: tuple[Histograms, ...] = ()
        """The histograms that are written, last, and the coarser ones before them; empty if nobody wants histograms."""

    def add_claim(self, claim: Claim) -> None:
        """Add a claim, once; holding `STEP`."""
        self._set((*(other for other in self.claims if other is not claim), claim))

    def remove_claim(self, claim: Claim) -> None:
        """Remove a claim, if it is there; holding `STEP`."""
        self._set(tuple(other for other in self.claims if other is not claim))

    def _set(self, claims: tuple[Claim, ...]) -> None:
        self.claims = claims
        self.samples = tuple(claim.samples for claim in claims if claim.samples is not None)
        wanted = {bound for claim in claims for bound in claim.bounds}
        if not wanted:
            self.chain = ()
            return
        present = self.chain[-1].bounds if self.chain else ()
        union = tuple(sorted(wanted.union(present)))
        if union != present:
            self.chain = (*self.chain, Histograms(union))

    def recorders(self) -> list[Callable[[float, float], None]]:
        """Return functions that add the duration of a success: `add(now, seconds)`."""
        recorders = [samples.recorder() for samples in self.samples]
        return [self.chain[-1].of(Outcome.SUCCESS).recorder(), *recorders] if self.chain else recorders

    def add(self, outcome: Outcome, seconds: float, now: float, exc: BaseException | None) -> None:
        """Add the duration of a call that ended at `now`; this runs no user code."""
        chain, samples = self.chain, self.samples
        if chain:
            chain[-1].of(outcome).add(seconds, now)
        if samples:
            sample = Sample(outcome, seconds, None if exc is None else type(exc).__qualname__)
            for each in samples:
                each.add(sample)

    def relieve(self) -> None:
        """Hand over some samples where too many wait; never under a lock.

        Raises:
            KeyboardInterrupt: It arrived meanwhile.
            SystemExit: Likewise.
        """
        for samples in self.samples:
            samples.relieve()


class Measured(Protocol):
    """Where a breaker has its durations."""

    durations: Durations | None


class MeasuredEngine(Protocol):
    """What this module calls of a breaker's engine."""

    def listeners(self) -> Measured:
        """Return the dispatcher."""
        ...

    def refresh(self) -> None:
        """Update the way that calls take."""
        ...


def claim_durations(engine: MeasuredEngine, claim: Claim) -> Durations:
    """Have a breaker measured from now on; return its durations. Claiming again changes nothing."""
    with STEP:
        dispatcher = engine.listeners()
        if dispatcher.durations is None:
            dispatcher.durations = Durations()
        dispatcher.durations.add_claim(claim)
        engine.refresh()
        return dispatcher.durations


def release_durations(engine: MeasuredEngine, claim: Claim) -> tuple[Histograms, ...]:
    """Release a claim on a breaker, which measures on only if there are others; return what was measured for it.

    Releasing it again changes nothing.
    """
    with STEP:
        dispatcher = engine.listeners()
        durations = dispatcher.durations
        if durations is None:
            return ()
        chain = durations.chain
        durations.remove_claim(claim)
        if not durations.claims:
            dispatcher.durations = None
        engine.refresh()
        return chain
