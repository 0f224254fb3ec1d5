"""How a breaker counts: one meter per trip rule.

A meter records each failure, and receives the running totals with every call. It only has to see single successes
while one could trip the rule: `quiet_until` is NEVER (infinity) if none can, ALWAYS if the next one might, and for a
time window the end of the current bucket. A slow success is always reported.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol, TypeVar

from recloser._core.evidence import Evidence, rate_evidence, run_evidence
from recloser._core.windows import ALWAYS, NEVER, Ring, TimeRing, Window, WindowTotals
from recloser._core.wording import plural

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")
NO_RUN = -1
"""No total of successes is equal to it: the latest failures are not known to be a run."""


class Counts(Protocol):
    """The running totals of a breaker, outside half-open, and its run of failures."""

    successes: int
    failures: int
    run_after: int
    """The total of successes when the latest run of failures began; if it has changed since, a success has ended it."""
    run_from: int
    """The total of failures before that run."""


class RuleMeter(Protocol):
    """One breaker's measurement of one rule."""

    needs_clock: bool
    """Whether `now` matters for recording a failure."""
    needs_duration: bool
    """Whether the duration of each call matters."""

    @property
    def quiet_until(self) -> float:
        """Successes that end before this instant need not be reported, unless they are slow."""
        ...

    def success(self, counts: Counts, now: float, duration: float) -> bool:
        """Record a success, which `counts` includes; return whether the rule is met."""
        ...

    def failure(self, counts: Counts, now: float, duration: float) -> bool:
        """Record a failure, which `counts` includes; return whether the rule is met."""
        ...

    def clear(self, counts: Counts) -> None:
        """Forget all calls and continue from the given totals."""
        ...

    def adopt(self, other: RuleMeter, counts: Counts, now: float) -> None:
        """Take over the calls of another meter, as far as it is of the same kind."""
        ...

    def failure_count(self, counts: Counts, now: float) -> int:
        """Return the failures that count at this time."""
        ...

    def failure_rate(self, counts: Counts, now: float) -> float | None:
        """Return the failure rate; None if it is undefined or not measured."""
        ...

    def slow_call_rate(self, counts: Counts, now: float) -> float | None:
        """Return the slow call rate; None if it is undefined or not measured."""
        ...

    def evidence(self, counts: Counts, now: float) -> Evidence | None:
        """Return why the rule is met; None if it is not."""
        ...


class RunMeter:
    """A run of failures; its state is part of the counts, so that breakers can share a meter."""

    __slots__ = ("threshold",)

    needs_clock = False
    needs_duration = False
    quiet_until = NEVER

    def __init__(self, threshold: int) -> None:
        self.threshold: int = threshold

    def success(self, counts: Counts, now: float, duration: float) -> bool:  # noqa: ARG002 - one protocol for all meters
        """A success never trips a run of failures."""
        return False

    def failure(self, counts: Counts, now: float, duration: float) -> bool:  # noqa: ARG002 - one protocol for all meters
        """Record a failure, which `counts` includes; return whether the rule is met."""
        if counts.successes != counts.run_after:
            counts.run_after = counts.successes
            counts.run_from = counts.failures - 1
        return counts.failures - counts.run_from >= self.threshold

    def clear(self, counts: Counts) -> None:
        """Forget all calls and continue from the given totals."""
        self._resume(counts, 0)

    def adopt(self, other: RuleMeter, counts: Counts, now: float) -> None:
        """Take over the run of another meter of consecutive failures."""
        if isinstance(other, RunMeters):
            self._resume(counts, other.failure_count(counts, now))

    def failure_count(self, counts: Counts, now: float) -> int:  # noqa: ARG002 - one protocol for all meters
        """Return the length of the current run."""
        return counts.failures - counts.run_from if counts.successes == counts.run_after else 0

    def _resume(self, counts: Counts, run: int) -> None:
        counts.run_after = counts.successes
        counts.run_from = counts.failures - run

    def failure_rate(self, counts: Counts, now: float) -> None:
        """A run has no rate."""

    def slow_call_rate(self, counts: Counts, now: float) -> None:
        """A run has no slow calls."""

    def evidence(self, counts: Counts, now: float) -> Evidence | None:
        """Return why the rule is met; None if it is not."""
        return run_evidence(self.failure_count(counts, now), self.threshold)


