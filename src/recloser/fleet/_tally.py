"""What one worker has to report about one rule: the calls since its last report.

Calls are not counted here. A report reads the breaker's running totals, so that a call costs no more than without a
fleet.

A worker that has no hit in the window (no failure, or no slow call) reports nothing. With its first hit it reports what
the window holds: its successes of up to one window before. The store counts them as of now, and so for up to one window
too long. This can understate a rate for a while, and never overstates one: five failures among many calls do not open
the fleet, and where the rate is understated, the worker's own rule still sees the true rate, and votes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from recloser._core.meters import Counts
    from recloser.fleet._policies import CountedRule
    from recloser.fleet._store.values import FleetRule


class Delta(NamedTuple):
    """The calls since the last report."""

    hits: int
    total: int
    taken_at: float


class Tally:
    """The calls of one worker that one rule looks at.

    Args:
        counted: The rule.
        counts: The breaker's running totals.
    """

    __slots__ = ("_calls", "_hits", "_last_hit_at", "_samples", "_slow", "_slow_call_seconds", "_window", "rule")

    def __init__(self, counted: CountedRule, counts: Counts) -> None:
        self.rule: FleetRule = counted.rule
        self._slow_call_seconds = counted.slow_call_seconds
        self._window = counted.rule.window_us / 1_000_000
        self._slow = 0
        self._samples: deque[tuple[float, int]] = deque(maxlen=counted.rule.buckets + 1)
        self._hits, self._calls = self._totals(counts)
        self._last_hit_at: float | None = None

    def count(self, duration: float) -> None:
        """Count a call by how long it took, in seconds."""
        if self._slow_call_seconds is not None and duration > self._slow_call_seconds:
            self._slow += 1

    def sample(self, counts: Counts, now: float) -> None:
        """Remember the total of calls at this instant, to know later how many the window held. Call it regularly."""
        step = self._window / self.rule.buckets
        if not self._samples or now - self._samples[-1][0] >= step:
            self._samples.append((now, self._totals(counts)[1]))

    def take(self, counts: Counts, now: float, *, with_successes: bool) -> Delta | None:
        """Return the calls since the last report, and begin the next one; None if there is nothing to report.

        Args:
            counts: The breaker's running totals.
            now: Seconds of the worker's clock.
            with_successes: Whether to report also without a further hit, as long as the window holds one.
        """
        hits_total, calls_total = self._totals(counts)
        hits = hits_total - self._hits
        is_quiet = self._last_hit_at is None or now - self._last_hit_at >= self._window
        if not hits and (is_quiet or not with_successes or calls_total == self._calls):
            return None
        before = self._calls_before(now) if is_quiet else self._calls
        self._hits, self._calls = hits_total, calls_total
        if hits:
            self._last_hit_at = now
        return Delta(hits, max(hits, calls_total - before), now)

    def _calls_before(self, now: float) -> int:
        """Return the total of calls when the window began, as far as it is remembered."""
        while self._samples and now - self._samples[0][0] > self._window:
            self._samples.popleft()
        return max(self._calls, self._samples[0][1]) if self._samples else self._calls

    def _totals(self, counts: Counts) -> tuple[int, int]:
        hits = counts.failures if self._slow_call_seconds is None else self._slow
        return hits, counts.successes + counts.failures
