"""The facts that a breaker reports: immutable values, named in the past tense.

They contain errors as text and never as exception objects, so an event that you keep doesn't keep any frames alive.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass
from datetime import UTC, datetime
from inspect import get_annotations
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, cast, dataclass_transform

from recloser._core.cause import Cause  # noqa: TC001 - here and below: for tools that evaluate the annotations
from recloser._core.outage import Outage  # noqa: TC001
from recloser._core.outcomes import Outcome  # noqa: TC001
from recloser._core.shadow import NO_SHADOW_CALLS, ShadowCalls
from recloser._core.states import CircuitState
from recloser._core.values import Value
from recloser._core.wording import plural

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Snapshot(Value):
    """A breaker's state and counts at one time.

    Totals count from the breaker's creation. Every admitted call ends as exactly one of success, failure, ignored,
    cancelled, late and leaked. There is one exception: a probe that outlives its limit or its event loop counts twice,
    once as failed or leaked when the breaker notices, and once as late when it ends.

    Of the calls that were cut off from outside, `overdue_total` counts the overdue ones, which are among the failures,
    and `cancelled_total` the ignored ones.

    `failure_rate` and `slow_call_rate` are None if they are undefined or not measured. `retry_after` is in seconds, or
    None if the time is not known. `opened_monotonic`, `changed_monotonic` and `taken_monotonic` are readings of the
    breaker's clock. `last_error` is the type and message of the failure that opened the breaker, or None while it is
    closed or disabled. `shadow` is whether the breaker is in shadow mode, and `shadow_calls` what it would have
    rejected in that mode since its creation. `outage` is the outage that goes on, if the breaker is not closed or
    disabled, and `opened_monotonic` is when it began.
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
    opened_monotonic: float | None
    changed_monotonic: float
    taken_monotonic: float
    cause: Cause | None
    last_error: str | None
    success_total: int
    failure_total: int
    ignored_total: int
    cancelled_total: int
    overdue_total: int
    rejected_total: int
    late_total: int
    leaked_total: int
    probe_total: int
    probes_in_flight: int
    probes_passed: int
    success_threshold: int
    shadow: bool = False
    shadow_calls: ShadowCalls = NO_SHADOW_CALLS
    outage: Outage | None = None

    @property
    def time_in_state_seconds(self) -> float:
        """Seconds since the last transition, or since the creation of the breaker."""
        return max(0.0, self.taken_monotonic - self.changed_monotonic)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Transition(Value):
    """One step of the machine from one state to the next; the fields are those of `StateChanged`."""

    old: CircuitState
    new: CircuitState
    cause: Cause
    snapshot: Snapshot
    monotonic: float
    retry_after: float | None
    outage: Outage | None = None


C = TypeVar("C", bound=type)


@dataclass_transform(kw_only_default=True, frozen_default=True)
def _event(cls: C) -> C:
    """Make a class a frozen dataclass that is quick to create, for those who know how it stores its fields.

    A frozen dataclass replaces the assignment of attributes, which makes it slow even for who creates an object. Here
    each field is stored in a slot of its own, `breaker_` for `breaker`, and read through a property that can be set
    once. So `records.event_of()` fills the slots at full speed, and everybody else sees a frozen dataclass. A Unix time
    in the slot of `at` becomes a `datetime` when somebody asks for it.
    """
    made: C = cast("Any", dataclass(slots=True, kw_only=True, eq=False, repr=False))(cls)
    for name in get_annotations(made):
        slot = f"{name}_"
        setattr(made, slot, getattr(made, name))
        setattr(made, name, property(_read_at if name == "at" else attrgetter(slot), _setter(name), doc=f"`{name}`."))
    return made


def _read_at(event: object) -> datetime:
    at: datetime | float = getattr(event, "at_")  # noqa: B009 - type checkers don't know the slots
    if not isinstance(at, datetime):
        at = datetime.fromtimestamp(at, UTC)
        setattr(event, "at_", at)  # noqa: B010 - as above
    return at


def _setter(name: str) -> Callable[[object, object], None]:
    slot = f"{name}_"

    def set_once(event: object, value: object) -> None:
        if hasattr(event, slot):
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        setattr(event, slot, value)

    return set_once


@_event
class Event(Value):
    """The base class of all events.

    Attributes:
        breaker: The name of the breaker.
        at: The wall-clock time, as an aware UTC datetime; it is for people and never affects a decision.
        monotonic: The reading of the breaker's clock in seconds.
    """

    breaker: str
    at: datetime
    monotonic: float


