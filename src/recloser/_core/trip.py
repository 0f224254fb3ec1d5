"""The trip rules: when a breaker opens.

A rule is an immutable value that many breakers can share; `rule.meter()` returns a meter for one breaker. `a | b` trips
when either rule trips. All comparisons are `>=`. Below `minimum_calls`, a rate is undefined and trips nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from recloser._core import checks
from recloser._core.defaults import AnyOf, ConsecutiveFailures, Rule
from recloser._core.homes import publish
from recloser._core.meters import Counts, FailureCountMeter, FailureRateMeter, RuleMeter, SlowCallRateMeter
from recloser._core.windows import CountWindow, TimeWindow, Window
from recloser._core.wording import percent, plural

__all__ = ["ConsecutiveFailures", "FailureCount", "FailureRate", "SlowCallRate", "TripRule"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FailureRate(Rule):
    """Trips when the share of failures in a window reaches a rate.

    Args:
        rate: Share of failed calls that trips the breaker, 0 < rate <= 1.
        window: `CountWindow` or `TimeWindow`.
        minimum_calls: Below this many calls in the window, the rate is undefined; >= 1 and at most the size of a count
            window.
    """

    rate: float = 0.5
    window: CountWindow | TimeWindow = field(default=CountWindow(100), kw_only=True)
    minimum_calls: int = field(default=20, kw_only=True)

    def __post_init__(self) -> None:
        """Check all values."""
        _check_rate_rule(self)

    @property
    def threshold(self) -> float:
        """The rate that trips the breaker."""
        return self.rate

    def meter(self, counts: Counts) -> RuleMeter:
        """Internal: return a new meter that continues from the given totals."""
        return FailureRateMeter(self.rate, self.minimum_calls, self.window, counts)

    def __str__(self) -> str:
        """Return when the rule trips, as text."""
        return f"failure rate of {percent(self.rate)} in {self.window}, from {self.minimum_calls} calls on"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FailureCount(Rule):
    """Trips when the number of failures in a window reaches a threshold.

    Args:
        failures: Number of failures that trips the breaker, >= 1 and at most the size of a count window.
        window: `TimeWindow` or `CountWindow`.
    """

    failures: int = 5
    window: CountWindow | TimeWindow = field(default=TimeWindow(60), kw_only=True)

    def __post_init__(self) -> None:
        """Check all values."""
        object.__setattr__(self, "failures", checks.count("failures", self.failures))
        _check_fits("failures", self.failures, _check_window(self.window))

    @property
    def threshold(self) -> int:
        """The number of failures that trips the breaker."""
        return self.failures

    def meter(self, counts: Counts) -> RuleMeter:
        """Internal: return a new meter that continues from the given totals."""
        return FailureCountMeter(self.failures, self.window, counts)

    def __str__(self) -> str:
        """Return when the rule trips, as text."""
        return f"{self.failures} {plural(self.failures, 'failure')} in {self.window}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SlowCallRate(Rule):
    """Trips when the share of slow calls in a window reaches a rate, whether they succeeded or failed.

    Args:
        rate: Share of slow calls that trips the breaker, 0 < rate <= 1.
        slow_call_seconds: A call that takes strictly longer than this is slow (finite, > 0). A slow probe counts as
            failed.
        window: `CountWindow` or `TimeWindow`.
        minimum_calls: Below this many calls in the window, the rate is undefined; >= 1 and at most the size of a count
            window.
    """

    rate: float = 0.5
    slow_call_seconds: float = field(kw_only=True)
    window: CountWindow | TimeWindow = field(default=CountWindow(100), kw_only=True)
    minimum_calls: int = field(default=20, kw_only=True)

    def __post_init__(self) -> None:
        """Check all values."""
        object.__setattr__(self, "slow_call_seconds", checks.seconds("slow_call_seconds", self.slow_call_seconds))
        _check_rate_rule(self)

    @property
    def threshold(self) -> float:
        """The rate that trips the breaker."""
        return self.rate

    def meter(self, counts: Counts) -> RuleMeter:
        """Internal: return a new meter that continues from the given totals."""
        return SlowCallRateMeter(self.rate, self.minimum_calls, self.slow_call_seconds, self.window, counts)

    def __str__(self) -> str:
        """Return when the rule trips, as text."""
        slow = f"calls longer than {self.slow_call_seconds:g} s"
        return f"{percent(self.rate)} {slow} in {self.window}, from {self.minimum_calls} calls on"


TripRule = ConsecutiveFailures | FailureRate | FailureCount | SlowCallRate | AnyOf


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


publish(globals(), home="recloser")
