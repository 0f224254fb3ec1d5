"""When to open: the trip rules.

A rule is an immutable value that many breakers can share; `rule.meter()` makes what one breaker counts on. `a | b`
trips on either. All comparisons are `>=`; a rate is undefined, and trips nothing, below `minimum_calls`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from recloser._core import checks
from recloser._core.meters import (
    AnyMeter,
    Counts,
    FailureCountMeter,
    FailureRateMeter,
    RecentRunMeter,
    RuleMeter,
    RunMeter,
    SlowCallRateMeter,
)
from recloser._core.windows import MOST_REMEMBERED, NEVER, CountWindow, TimeWindow, Window
from recloser._core.wording import percent, plural


class _Combinable:
    """A rule that can be joined to others with `|`."""

    __slots__ = ()

    def __or__(self, other: object) -> AnyOf:
        """Return a rule that trips when either does."""
        if not isinstance(other, TripRule):
            return NotImplemented
        return AnyOf((*_parts(self), *_parts(other)))


@dataclass(frozen=True, slots=True)
class ConsecutiveFailures(_Combinable):
    """Trips after a number of failures without a success in between.

    Args:
        failures: Length of the run that trips, >= 1, with `within_seconds` at most 1 000 000.
        within_seconds: If given (finite, > 0), failures this old or older are forgotten, so that failures hours apart
            in a breaker with little traffic do not add up. Costs 8 bytes and more per failure remembered and a clock
            reading per failure.
    """

    failures: int = 5
    within_seconds: float | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what is no count or no duration."""
        object.__setattr__(self, "failures", checks.count("failures", self.failures))
        if self.within_seconds is not None:
            object.__setattr__(self, "within_seconds", checks.seconds("within_seconds", self.within_seconds))
            checks.count("failures", self.failures, most=MOST_REMEMBERED)

    @property
    def threshold(self) -> int:
        """The number of failures that trips."""
        return self.failures

    def meter(self, counts: Counts) -> RuleMeter:
        """Return a new meter that counts on from the given totals."""
        if self.within_seconds is None:
            return RunMeter(self.failures, counts)
        return RecentRunMeter(self.failures, self.within_seconds, counts)

    def __str__(self) -> str:
        """Say when the rule trips."""
        within = "" if self.within_seconds is None else f" within {self.within_seconds:g} s"
        return f"{self.failures} consecutive {plural(self.failures, 'failure')}{within}"


