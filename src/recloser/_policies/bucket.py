"""A token bucket: https://en.wikipedia.org/wiki/Token_bucket, with a continuous inflow of tokens.

It reads its clock itself and tolerates a faulty one: if the clock jumps back, no time passes; if it jumps forward, the
bucket is filled once; if it raises or returns no number, time stands still, and that is logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser._breaker.clock import checked_clock, clock_of
from recloser._breaker.steps import STEP

if TYPE_CHECKING:
    from collections.abc import Callable

WHOLE = 1 - 1e-6
"""The share of a token that counts as a whole one, so that a waiter does not wake up slightly too early, repeatedly."""


class TokenBucket:
    """Holds tokens that flow in at a constant rate. It starts full. It can be used in any thread.

    Args:
        capacity: The most tokens that it holds, >= 1.
        per_second: The tokens that flow in per second, >= 0.
        clock: Returns monotonic seconds; None means `time.monotonic`.
        name: The name of the policy, for the log; None if it has none.
        kind: What kind of policy it is.

    Raises:
        TypeError: The clock is no synchronous function, or returns no number.
        ValueError: Its reading is not finite.
    """

    __slots__ = ("_clock", "_per_second", "_seen", "_tokens", "capacity")

    def __init__(
        self,
        capacity: float,
        per_second: float,
        clock: Callable[[], float] | None,
        name: str | None = None,
        kind: str = "retry budget",
    ) -> None:
        self.capacity = self._tokens = capacity
        self._per_second = per_second
        self._clock, self._seen = clock_of(name, checked_clock(clock), kind)

    def take(self) -> bool:
        """Take a token; return False if there is none."""
        now = self._clock()
        with STEP:
            self._fill(now)
            if self._tokens < WHOLE:
                return False
            self._tokens -= 1
            return True

    def add(self, tokens: float) -> None:
        """Add tokens; those that do not fit are lost."""
        with STEP:
            held = self._tokens + tokens
            self._tokens = min(held, self.capacity)

    def wait_seconds(self, tokens: int = 1) -> float:
        """Return in how many seconds there will be so many tokens, if no others are taken; 0 if there are now."""
        now = self._clock()
        with STEP:
            self._fill(now)
            return max(0.0, (tokens - self._tokens) / self._per_second)

    def _fill(self, now: float) -> None:
        elapsed = now - self._seen
        if elapsed > 0:
            held = self._tokens + elapsed * self._per_second
            self._tokens = held if held < self.capacity else self.capacity  # noqa: FURB136 - min() takes thrice as long
            self._seen = now
        elif elapsed < 0:
            self._seen = now
