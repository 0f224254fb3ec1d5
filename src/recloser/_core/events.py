"""The facts that a breaker reports: frozen values, named in the past tense.

They carry errors as text, never the exception objects, so that keeping an event keeps no frames alive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recloser._core.wording import plural

if TYPE_CHECKING:
    from datetime import datetime

    from recloser._core.outcomes import Outcome
    from recloser._core.states import CircuitState, Trigger


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a transition happened, in numbers.

    Attributes:
        trigger: Which row of the transition table it was.
        text: The cause as a part of a sentence.
        rule: The trip rule as text; None where no rule was involved.
        observed: What the rule, or the count of probes, had reached.
        threshold: What it had to reach.
        last_error: Type and message of the failure that opened, None if none did.
        reason: What the caller of `force_open()` gave as the reason.
    """

    trigger: Trigger
    text: str
    rule: str | None = None
    observed: float | None = None
    threshold: float | None = None
    last_error: str | None = None
    reason: str | None = None

    def __str__(self) -> str:
        """Say the cause as a part of a sentence."""
        return self.text if self.last_error is None else f"{self.text}; last error {self.last_error}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A breaker's state and counts at one instant.

    Totals run from the breaker's creation. Every admitted call ends in exactly one of success, failure, ignored,
    cancelled, late and leaked; only a probe that outlives its limit, or its event loop, is counted twice: when
    that is noticed (as failed, or as leaked), and as late when it ends. `failure_rate` and `slow_call_rate` are None
    where they are undefined or not measured; `retry_after` is in seconds, None where no time is known; `opened_at` and
    `changed_at` are readings of the breaker's monotonic clock; `last_error` is type and message of the failure that
    opened, None while closed or disabled.
    """

    state: CircuitState
    generation: int
    rule: str
    threshold: float
    failure_count: int
    failure_rate: float | None
    slow_call_rate: float | None
    retry_after: float | None
    attempt: int
    opened_at: float | None
    changed_at: float
    taken_at: float
    cause: Cause | None
    last_error: str | None
    success_total: int
    failure_total: int
    ignored_total: int
    cancelled_total: int
    rejected_total: int
    late_total: int
    leaked_total: int
    probe_total: int
    probes_in_flight: int
    probes_passed: int
    success_threshold: int

    @property
    def time_in_state_seconds(self) -> float:
        """Seconds since the last transition, or since the creation of the breaker."""
        return max(0.0, self.taken_at - self.changed_at)


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of the machine from a state to the next; as in `StateChanged`."""

    old: CircuitState
    new: CircuitState
    cause: Cause
    snapshot: Snapshot
    monotonic: float
    retry_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events have in common.

    Attributes:
        breaker: Name of the breaker.
        at: Wall-clock time, an aware UTC datetime; for people, never used to decide anything.
        monotonic: Reading of the breaker's clock in seconds.
    """

    breaker: str
    at: datetime
    monotonic: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(Event):
    """The breaker went from one state to another.

    Attributes:
        old: The state that it left.
        new: The state that it is in.
        cause: Why.
        snapshot: The counts before the transition.
        retry_after: Seconds until a call has a chance in the new state, None if unknown.
    """

    old: CircuitState
    new: CircuitState
    cause: Cause
    snapshot: Snapshot
    retry_after: float | None

    def __str__(self) -> str:
        """Say what happened, and why, in a line for a log."""
        return f"Circuit breaker {self.breaker!r} went from {self.old} to {self.new}: {self.cause}"

    def fields(self) -> dict[str, object]:
        """Return what a structured log tells of it: plain values by names that stay as they are."""
        return {
            "circuit_breaker": self.breaker,
            "old_state": self.old.value,
            "new_state": self.new.value,
            "cause": self.cause.trigger.value,
            "rule": self.cause.rule,
            "observed": self.cause.observed,
            "threshold": self.cause.threshold,
            "last_error": self.cause.last_error,
            "reason": self.cause.reason,
            "failure_count": self.snapshot.failure_count,
            "time_in_old_state_seconds": self.snapshot.time_in_state_seconds,
            "retry_after_seconds": self.retry_after,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSucceeded(Event):
    """A call succeeded, or ended with an exception that shows that the dependency answered.

    Attributes:
        generation: The generation that admitted the call.
        duration_seconds: How long the call ran; None if it was admitted before anybody listened.
        is_probe: Whether it was a probe.
    """

    generation: int
    duration_seconds: float | None
    is_probe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFailed(Event):
    """A call failed.

    Attributes:
        generation: The generation that admitted the call.
        duration_seconds: How long the call ran; None if it was admitted before anybody listened.
        is_probe: Whether it was a probe.
        error_type: Qualified name of the exception's type; None without one: a result was judged a failure, or a probe
            ran out of time.
        error_message: The exception's message, at most 200 characters, or what a probe did instead.
    """

    generation: int
    duration_seconds: float | None
    is_probe: bool
    error_type: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallIgnored(Event):
    """A call ended in a way that says nothing about the dependency.

    Attributes:
        generation: The generation that admitted the call.
        duration_seconds: How long the call ran; None if it was admitted before anybody listened.
        is_probe: Whether it was a probe.
        cancelled: Whether it was cancelled.
    """

    generation: int
    duration_seconds: float | None
    is_probe: bool
    cancelled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRejected(Event):
    """A call was not started; with `shadow` it would not have been, and ran all the same.

    Attributes:
        state: The state that rejected it.
        retry_after: Seconds until a call may go through, None if unknown.
        shadow: Whether the breaker only pretends.
    """

    state: CircuitState
    retry_after: float | None
    shadow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAdmitted(Event):
    """A probe was let through; `generation` is that of its half-open episode."""

    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LateOutcome(Event):
    """A call ended after its generation had; it was counted as late and changed nothing else.

    Attributes:
        generation: The generation that had admitted the call.
        outcome: What it would have counted as.
    """

    generation: int
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsDropped(Event):
    """A slow reader of an event stream lost the oldest events.

    Attributes:
        count: How many, since the reader last caught up.
    """

    count: int

    def __str__(self) -> str:
        """Say how many events were lost."""
        return f"{self.count} {plural(self.count, 'event')} of {self.breaker!r} lost: the reader was too slow"