class RecentRunMeter:
    """A run of failures with the time of each, so that old ones can be forgotten."""

    __slots__ = ("_seen", "_threshold", "_times", "_within")

    needs_clock = True
    needs_duration = False
    quiet_until = NEVER

    def __init__(self, threshold: int, within_seconds: float, counts: Counts) -> None:
        self._threshold = threshold
        self._within = within_seconds
        self._times: deque[float] = deque(maxlen=threshold)
        self._seen = counts.successes

    def success(self, counts: Counts, now: float, duration: float) -> bool:  # noqa: ARG002 - one protocol for all meters
        """A success never trips a run of failures."""
        return False

    def failure(self, counts: Counts, now: float, duration: float) -> bool:  # noqa: ARG002 - one protocol for all meters
        """Record a failure, which `counts` includes; return whether the rule is met."""
        if counts.successes != self._seen:
            self.clear(counts)
        self._times.append(now)
        return self.failure_count(counts, now) >= self._threshold

    def clear(self, counts: Counts) -> None:
        """Forget all calls and continue from the given totals."""
        self._seen = counts.successes
        self._times.clear()

    def adopt(self, other: RuleMeter, counts: Counts, now: float) -> None:
        """Take over the run of another meter of consecutive failures, with the times if it knows them."""
        if isinstance(other, RecentRunMeter):
            self.clear(counts)
            self._times.extend(other._times if other._seen == counts.successes else ())
        elif isinstance(other, RunMeter):
            self.clear(counts)
            self._times.extend([now] * other.failure_count(counts, now))

    def failure_count(self, counts: Counts, now: float) -> int:
        """Return how many failures of the current run are recent enough."""
        if counts.successes != self._seen:
            return 0
        return sum(now - time < self._within for time in tuple(self._times))

    def failure_rate(self, counts: Counts, now: float) -> None:
        """A run has no rate."""

    def slow_call_rate(self, counts: Counts, now: float) -> None:
        """A run has no slow calls."""

    def evidence(self, counts: Counts, now: float) -> Evidence | None:
        """Return why the rule is met; None if it is not."""
        return run_evidence(self.failure_count(counts, now), self._threshold)


RunMeters = (RunMeter, RecentRunMeter)


class FailureRateMeter:
    """The share of failures in a window."""

    __slots__ = ("_minimum_calls", "_rate", "_window", "needs_clock", "quiet_until", "ring")

    needs_duration = False

    def __init__(self, rate: float, minimum_calls: int, window: Window, counts: Counts) -> None:
        self._rate = rate
        self._minimum_calls = minimum_calls
        self._window = window
        self.ring: Ring = window.ring(counts.successes)
        self.needs_clock = isinstance(self.ring, TimeRing)
        self.quiet_until = ALWAYS if self.needs_clock else NEVER

    def success(self, counts: Counts, now: float, duration: float) -> bool:  # noqa: ARG002 - one protocol for all meters
        """Record a success, which `counts` includes; return whether the rule is met."""
        return self._weigh(self.ring.settle(counts.successes, now))

    def failure(self, counts: Counts, now: float, duration: float) -> bool:  # noqa: ARG002 - one protocol for all meters
        """Record a failure, which `counts` includes; return whether the rule is met."""
        return self._weigh(self.ring.hit(counts.successes, now))

    def clear(self, counts: Counts) -> None:
        """Forget all calls and continue from the given totals."""
        self.ring.clear(counts.successes)
        self.quiet_until = ALWAYS if self.needs_clock else NEVER

    def adopt(self, other: RuleMeter, counts: Counts, now: float) -> None:
        """Take over the window of another meter of a failure rate, or of a failure count in a count window.

        A failure count in a time window doesn't know when successes were.
        """
        if isinstance(other, FailureRateMeter) or (isinstance(other, FailureCountMeter) and not other.needs_clock):
            self.ring.adopt(other.ring, counts.successes, now)
            self._weigh(self.ring.peek(counts.successes, now))

    def failure_count(self, counts: Counts, now: float) -> int:
        """Return the failures in the window."""
        return self.ring.peek(counts.successes, now).hits

    def failure_rate(self, counts: Counts, now: float) -> float | None:
        """Return the failure rate; None below the minimum number of calls."""
        return _rate(self.ring.peek(counts.successes, now), self._minimum_calls)

    def slow_call_rate(self, counts: Counts, now: float) -> None:
        """This rule does not measure slow calls."""

    def evidence(self, counts: Counts, now: float) -> Evidence | None:
        """Return why the rule is met; None if it is not."""
        totals = self.ring.peek(counts.successes, now)
        evidence = rate_evidence("failure_rate", "failed", self._rate, self.failure_rate(counts, now), totals)
        return evidence and evidence._replace(window=self._window)

    def _weigh(self, totals: tuple[int, int]) -> bool:
        met, self.quiet_until = _weighed(totals, self._rate, self._minimum_calls, self.ring)
        return met


