"""The shape of `health()`: plain values that are ready for JSON.

From the first release on, keys may be added within a version, and none is changed or removed.
"""

from __future__ import annotations

from typing import Final, TypedDict

VERSION: Final = 1


class CauseHealth(TypedDict):
    """Why the last transition of a breaker happened.

    Attributes:
        trigger: The value of the `recloser.events.Trigger`.
        text: The cause as a part of a sentence, for people: its wording may change at any time.
        rule: The trip rule as text; None if no rule was involved.
        observed: The value that the rule has measured, or the number of successful probes.
        threshold: The value that it has reached.
        last_error: Type and cause of the failure that opened the breaker; None if none did.
        error_type: The qualified name of its type; None if it was no exception.
        error_status: The HTTP status that it has; None if it has none.
        peer: The host and the port that the failed call was made to, if an integration knows them.
        reason: The reason that was given for an action by hand.
        author: Who acted by hand, if that was given.
        for_seconds: How long the breaker stays forced open or disabled; None if that has no limit, or it is neither.
    """

    trigger: str
    text: str
    rule: str | None
    observed: float | None
    threshold: float | None
    last_error: str | None
    error_type: str | None
    error_status: int | None
    peer: str | None
    reason: str | None
    author: str | None
    for_seconds: float | None


class ShadowHealth(TypedDict):
    """What a breaker in shadow mode would have done.

    Attributes:
        would_reject: How many calls it would have rejected. All of them ran, and no other total contains them.
        failed: How many of them failed: enforcing would have saved these.
        succeeded: How many of them succeeded: enforcing would have cost these.
    """

    would_reject: int
    failed: int
    succeeded: int


class OutageHealth(TypedDict):
    """The time in which a breaker is not closed, from closed to closed.

    Attributes:
        since: When it began, in ISO 8601.
        seconds: How long it has lasted.
        cause: The first evidence: why the breaker left closed or disabled.
        ended_by: The value of the `recloser.events.Trigger` that ended it; None while it lasts.
        errors: How often each kind of error occurred: in the failure that opened the breaker, and in probes.
        last_error: Type and message of the latest of them; None if there was none.
        error_type: The qualified name of its type; None if it was no exception.
        error_status: Its HTTP status; None if it has none.
        peer: The host and the port that the failed call was made to, if an integration knows them.
        probes: Probes that were admitted in this process.
        probes_passed: Those of them that passed.
        probes_failed: Those of them that failed.
        rejected: Calls that were rejected.
        would_reject: Calls that shadow mode has let through.
    """

    since: str
    seconds: float
    cause: CauseHealth
    ended_by: str | None
    errors: dict[str, int]
    last_error: str | None
    error_type: str | None
    error_status: int | None
    peer: str | None
    probes: int
    probes_passed: int
    probes_failed: int
    rejected: int
    would_reject: int


class BreakerHealth(TypedDict):
    """The state and all counts of a breaker. Totals count from its creation; times are in seconds, shares 0 to 1.

    Attributes:
        state: The value of the `CircuitState`.
        failure_count: The failures that the trip rule counts, of several rules the first one.
        threshold: The first number of the trip rule: a number of failures, or a share.
        rule: The trip rule as text, for people.
        generation: The number of the current state, from 1 on.
        success_total: Calls that succeeded.
        failure_total: Calls that failed.
        ignored_total: Calls that say nothing about the dependency, except cancelled ones.
        cancelled_total: Calls that were cut off from outside, and ignored.
        overdue_total: Calls that were cut off when they were overdue; they are among the failed ones.
        stalled_total: Calls that ran out of time because our own event loop stood still; they are among the ignored and
            the cancelled ones.
        rejected_total: Calls that were rejected; those that shadow mode has let through are in `shadow`.
        late_total: Calls that ended after their generation.
        leaked_total: Calls whose permit was dropped without being settled.
        probe_total: Calls that were admitted as probes.
        failure_rate: The share of failed calls; None if it is undefined or not measured.
        slow_call_rate: The share of slow calls; None if it is undefined or not measured.
        retry_after: Seconds until a call may be admitted; None if unknown.
        opened_at: When the outage began, in ISO 8601; None while the breaker is closed or disabled.
        time_in_state_seconds: Seconds since the last transition, or since the creation of the breaker; in the health of
            a registry None if a clock has run beyond all numbers.
        cause: Why the last transition happened; None if there was none.
        probes_in_flight: Probes that are running.
        shadow: What the breaker would have rejected, and how that ended; None unless the breaker is in shadow mode.
        outage: The outage that goes on; None while the breaker is closed or disabled.
        outages: The latest outages that have ended, at most three, the latest last.
    """

    state: str
    failure_count: int
    threshold: float
    rule: str
    generation: int
    success_total: int
    failure_total: int
    ignored_total: int
    cancelled_total: int
    overdue_total: int
    stalled_total: int
    rejected_total: int
    late_total: int
    leaked_total: int
    probe_total: int
    failure_rate: float | None
    slow_call_rate: float | None
    retry_after: float | None
    opened_at: str | None
    time_in_state_seconds: float | None
    cause: CauseHealth | None
    probes_in_flight: int
    shadow: ShadowHealth | None
    outage: OutageHealth | None
    outages: list[OutageHealth]


class EventLoopHealth(TypedDict):
    """How the event loops of this process have kept up, while breakers were used in them.

    A loop that stands still cuts calls off that its dependencies have answered. Where these figures grow, look at this
    process: at functions that block the loop, and at its CPU time.

    Attributes:
        lag_seconds: How late a loop is right now, of several loops the latest one.
        stalls_total: How often a loop stood still, for at least a tenth of a second.
        stalled_seconds: For how long, all in all.
        longest_stall_seconds: The longest time.
    """

    lag_seconds: float
    stalls_total: int
    stalled_seconds: float
    longest_stall_seconds: float


class RegistryHealth(TypedDict):
    """The health of all breakers of a registry.

    Attributes:
        version: The version of the shape, 1.
        timestamp: When it was read, in ISO 8601 and UTC.
        event_loops: How the event loops of this process have kept up.
        breakers: The health of each breaker by name.
    """

    version: int
    timestamp: str
    event_loops: EventLoopHealth
    breakers: dict[str, BreakerHealth]
