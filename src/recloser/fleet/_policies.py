"""What a breaker's settings mean in a fleet: the numbers of its policy, and the rules that the fleet evaluates.

The store evaluates rules over a time window on the sums of all workers. Under all other rules, each worker's own rule
decides and opens that worker, which then votes. A worker also votes if a rule over a time window has opened it on its
own calls alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from recloser._core.backoff import ExponentialBackoff
from recloser._core.defaults import AnyOf, ConsecutiveFailures
from recloser._core.trip import FailureCount, FailureRate
from recloser._core.windows import TimeWindow
from recloser.fleet._store.values import MOST_BUCKETS, FleetPolicy, FleetRule, HitKind, microseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recloser._core.settings import Settings


class CountedRule(NamedTuple):
    """A rule that the store evaluates on the sums of all workers.

    Attributes:
        rule: The rule as the store knows it.
        slow_call_seconds: A call that takes longer is a hit; None where failures are the hits.
    """

    rule: FleetRule
    slow_call_seconds: float | None


def counted_rules(settings: Settings) -> tuple[CountedRule, ...]:
    """Return the parts of the trip rule that look at a time window."""
    return tuple(_counted_rules(settings))


def _counted_rules(settings: Settings) -> Iterator[CountedRule]:
    trip_when = settings.trip_when
    for part in trip_when.rules if isinstance(trip_when, AnyOf) else (trip_when,):
        if isinstance(part, ConsecutiveFailures) or not isinstance(window := part.window, TimeWindow):
            continue
        length, buckets = microseconds(window.seconds), min(window.buckets, MOST_BUCKETS)
        if isinstance(part, FailureCount):
            yield CountedRule(FleetRule(window_us=length, buckets=buckets, count=part.failures), None)
        elif isinstance(part, FailureRate):
            rule = FleetRule(window_us=length, buckets=buckets, rate=part.rate, minimum_calls=part.minimum_calls)
            yield CountedRule(rule, None)
        else:
            rule = FleetRule(
                hit_kind=HitKind.SLOW_CALLS,
                window_us=length,
                buckets=buckets,
                rate=part.rate,
                minimum_calls=part.minimum_calls,
            )
            yield CountedRule(rule, part.slow_call_seconds)


def policy_of(settings: Settings, open_seconds: float, *, quorum: int, lease_seconds: float) -> FleetPolicy:
    """Return the policy of a breaker for an operation that may open the fleet for the given time.

    The breaker computes each reset timeout itself, from its backoff and the number of attempts, which the fleet shares.
    """
    backoff = settings.backoff
    longest = backoff.maximum_seconds if isinstance(backoff, ExponentialBackoff) else backoff.seconds
    open_us = microseconds(open_seconds)
    return FleetPolicy(
        open_us=open_us,
        max_open_us=max(open_us, microseconds(longest)),
        lease_us=max(1, microseconds(lease_seconds)),
        quorum=quorum,
        success_threshold=settings.success_threshold,
    )


def check_settings(settings: Settings) -> None:
    """Refuse settings that a fleet can't keep.

    Raises:
        ValueError: The message names the setting, its value and the range.
    """
    if settings.max_probes > 1:
        raise ValueError(f"max_probes must be 1 in a fleet, which makes one probe at a time, not {settings.max_probes}")