@dataclass(frozen=True, slots=True)
class FailureRate(_Combinable):
    """Trips when the share of failures in a window reaches a rate.

    Args:
        rate: Share of failed calls that trips, 0 < rate <= 1.
        window: `CountWindow` or `TimeWindow`.
        minimum_calls: The rate is undefined below this many calls in the window, >= 1 and at most the size of a count
            window.
    """

    rate: float = 0.5
    window: Window = field(default=CountWindow(100), kw_only=True)
    minimum_calls: int = field(default=20, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse figures outside their ranges."""
        _check_rate_rule(self)

    @property
    def threshold(self) -> float:
        """The rate that trips."""
        return self.rate

    def meter(self, counts: Counts) -> RuleMeter:
        """Return a new meter that counts on from the given totals."""
        return FailureRateMeter(self.rate, self.minimum_calls, self.window.ring(counts.successes))

    def __str__(self) -> str:
        """Say when the rule trips."""
        return f"failure rate of {percent(self.rate)} in {self.window}, from {self.minimum_calls} calls on"


@dataclass(frozen=True, slots=True)
class FailureCount(_Combinable):
    """Trips when the number of failures in a window reaches a threshold.

    Args:
        failures: Number of failures that trips, >= 1 and at most the size of a count window.
        window: `TimeWindow` or `CountWindow`.
    """

    failures: int = 5
    window: Window = field(default=TimeWindow(60), kw_only=True)

    def __post_init__(self) -> None:
        """Refuse figures outside their ranges."""
        object.__setattr__(self, "failures", checks.count("failures", self.failures))
        _check_fits("failures", self.failures, _check_window(self.window))

    @property
    def threshold(self) -> int:
        """The number of failures that trips."""
        return self.failures

    def meter(self, counts: Counts) -> RuleMeter:
        """Return a new meter that counts on from the given totals."""
        return FailureCountMeter(self.failures, self.window, counts)

    def __str__(self) -> str:
        """Say when the rule trips."""
        return f"{self.failures} {plural(self.failures, 'failure')} in {self.window}"


@dataclass(frozen=True, slots=True)
class SlowCallRate(_Combinable):
    """Trips when the share of slow calls in a window reaches a rate, whether they succeeded or failed.

    Args:
        rate: Share of slow calls that trips, 0 < rate <= 1.
        slow_call_seconds: A call longer than this (strictly) is slow, finite and > 0. A probe that is slow counts
            as a failed one.
        window: `CountWindow` or `TimeWindow`.
        minimum_calls: The rate is undefined below this many calls in the window, >= 1 and at most the size of a count
            window.
    """

    rate: float = 0.5
    slow_call_seconds: float = field(kw_only=True)
    window: Window = field(default=CountWindow(100), kw_only=True)
    minimum_calls: int = field(default=20, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse figures outside their ranges."""
        object.__setattr__(self, "slow_call_seconds", checks.seconds("slow_call_seconds", self.slow_call_seconds))
        _check_rate_rule(self)

    @property
    def threshold(self) -> float:
        """The rate that trips."""
        return self.rate

    def meter(self, counts: Counts) -> RuleMeter:
        """Return a new meter that counts on from the given totals."""
        return SlowCallRateMeter(self.rate, self.minimum_calls, self.slow_call_seconds, self.window, counts)

    def __str__(self) -> str:
        """Say when the rule trips."""
        slow = f"calls longer than {self.slow_call_seconds:g} s"
        return f"{percent(self.rate)} {slow} in {self.window}, from {self.minimum_calls} calls on"


@dataclass(frozen=True, slots=True)
class AnyOf(_Combinable):
    """Trips when any of its rules does; written `a | b`."""

    rules: tuple[ConsecutiveFailures | FailureRate | FailureCount | SlowCallRate, ...]

    @property
    def threshold(self) -> float:
        """The first rule's threshold."""
        return self.rules[0].threshold

    def meter(self, counts: Counts) -> RuleMeter:
        """Return a new meter that counts on from the given totals."""
        return AnyMeter(tuple(rule.meter(counts) for rule in self.rules))

    def __str__(self) -> str:
        """Say when the rule trips."""
        return " | ".join(str(rule) for rule in self.rules)


TripRule = ConsecutiveFailures | FailureRate | FailureCount | SlowCallRate | AnyOf


def slow_call_limit(rule: TripRule) -> float:
    """Return the duration in seconds above which a call is slow for any part of the rule, infinity if for none."""
    return min((part.slow_call_seconds for part in _parts(rule) if isinstance(part, SlowCallRate)), default=NEVER)


def _parts(rule: object) -> tuple[Any, ...]:
    return rule.rules if isinstance(rule, AnyOf) else (rule,)


def _check_rate_rule(rule: FailureRate | SlowCallRate) -> None:
    object.__setattr__(rule, "rate", checks.rate("rate", rule.rate))
    object.__setattr__(rule, "minimum_calls", checks.count("minimum_calls", rule.minimum_calls))
    _check_fits("minimum_calls", rule.minimum_calls, _check_window(rule.window))


def _check_window(window: object) -> Window:
    if not isinstance(window, CountWindow | TimeWindow):
        raise TypeError(f"window must be a CountWindow or a TimeWindow, not {window!r}")
    return window


def _check_fits(argument: str, value: int, window: Window) -> None:
    if isinstance(window, CountWindow) and value > window.size:
        raise ValueError(
            f"{argument} must be <= the window's size ({window.size}), not {value}: the rule could never trip"
        )
