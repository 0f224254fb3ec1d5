"""How long a breaker stays open: a constant time, or a time that grows with each failed attempt in a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recloser._core import checks
from recloser._core.defaults import ConstantBackoff, ResetTimeout
from recloser._core.homes import publish

if TYPE_CHECKING:
    from random import Random

__all__ = ["Backoff", "ExponentialBackoff"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ExponentialBackoff(ResetTimeout):
    """A reset timeout that grows by a factor with each failed attempt in a row, up to a maximum.

    In attempt n, the breaker stays open for `initial_seconds * multiplier ** (n - 1)` seconds, varied by the jitter and
    never longer than the maximum. The first opening is attempt 1, each failed probe adds one, and closing starts again.

    Args:
        initial_seconds: Reset timeout of the first attempt in seconds (finite, > 0).
        multiplier: Growth per attempt (finite, >= 1).
        maximum_seconds: Longest reset timeout in seconds (finite, >= `initial_seconds`).
        jitter: Fraction from 0 to 1 by which the reset timeout varies randomly in both directions, so that many
            processes do not probe at the same time; 0.1 means 90 % to 110 %.
    """

    initial_seconds: float = 1.0
    multiplier: float = 2.0
    maximum_seconds: float = 300.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        """Check all values."""
        initial = checks.seconds("initial_seconds", self.initial_seconds)
        maximum = checks.seconds("maximum_seconds", self.maximum_seconds)
        if maximum < initial:
            raise ValueError(f"maximum_seconds must be >= initial_seconds ({initial:g}), not {self.maximum_seconds!r}")
        object.__setattr__(self, "initial_seconds", initial)
        object.__setattr__(self, "maximum_seconds", maximum)
        object.__setattr__(self, "multiplier", checks.number_at_least("multiplier", self.multiplier, 1))
        object.__setattr__(self, "jitter", checks.fraction("jitter", self.jitter))

    def open_seconds(self, attempt: int, random: Random) -> float:
        """Internal: return the reset timeout in seconds for an attempt, counted from 1."""
        try:
            seconds = self.initial_seconds * self.multiplier ** (attempt - 1)
        except OverflowError:
            seconds = self.maximum_seconds
        seconds = min(seconds, self.maximum_seconds)
        return min(seconds * self._spread(random), self.maximum_seconds)

    def _spread(self, random: Random) -> float:
        """Return the factor of the jitter; 1 if the random generator fails, because the breaker must still open."""
        if not self.jitter:
            return 1.0
        low, high = 1 - self.jitter, 1 + self.jitter
        try:
            factor = random.uniform(low, high)
        except Exception:  # noqa: BLE001 - a user's Random can raise anything
            return 1.0
        return factor if low <= factor <= high else 1.0

    def __str__(self) -> str:
        """Return the reset timeout as text."""
        return f"{self.initial_seconds:g} s, x {self.multiplier:g} per attempt up to {self.maximum_seconds:g} s"


Backoff = ConstantBackoff | ExponentialBackoff


publish(globals(), home="recloser")