class FailureCountMeter:
    """The number of failures in a window; a success only trips it if an adopted window meets the rule."""

    __slots__ = ("_threshold", "_window", "needs_clock", "quiet_until", "ring")

    needs_duration = False
    quiet_until: float

    def __init__(self, threshold: int, window: Window, counts: Counts) -> None:
        self._threshold = threshold
        self._window = window
        self.ring = window.ring(counts.successes)
        self.needs_clock = isinstance(self.ring, TimeRing)
        self.quiet_until = NEVER

    def success(self, counts: Counts, now: float, duration: float) -> bool:  # noqa: ARG002 - one protocol for all meters
        """Return whether the rule is met; that can only be true for an adopted window."""
        return self._weigh(counts, now)

    def failure(self, counts: Counts, now: float, duration: float) -> bool:  # noqa: ARG002 - one protocol for all meters
        """Record a failure, which `counts` includes; return whether the rule is met."""
        _, failures = self.ring.hit(counts.successes, now)
        return failures >= self._threshold

    def clear(self, counts: Counts) -> None:
        """Forget all calls and continue from the given totals."""
        self.ring.clear(counts.successes)
        self.quiet_until = NEVER

    def adopt(self, other: RuleMeter, counts: Counts, now: float) -> None:
        """Take over the window of another meter of a failure rate or count."""
        if isinstance(other, FailureRateMeter | FailureCountMeter):
            self.ring.adopt(other.ring, counts.successes, now)
            self._weigh(counts, now)

    def failure_count(self, counts: Counts, now: float) -> int:
        """Return the failures in the window."""
        return self.ring.peek(counts.successes, now).hits

    def failure_rate(self, counts: Counts, now: float) -> None:
        """This rule does not measure a rate."""

    def slow_call_rate(self, counts: Counts, now: float) -> None:
        """This rule does not measure slow calls."""

    def evidence(self, counts: Counts, now: float) -> Evidence | None:
        """Return why the rule is met; None if it is not."""
        failures, threshold = self.failure_count(counts, now), self._threshold
        if failures < threshold:
            return None
        text = f"{failures} {plural(failures, 'failure')} in {self._window} (threshold {threshold})"
        return Evidence("failure_count", failures, threshold, text, window=self._window)

    def _weigh(self, counts: Counts, now: float) -> bool:
        met = self.failure_count(counts, now) >= self._threshold
        self.quiet_until = ALWAYS if met else NEVER
        return met


class SlowCallRateMeter:
    """The share of slow calls in a window; the failures in the same window are only counted for display."""

    __slots__ = (
        "_failures",
        "_minimum_calls",
        "_rate",
        "_slow",
        "_slow_call_seconds",
        "_slow_total",
        "_window",
        "needs_clock",
        "quiet_until",
    )

    needs_duration = True

    def __init__(
        self, rate: float, minimum_calls: int, slow_call_seconds: float, window: Window, counts: Counts
    ) -> None:
        self._rate = rate
        self._minimum_calls = minimum_calls
        self._slow_call_seconds = slow_call_seconds
        self._window = window
        self._slow_total = 0
        self._slow: Ring = window.ring(self._fast(counts))
        self._failures: Ring = window.ring(counts.successes)
        self.needs_clock = isinstance(self._slow, TimeRing)
        self.quiet_until = ALWAYS if self.needs_clock else NEVER

    def success(self, counts: Counts, now: float, duration: float) -> bool:
        """Record a success, which `counts` includes; return whether the rule is met."""
        self._failures.settle(counts.successes, now)
        return self._record(counts, now, duration)

    def failure(self, counts: Counts, now: float, duration: float) -> bool:
        """Record a failure, which `counts` includes; return whether the rule is met."""
        self._failures.hit(counts.successes, now)
        return self._record(counts, now, duration)

    def clear(self, counts: Counts) -> None:
        """Forget all calls and continue from the given totals."""
        self._slow.clear(self._fast(counts))
        self._failures.clear(counts.successes)
        self.quiet_until = ALWAYS if self.needs_clock else NEVER

    def adopt(self, other: RuleMeter, counts: Counts, now: float) -> None:
        """Take over the window of another meter of slow calls."""
        if isinstance(other, SlowCallRateMeter):
            self._slow_total = other._slow_total
            self._slow.adopt(other._slow, self._fast(counts), now)
            self._failures.adopt(other._failures, counts.successes, now)
            self._weigh(self._slow.peek(self._fast(counts), now))

    def failure_count(self, counts: Counts, now: float) -> int:
        """Return the failures in the window."""
        return self._failures.peek(counts.successes, now).hits

    def failure_rate(self, counts: Counts, now: float) -> None:
        """This rule does not measure a failure rate."""

    def slow_call_rate(self, counts: Counts, now: float) -> float | None:
        """Return the slow call rate; None below the minimum number of calls."""
        return _rate(self._slow.peek(self._fast(counts), now), self._minimum_calls)

    def evidence(self, counts: Counts, now: float) -> Evidence | None:
        """Return why the rule is met; None if it is not."""
        totals = self._slow.peek(self._fast(counts), now)
        how = f"took longer than {self._slow_call_seconds:g} s"
        evidence = rate_evidence("slow_call_rate", how, self._rate, self.slow_call_rate(counts, now), totals)
        return evidence and evidence._replace(window=self._window, slow_call_seconds=self._slow_call_seconds)

    def _fast(self, counts: Counts) -> int:
        """Return the running total of calls that were not slow."""
        return counts.successes + counts.failures - self._slow_total

    def _record(self, counts: Counts, now: float, duration: float) -> bool:
        if duration > self._slow_call_seconds:
            self._slow_total += 1
            return self._weigh(self._slow.hit(self._fast(counts), now))
        return self._weigh(self._slow.settle(self._fast(counts), now))

    def _weigh(self, totals: tuple[int, int]) -> bool:
        met, self.quiet_until = _weighed(totals, self._rate, self._minimum_calls, self._slow)
        return met


