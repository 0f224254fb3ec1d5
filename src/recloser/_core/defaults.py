"""What a breaker does by default: it opens after consecutive failures, for a constant time.

The other rules and the other backoff are in `trip.py` and `backoff.py`, which are imported when one of them is used. A
rule is an immutable value that many breakers can share; `rule.meter()` returns a meter for one breaker.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recloser._core import checks
from recloser._core.meters import AnyMeter, Counts, RecentRunMeter, RuleMeter, RunMeter
from recloser._core.values import Value
from recloser._core.windows import MOST_REMEMBERED, NEVER
from recloser._core.wording import plural

if TYPE_CHECKING:
    from random import Random


_run_meter = functools.lru_cache(maxsize=256)(RunMeter)
"""Breakers with the same threshold share a meter."""


class Rule(Value):
    """A trip rule, which can be combined with others by `|`."""

    __slots__ = ()

    def __or__(self, other: object) -> AnyOf:
        """Return a rule that trips when either of the two trips."""
        if not isinstance(other, Rule):
            return NotImplemented
        return AnyOf((*_parts(self), *_parts(other)))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ConsecutiveFailures(Rule):
    """Trips after a number of failures without a success in between.

    Args:
        failures: Number of failures in a row that trips the breaker, >= 1; with `within_seconds`, at most 1 000 000.
        within_seconds: Forget failures that are this old or older (finite, > 0), so that in a breaker with little
            traffic, failures that are hours apart do not add up. Costs at least 8 bytes per remembered failure, and a
            clock reading per failure. By default, failures do not expire.
    """

    failures: int = 5
    within_seconds: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check the number and the duration."""
        object.__setattr__(self, "failures", checks.count("failures", self.failures))
        if self.within_seconds is not None:
            object.__setattr__(self, "within_seconds", checks.seconds("within_seconds", self.within_seconds))
            checks.count("failures", self.failures, most=MOST_REMEMBERED)

    @property
    def threshold(self) -> int:
        """The number of failures that trips the breaker."""
        return self.failures

    def meter(self, counts: Counts) -> RuleMeter:
        """Internal: return a new meter that continues from the given totals."""
        if self.within_seconds is None:
            return _run_meter(self.failures)
        return RecentRunMeter(self.failures, self.within_seconds, counts)

    def __str__(self) -> str:
        """Return when the rule trips, as text."""
        within = "" if self.within_seconds is None else f" within {self.within_seconds:g} s"
        return f"{self.failures} consecutive {plural(self.failures, 'failure')}{within}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AnyOf(Rule):
    """Trips when any of its rules trips; written as `a | b`."""

    rules: tuple[Any, ...]

    @property
    def threshold(self) -> float:
        """The first rule's threshold."""
        threshold: float = self.rules[0].threshold
        return threshold

    def meter(self, counts: Counts) -> RuleMeter:
        """Internal: return a new meter that continues from the given totals."""
        return AnyMeter(tuple(rule.meter(counts) for rule in self.rules))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the rules, which have public names, and not this class, which has none."""
        return functools.reduce, (operator.or_, self.rules)

    def __str__(self) -> str:
        """Return when the rule trips, as text."""
        return " | ".join(str(rule) for rule in self.rules)


def slow_call_limit(rule: Rule) -> float:
    """Return the duration in seconds above which a call is slow for any part of the rule; infinity if there is none."""
    return min(getattr(part, "slow_call_seconds", NEVER) for part in _parts(rule))


def _parts(rule: object) -> tuple[Any, ...]:
    return rule.rules if isinstance(rule, AnyOf) else (rule,)


class ResetTimeout(Value):
    """How long a breaker stays open: the base class of backoffs."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ConstantBackoff(ResetTimeout):
    """The same reset timeout every time; a plain number of seconds means the same.

    Args:
        seconds: Reset timeout in seconds (finite, >= 0).
    """

    seconds: float

    def __post_init__(self) -> None:
        """Check the duration."""
        object.__setattr__(self, "seconds", checks.seconds("seconds", self.seconds, zero=True))

    def open_seconds(self, attempt: int, random: Random) -> float:  # noqa: ARG002 - one protocol for all backoffs
        """Internal: return the reset timeout in seconds for an attempt, counted from 1."""
        return self.seconds

    def __str__(self) -> str:
        """Return the reset timeout as text."""
        return f"{self.seconds:g} s"