@_event
class StateChanged(Event):
    """The breaker went from one state to another.

    Attributes:
        old: The state that it left.
        new: The state that it is in.
        cause: Why.
        snapshot: The counts before the transition.
        retry_after: Seconds until a call has a chance in the new state; None if unknown.
        outage: The outage that the transition begins, continues or ends; None if it does nothing of that.
    """

    old: CircuitState
    new: CircuitState
    cause: Cause
    snapshot: Snapshot
    retry_after: float | None
    outage: Outage | None

    def __str__(self) -> str:
        """Return a line for a log: what happened, and why."""
        line, values = self.log_line()
        return line % values

    def log_line(self) -> tuple[str, tuple[object, ...]]:
        """Return that line as a format and its values: tools that collect logs group records by the format."""
        mode = " in shadow mode" if self.snapshot.shadow else ""
        line = f"Circuit breaker %r{mode} went from %s to %s: %s"
        return line, (self.breaker, self.old, self.new, f"{self.cause}{self._course()}")

    def _course(self) -> str:
        """Say what has happened in the outage so far, unless it has just begun."""
        outage = self.outage
        if outage is None or outage.cause is self.cause or self.new is CircuitState.HALF_OPEN:
            return ""
        events = f"; {text}" if (text := str(outage)) else ""
        if outage.ended_by is None:
            return f"; the outage has lasted {outage.seconds:.1f} s and began with: {outage.cause.text}{events}"
        return f"; the outage lasted {outage.seconds:.1f} s{events}"

    def fields(self) -> dict[str, object]:
        """Return the fields for a structured log: plain values with stable names."""
        return {
            "circuit_breaker": self.breaker,
            "old_state": self.old.value,
            "new_state": self.new.value,
            "cause": self.cause.trigger.value,
            "rule": self.cause.rule,
            "observed": self.cause.observed,
            "threshold": self.cause.threshold,
            "last_error": None if self.cause.last_error is None else str(self.cause.last_error),
            "error_type": self.cause.error_type,
            "error_status": self.cause.error_status,
            "peer": self.cause.peer,
            "reason": self.cause.reason,
            "author": self.cause.author,
            "failure_count": self.snapshot.failure_count,
            "time_in_old_state_seconds": self.snapshot.time_in_state_seconds,
            "retry_after_seconds": self.retry_after,
            "shadow": self.snapshot.shadow,
            "outage_seconds": None if self.outage is None else self.outage.seconds,
            "outage_rejections": None if self.outage is None else self.outage.rejected,
            "outage_failed_probes": None if self.outage is None else self.outage.probes_failed,
        }

    @property
    def rejects(self) -> bool:
        """Whether the breaker rejects calls from now on: it has opened, and is not in shadow mode."""
        return self.new in (CircuitState.OPEN, CircuitState.FORCED_OPEN) and not self.snapshot.shadow


@_event
class CallSucceeded(Event):
    """A call succeeded, or ended with an exception that shows that the dependency answered.

    Attributes:
        generation: The generation that admitted the call.
        duration_seconds: How long the call ran; None if it was admitted before somebody listened to successes.
        is_probe: Whether it was a probe.
    """

    generation: int
    duration_seconds: float | None
    is_probe: bool


@_event
class CallFailed(Event):
    """A call failed.

    Attributes:
        generation: The generation that admitted the call.
        duration_seconds: How long the call ran; None if the breaker did not time it when it was admitted. It times
            probes, and all calls while somebody listens to `CallSucceeded` or measures durations, and with a
            `SlowCallRate` or `overdue_after_seconds`.
        is_probe: Whether it was a probe.
        error_type: The qualified name of the exception's type; None if there was no exception, because a result counted
            as a failure or a probe exceeded its limit.
        error_message: What is known about the exception besides its type, at most 200 characters; or what the probe
            did.
        peer: The host and the port that were called, `api.example:443`, if an integration knows them.
    """

    generation: int
    duration_seconds: float | None
    is_probe: bool
    error_type: str | None
    error_message: str | None
    peer: str | None = None


@_event
class CallIgnored(Event):
    """A call ended in a way that says nothing about the dependency.

    Attributes:
        generation: The generation that admitted the call.
        duration_seconds: How long the call ran; None if the breaker did not time it when it was admitted. It times
            probes, and all calls while somebody listens to `CallSucceeded` or measures durations, and with a
            `SlowCallRate` or `overdue_after_seconds`.
        is_probe: Whether it was a probe.
        cancelled: Whether it was cancelled.
    """

    generation: int
    duration_seconds: float | None
    is_probe: bool
    cancelled: bool


@_event
class CallRejected(Event):
    """A call was rejected and not started; with `shadow`, it runs, and a `ShadowOutcome` says how it ended.

    Attributes:
        state: The state that rejected it.
        retry_after: Seconds until a call has a chance; None if unknown.
        shadow: Whether the breaker is in shadow mode.
    """

    state: CircuitState
    retry_after: float | None
    shadow: bool


@_event
class ProbeAdmitted(Event):
    """A probe was admitted; `generation` is that of its half-open episode."""

    generation: int


@_event
class LateOutcome(Event):
    """A call ended after its generation; it counts as late and changes nothing else.

    Only the success of a probe that has run out of time may close the breaker.

    Attributes:
        generation: The generation that admitted the call.
        outcome: What it would have counted as.
    """

    generation: int
    outcome: Outcome


@_event
class ShadowOutcome(Event):
    """A call ended that a breaker in shadow mode would have rejected; it changes nothing else.

    Attributes:
        generation: The generation that would have rejected it.
        outcome: What it would have counted as.
        duration_seconds: How long the call ran; None if it never began, because what was called is no function.
        error_type: The qualified name of the exception's type; None if there was no exception.
        error_message: The exception's message, at most 200 characters.
    """

    generation: int
    outcome: Outcome
    duration_seconds: float | None
    error_type: str | None
    error_message: str | None


@_event
class EventsDropped(Event):
    """A slow reader of an event stream lost the oldest events.

    Attributes:
        count: How many events were lost since the reader last caught up.
    """

    count: int

    def __str__(self) -> str:
        """Return how many events were lost, as text."""
        return f"{self.count} {plural(self.count, 'event')} of {self.breaker!r} lost: the reader was too slow"