class AnyMeter:
    """Several meters: each records every call, and any of them can trip."""

    __slots__ = ("needs_clock", "needs_duration", "parts")

    def __init__(self, meters: tuple[RuleMeter, ...]) -> None:
        self.parts = meters
        self.needs_clock = any(meter.needs_clock for meter in meters)
        self.needs_duration = any(meter.needs_duration for meter in meters)

    @property
    def quiet_until(self) -> float:
        """Successes that end before this instant need not be reported."""
        return min(meter.quiet_until for meter in self.parts)

    def success(self, counts: Counts, now: float, duration: float) -> bool:
        """Record a success, which `counts` includes; return whether a rule is met."""
        met = [meter.success(counts, now, duration) for meter in self.parts]
        return any(met)

    def failure(self, counts: Counts, now: float, duration: float) -> bool:
        """Record a failure, which `counts` includes; return whether a rule is met."""
        met = [meter.failure(counts, now, duration) for meter in self.parts]
        return any(met)

    def clear(self, counts: Counts) -> None:
        """Forget all calls and continue from the given totals."""
        for meter in self.parts:
            meter.clear(counts)

    def adopt(self, other: RuleMeter, counts: Counts, now: float) -> None:
        """Let each meter take over what fits it, preferably from the meter at the same position; a run comes last.

        All meters of runs share one run, and until it is taken over, others read it.
        """
        others = parts_of(other)
        for index, meter in sorted(enumerate(self.parts), key=lambda part: isinstance(part[1], RunMeter)):
            candidates = [*others, *others[index : index + 1]]
            if isinstance(meter, RunMeter):
                meter.adopt(([each for each in candidates if isinstance(each, RunMeters)] or others)[-1], counts, now)
                break
            for candidate in candidates:
                meter.adopt(candidate, counts, now)

    def failure_count(self, counts: Counts, now: float) -> int:
        """Return the failures that count for the first rule."""
        return self.parts[0].failure_count(counts, now)

    def failure_rate(self, counts: Counts, now: float) -> float | None:
        """Return the first failure rate that is defined."""
        return _first(meter.failure_rate(counts, now) for meter in self.parts)

    def slow_call_rate(self, counts: Counts, now: float) -> float | None:
        """Return the first slow call rate that is defined."""
        return _first(meter.slow_call_rate(counts, now) for meter in self.parts)

    def evidence(self, counts: Counts, now: float) -> Evidence | None:
        """Return the evidence of the first rule that is met."""
        return _first(meter.evidence(counts, now) for meter in self.parts)


def _first(found: Iterable[T | None]) -> T | None:
    return next((item for item in found if item is not None), None)


def _weighed(totals: tuple[int, int], rate: float, minimum_calls: int, ring: Ring) -> tuple[bool, float]:
    """Return whether a rate is reached, and until when a call that is no hit can't reach it.

    Once there are enough calls, such a call only lowers the rate, until older ones leave a time window.
    """
    calls, hits = totals
    enough = calls >= minimum_calls
    met = enough and hits / calls >= rate
    if met or (hits and not enough):
        return met, ALWAYS
    return met, ring.edge if isinstance(ring, TimeRing) else NEVER


def _rate(totals: WindowTotals, minimum_calls: int) -> float | None:
    return totals.hits / totals.calls if totals.calls >= minimum_calls else None


def parts_of(meter: RuleMeter) -> tuple[RuleMeter, ...]:
    """Return the meters of the single rules that a meter is made of."""
    return meter.parts if isinstance(meter, AnyMeter) else (meter,)


def heir_of(old: RuleMeter, new: RuleMeter, counts: Counts, now: float) -> RuleMeter:
    """Let a new meter take over what an old one has counted, and return it."""
    if not any(isinstance(part, RunMeter) for part in parts_of(old)):
        counts.run_after = NO_RUN
    (new if isinstance(new, AnyMeter) else AnyMeter((new,))).adopt(old, counts, now)
    return new
