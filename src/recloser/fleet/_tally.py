"""What one worker has to report about one rule: the calls since its last report.

Calls are not counted here. The breaker's running totals are read when a report is made, so that a call costs no more
than without a fleet.

As long as a worker has no hit in the window (no failure, or no slow call) it reports nothing. With the first
one it reports what the window holds: its successes of up to one window before. They count as of now, and so for up to
one window too long. A rate can thus be understated for a while, and is never overstated: five failures among many calls
open nothing, and where a rate is understated the worker's own rule still sees the truth, and votes.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from recloser._core.meters import Counts
    from recloser.fleet._policies import CountedRule


class Draw(NamedTuple):
    """What goes into one report."""

    hits: int
    total: int
    drawn_at: float


class Tally:
    """The calls of one worker that one rule looks at.

    Args:
        counted: The rule.
        counts: The breaker's running totals.
    """

    __slots__ = ("_calls", "_hits", "_last_hit_at", "_slow", "_slow_call_seconds", "_tail", "_window", "rule")

    def __init__(self, counted: CountedRule, counts: Counts) -> None:
        self.rule = counted.rule
        self._slow_call_seconds = counted.slow_call_seconds
        self._window = counted.rule.window_us / 1_000_000
        self._slow = 0
        self._tail: deque[tuple[float, int]] = deque(maxlen=counted.rule.buckets + 1)
        self.restart(counts)

    def restart(self, counts: Counts) -> None:
        """Forget all calls so far: the fleet has closed, and they say nothing about what comes."""
        self._hits, self._calls = self._totals(counts)
        self._last_hit_at: float | None = None
        self._tail.clear()

    def counted(self, duration: float) -> None:
        """Take note of how long a call took, in seconds."""
        if self._slow_call_seconds is not None and duration > self._slow_call_seconds:
            self._slow += 1

    def remember(self, counts: Counts, now: float) -> None:
        """Take note of the total of calls, to know later what a window before holds; call it now and then."""
        step = self._window / self.rule.buckets
        if not self._tail or now - self._tail[-1][0] >= step:
            self._tail.append((now, self._totals(counts)[1]))

    def draw(self, counts: Counts, now: float, *, with_successes: bool) -> Draw | None:
        """Return the calls since the last report, which is taken to have been made; None if there is nothing to say.

        Args:
            counts: The breaker's running totals.
            now: Seconds of the worker's clock.
            with_successes: Whether to report also if no further call was a hit, as long as the window holds one.
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
        return Draw(hits, max(hits, calls_total - before), now)

    def _calls_before(self, now: float) -> int:
        """Return the total of calls when the window began, as far as it is remembered."""
        while self._tail and now - self._tail[0][0] > self._window:
            self._tail.popleft()
        return max(self._calls, self._tail[0][1]) if self._tail else self._calls

    def _totals(self, counts: Counts) -> tuple[int, int]:
        hits = counts.failures if self._slow_call_seconds is None else self._slow
        return hits, counts.successes + counts.failures
