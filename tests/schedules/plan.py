"""The plan of one schedule: a breaker's settings, drawn at random, and what the ends of calls mean under them."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from recloser import (
    CircuitBreaker,
    ConsecutiveFailures,
    CountWindow,
    ExponentialBackoff,
    FailureCount,
    FailureRate,
    SlowCallRate,
    TimeWindow,
)
from recloser._core.trip import TripRule

TOTAL = int(os.environ.get("RECLOSER_SCHEDULES", "10000"))
"""The total number of schedules of all scenarios."""


def share(part: float) -> int:
    """Returns the number of schedules for a share of the total."""
    return max(1, round(TOTAL * part))


LONGER_THAN_ALL = 1e6
"""A time window of this many seconds is longer than any schedule."""

LONGEST_WAIT_SECONDS = 100.0
"""The longest reset timeout and probe timeout."""

MOST_MINIMUM_CALLS = 4
"""The largest number of calls that a rule needs."""

BAD_RESULT = "bad"
ODD_RESULT = "odd"

Rule = ConsecutiveFailures | FailureRate | FailureCount | SlowCallRate
RULES: tuple[TripRule, ...] = (
    ConsecutiveFailures(1),
    ConsecutiveFailures(2),
    ConsecutiveFailures(3),
    ConsecutiveFailures(2, within_seconds=1.5),
    FailureRate(0.5, window=CountWindow(4), minimum_calls=2),
    FailureRate(0.6, window=CountWindow(5), minimum_calls=3),
    FailureRate(0.4, window=TimeWindow(LONGER_THAN_ALL), minimum_calls=3),
    FailureCount(2, window=CountWindow(3)),
    FailureCount(3, window=TimeWindow(LONGER_THAN_ALL)),
    SlowCallRate(0.5, slow_call_seconds=0.5, window=CountWindow(4), minimum_calls=2),
    SlowCallRate(0.6, slow_call_seconds=0.3, window=TimeWindow(LONGER_THAN_ALL), minimum_calls=3),
    ConsecutiveFailures(3) | FailureRate(0.5, window=CountWindow(6), minimum_calls=4),
    FailureCount(4, window=CountWindow(9))
    | SlowCallRate(0.9, slow_call_seconds=0.75, window=CountWindow(3), minimum_calls=2),
    FailureRate(0.6, window=TimeWindow(LONGER_THAN_ALL), minimum_calls=3)
    | SlowCallRate(0.5, slow_call_seconds=0.5, window=TimeWindow(LONGER_THAN_ALL), minimum_calls=4),
)
BACKOFFS = (
    0.0,
    0.3,
    0.5,
    1.0,
    2.0,
    ExponentialBackoff(initial_seconds=0.5, multiplier=2, maximum_seconds=2.0, jitter=0),
)


class AnsweredError(Exception):
    """The dependency refuses, which is an answer."""


class IgnoredError(ConnectionError):
    """Says nothing about the dependency, although its base class would."""


class OddError(ConnectionError):
    """Makes the predicate raise."""


class StopEverything(BaseException):
    """A BaseException that is not an Exception."""


def is_expected(error: BaseException) -> bool:
    """The predicate form of `expected_exception`, which has a bug."""
    if isinstance(error, OddError):
        message = "the predicate itself is broken"
        raise TypeError(message)
    return isinstance(error, ConnectionError)


def is_failed(result: object) -> bool:
    """The predicate on results, which has a bug; a call without a result has nothing to pass to it."""
    if result == ODD_RESULT:
        message = "the predicate itself is broken"
        raise TypeError(message)
    return result == BAD_RESULT


EXPECTED: tuple[Any, ...] = (Exception, ConnectionError, (ConnectionError, LookupError), is_expected)


@dataclass(frozen=True)
class Plan:
    """One drawn set of settings."""

    rule: TripRule
    backoff: float | ExponentialBackoff
    expected: Any
    success_threshold: int
    max_probes: int
    probe_timeout_seconds: float | None
    overdue_after_seconds: float | None
    judges_results: bool
    shadow: bool = False

    @classmethod
    def draw(cls, rng: Random) -> "Plan":
        return cls(
            rule=rng.choice(RULES),
            backoff=rng.choice(BACKOFFS),
            expected=rng.choice(EXPECTED),
            success_threshold=rng.randint(1, 3),
            max_probes=rng.randint(1, 3),
            probe_timeout_seconds=rng.choice((None, 0.5, 1.0, 5.0)),
            overdue_after_seconds=rng.choice((None, None, None, 0.0, 0.75, math.inf)),
            judges_results=rng.random() < 0.3,
            shadow=rng.random() < 0.1,
        )

    def breaker(self, clock: Callable[[], float]) -> CircuitBreaker:
        return CircuitBreaker(clock=clock, **self.options())

    def options(self) -> dict[str, Any]:
        """The settings as arguments for `CircuitBreaker` and `reconfigure`."""
        return {
            "trip_when": self.rule,
            "reset_timeout_seconds": self.backoff,
            "expected_exception": self.expected,
            "ignored_exception": IgnoredError,
            "failed_result": is_failed if self.judges_results else None,
            "success_threshold": self.success_threshold,
            "max_probes": self.max_probes,
            "probe_timeout_seconds": self.probe_timeout_seconds,
            "overdue_after_seconds": self.overdue_after_seconds,
            "shadow": self.shadow,
        }
