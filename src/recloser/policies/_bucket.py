"""A token bucket: https://en.wikipedia.org/wiki/Token_bucket, with a continuous inflow of tokens.

It reads its clock itself, and survives it: a clock that jumps back lets no time pass, one that jumps forward fills the
bucket once, and one that raises, or returns what is no number, stands still.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WHOLE = 1 - 1e-6
"""A token that lacks so little is whole: a sleeper must not wake a hair too early again and again."""


class TokenBucket:
    """Holds tokens that flow in evenly; whoever wants something takes one. Begins full.

    Args:
        capacity: Most tokens that it holds, >= 1.
        per_second: Tokens that flow in per second, >= 0.
        clock: Monotonic seconds.

    Raises:
        TypeError: The clock is no function, or returns no number.
        ValueError: Its reading is not finite.
    """

    __slots__ = ("_clock", "_per_second", "_seen", "_tokens", "capacity")

    def __init__(self, capacity: float, per_second: float, clock: Callable[[], float]) -> None:
        self.capacity = self._tokens = capacity
        self._per_second = per_second
        self._clock = clock
        self._seen = _first_reading(clock)

    def take(self) -> bool:
        """Take a token if there is one; say whether."""
        self._fill()
        if self._tokens < WHOLE:
            return False
        self._tokens -= 1
        return True

    def add(self, tokens: float) -> None:
        """Put tokens in; what does not fit is lost."""
        held = self._tokens + tokens
        self._tokens = min(held, self.capacity)

    def wait_seconds(self, tokens: int = 1) -> float:
        """Return in how many seconds so many tokens will have been there, if nobody takes others; 0 if they are."""
        self._fill()
        return max(0.0, (tokens - self._tokens) / self._per_second)

    def _fill(self) -> None:
        try:
            now = self._clock()
            elapsed = now - self._seen
        except Exception:  # noqa: BLE001 - whatever a user's clock raises; time stands still
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
