"""Records of what happened to single calls, from which events are made for those who want events.

A record is a tuple: the kind of the event, the name of the breaker, the Unix time, the reading of the breaker's clock,
and the values of the kind's own fields, in their order. It is made in a fraction of the time of an event, and a stream
that is not read never needs the events.
"""

from __future__ import annotations

from dataclasses import fields
from time import time as wall_clock
from typing import TYPE_CHECKING, Any

from recloser._breaker.taking_down import error_of
from recloser._core.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Event,
    LateOutcome,
    ProbeAdmitted,
    ShadowOutcome,
)
from recloser._core.outcomes import Outcome
from recloser._core.tickets import Probe, ShadowCall, Ticket

if TYPE_CHECKING:
    from recloser._breaker.taking_down import Described
    from recloser._core.states import CircuitState

Record = tuple[Any, ...]
"""A tuple as described above."""

KIND_OF_END: dict[Outcome, type[Event]] = {
    Outcome.SUCCESS: CallSucceeded,
    Outcome.FAILURE: CallFailed,
    Outcome.IGNORED: CallIgnored,
}
"""The kind of event that reports the outcome of a call, unless it is late."""


def call_ended(
    breaker: Described,
    now: float,
    ticket: Ticket,
    outcome: Outcome,
    duration: float | None,
    *,
    exc: BaseException | None = None,
    text: str | None = None,
    cancelled: bool = False,
) -> Record:
    """Return the record of a call that ended in its own generation.

    Args:
        breaker: The engine of the breaker.
        now: The reading of its clock.
        ticket: The ticket of the call.
        outcome: What the call counted as.
        duration: How long it ran, in seconds, if that is known.
        exc: The exception that ended it, if any.
        text: The message of a failure without an exception.
        cancelled: Whether an ignored call was cancelled.
    """
    kind = KIND_OF_END[outcome]
    generation, is_probe = _origin(ticket)
    head = (kind, breaker.name, wall_clock(), now, generation, duration, is_probe)
    if kind is CallSucceeded:
        return head
    if kind is CallIgnored:
        return (*head, cancelled)
    if exc is None:
        return (*head, None, text, None)
    error = error_of(breaker, exc)
    return (*head, error.error_type, error.message, error.peer)


def call_rejected(breaker: str, now: float, state: CircuitState, retry_after: float | None, *, shadow: bool) -> Record:
    """Return the record of a rejected call, or of one that only shadow mode admits."""
    return CallRejected, breaker, wall_clock(), now, state, retry_after, shadow


def probe_admitted(breaker: str, now: float, probe: Probe) -> Record:
    """Return the record of an admitted probe."""
    return ProbeAdmitted, breaker, wall_clock(), now, probe.epoch.generation


def late_outcome(breaker: str, now: float, ticket: Ticket, outcome: Outcome) -> Record:
    """Return the record of a call that ended after its generation."""
    generation, _ = _origin(ticket)
    return LateOutcome, breaker, wall_clock(), now, generation, outcome


def shadow_outcome(
    breaker: Described,
    now: float,
    ticket: ShadowCall,
    outcome: Outcome,
    duration: float | None,
    *,
    exc: BaseException | None,
) -> Record:
    """Return the record of the end of a call that only shadow mode had admitted."""
    head = (ShadowOutcome, breaker.name, wall_clock(), now, ticket.epoch.generation, outcome, duration)
    if exc is None:
        return (*head, None, None)
    error = error_of(breaker, exc)
    return (*head, error.error_type, error.message)


def _origin(ticket: Ticket) -> tuple[int, bool]:
    """Return the generation that admitted a call, and whether the call is a probe."""
    return (ticket.epoch.generation, True) if isinstance(ticket, Probe) else (ticket.generation, False)


def event_of(record: Record) -> Event:
    """Return the event of a record."""
    kind = record[0]
    event: Any = _new(kind)
    if kind is CallRejected:
        _, event.breaker_, event.at_, event.monotonic_, event.state_, event.retry_after_, event.shadow_ = record
    else:
        for name, value in zip(_SLOTS[kind], record[1:], strict=True):
            setattr(event, name, value)
    made: Event = event
    return made


_new = object.__new__
_SLOTS = {
    kind: tuple(f"{field.name}_" for field in fields(kind))
    for kind in (CallSucceeded, CallFailed, CallIgnored, CallRejected, ProbeAdmitted, LateOutcome, ShadowOutcome)
}
