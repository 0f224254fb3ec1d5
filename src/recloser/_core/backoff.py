"""How long a breaker stays open: a constant time, or one that grows with every attempt in a row that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recloser._core import checks

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True)
class ConstantBackoff:
    """The same reset timeout after every opening; the long form of a plain number.

    Args:
        seconds: Reset timeout in seconds, finite and >= 0.
    """

    seconds: float

    def __post_init__(self) -> None:
        """Refuse what is no duration."""
        object.__setattr__(self, "seconds", checks.seconds("seconds", self.seconds, zero=True))

    def open_seconds(self, attempt: int, random: Random) -> float:  # noqa: ARG002 - one protocol for all backoffs
        """Return the reset timeout in seconds after the given attempt, counted from 1."""
        return self.seconds

    def __str__(self) -> str:
        """Say the reset timeout in words."""
        return f"{self.seconds:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialBackoff:
    """A reset timeout that grows by a factor with every attempt in a row that failed, up to a maximum.

    Attempt n stays open for `initial_seconds * multiplier ** (n - 1)` seconds, spread by the jitter and never above the
    maximum. The first opening is attempt 1; every failed probe adds one; closing starts anew.

    Args:
        initial_seconds: Reset timeout of the first attempt in seconds, finite and > 0.
        multiplier: Growth per attempt, finite and >= 1.
        maximum_seconds: Upper bound of the reset timeout in seconds, finite and >= `initial_seconds`.
        jitter: Fraction from 0 to 1 by which the reset timeout is spread evenly to both sides, so that many processes
            do not try again at the same instant; 0.1 means between 90 % and 110 %.
    """

    initial_seconds: float = 1.0
    multiplier: float = 2.0
    maximum_seconds: float = 300.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        """Refuse figures outside their ranges."""
        initial = checks.seconds("initial_seconds", self.initial_seconds)
        maximum = checks.seconds("maximum_seconds", self.maximum_seconds)
        if maximum < initial:
            raise ValueError(f"maximum_seconds must be >= initial_seconds ({initial:g}), not {self.maximum_seconds!r}")
        object.__setattr__(self, "initial_seconds", initial)
        object.__setattr__(self, "maximum_seconds", maximum)
        object.__setattr__(self, "multiplier", checks.number_at_least("multiplier", self.multiplier, 1))
        object.__setattr__(self, "jitter", checks.fraction("jitter", self.jitter))

    def open_seconds(self, attempt: int, random: Random) -> float:
        """Return the reset timeout in seconds after the given attempt, counted from 1."""
        try:
            seconds = self.initial_seconds * self.multiplier ** (attempt - 1)
        except OverflowError:
            seconds = self.maximum_seconds
        seconds = min(seconds, self.maximum_seconds)
        return min(seconds * self._spread(random), self.maximum_seconds)

    def _spread(self, random: Random) -> float:
        """Return the factor of the jitter; 1 if the source of randomness fails: a breaker must open all the same."""
        if not self.jitter:
            return 1.0
        low, high = 1 - self.jitter, 1 + self.jitter
        try:
            factor = random.uniform(low, high)
        except Exception:  # noqa: BLE001 - whatever a user's Random raises
            return 1.0
        return factor if low <= factor <= high else 1.0

    def __str__(self) -> str:
        """Say the reset timeout in words."""
        return f"{self.initial_seconds:g} s, x {self.multiplier:g} per attempt up to {self.maximum_seconds:g} s"


Backoff = ConstantBackoff | ExponentialBackoff
