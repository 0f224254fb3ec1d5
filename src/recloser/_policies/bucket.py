"""A token bucket: https://en.wikipedia.org/wiki/Token_bucket, with a continuous inflow of tokens.

It reads its clock itself and tolerates a faulty one: if the clock jumps back, no time passes; if it jumps forward, the
bucket is filled once; if it raises or returns no number, time stands still.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WHOLE = 1 - 1e-6
"""The share of a token that counts as a whole one, so that a waiter does not wake up slightly too early, repeatedly."""


class TokenBucket:
    """Holds tokens that flow in at a constant rate. It starts full.

    Args:
        capacity: The most tokens that it holds, >= 1.
        per_second: The tokens that flow in per second, >= 0.
        clock: Returns monotonic seconds; None means `time.monotonic`.

    Raises:
        TypeError: The clock is no function, or returns no number.
        ValueError: Its reading is not finite.
    """

    __slots__ = ("_clock", "_per_second", "_seen", "_tokens", "capacity")

    def __init__(self, capacity: float, per_second: float, clock: Callable[[], float] | None) -> None:
        self.capacity = self._tokens = capacity
        self._per_second = per_second
        self._clock = time.monotonic if clock is None else clock
        self._seen = _first_reading(self._clock)

    def take(self) -> bool:
        """Take a token; return False if there is none."""
        self._fill()
        if self._tokens < WHOLE:
            return False
        self._tokens -= 1
        return True

    def add(self, tokens: float) -> None:
        """Add tokens; those that do not fit are lost."""
        held = self._tokens + tokens
        self._tokens = min(held, self.capacity)

    def wait_seconds(self, tokens: int = 1) -> float:
        """Return in how many seconds there will be so many tokens, if no others are taken; 0 if there are now."""
        self._fill()
        return max(0.0, (tokens - self._tokens) / self._per_second)

    def _fill(self) -> None:
        try:
            now = self._clock()
            elapsed = now - self._seen
        except Exception:  # noqa: BLE001 - a user's clock may raise anything; time stands still
            return
        if elapsed > 0:
            held = self._tokens + elapsed * self._per_second
            self._tokens = held if held < self.capacity else self.capacity  # noqa: FURB136 - min() takes thrice as long
            self._seen = now
        elif elapsed < 0:
            self._seen = now


def _first_reading(clock: Callable[[], float]) -> float:
    if not callable(clock):
        raise TypeError(f"clock must be a function that returns monotonic seconds, not {clock!r}")
    reading = clock()
    if isinstance(reading, bool) or not isinstance(reading, int | float):
        raise TypeError(f"clock must return a finite number of seconds, not {reading!r}")
    if not math.isfinite(reading):
        raise ValueError(f"clock must return a finite number of seconds, not {reading!r}")
    return reading
