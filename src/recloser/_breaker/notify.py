"""Makes events of what the machine reports: adds the breaker's name and the wall clock, and errors as text."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recloser._breaker.dispatch import describe, message_of
from recloser._core.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Event,
    LateOutcome,
    ProbeAdmitted,
    StateChanged,
)
from recloser._core.machine import FAILURE, SUCCESS, Probe, Ticket
from recloser._core.outcomes import Outcome
from recloser._core.states import Trigger

if TYPE_CHECKING:
    from recloser._core.events import Transition
    from recloser._core.states import CircuitState

KIND_OF_END: dict[Outcome, type[Event]] = {SUCCESS: CallSucceeded, FAILURE: CallFailed, Outcome.IGNORED: CallIgnored}
"""The kind of event that tells how a call ended in the generation that had admitted it."""


def state_changed(breaker: str, transition: Transition) -> StateChanged:
    """Return the event of a transition."""
    return StateChanged(
        breaker=breaker,
        at=datetime.now(UTC),
        monotonic=transition.monotonic,
        old=transition.old,
        new=transition.new,
        cause=transition.cause,
        snapshot=transition.snapshot,
        retry_after=transition.retry_after,
    )


def probe_admitted(breaker: str, now: float, probe: Probe) -> Event:
    """Return the event of a probe that was let through."""
    return ProbeAdmitted(breaker=breaker, at=datetime.now(UTC), monotonic=now, generation=probe.epoch.generation)


def call_rejected(breaker: str, now: float, state: CircuitState, retry_after: float | None, *, shadow: bool) -> Event:
    """Return the event of a call that was not started, or that only shadow mode let through."""
    return CallRejected(
        breaker=breaker, at=datetime.now(UTC), monotonic=now, state=state, retry_after=retry_after, shadow=shadow
    )


def late_outcome(breaker: str, now: float, ticket: Ticket, outcome: Outcome) -> Event:
    """Return the event of a call that ended after its generation had."""
    generation, _ = _origin(ticket)
    return LateOutcome(breaker=breaker, at=datetime.now(UTC), monotonic=now, generation=generation, outcome=outcome)


def call_succeeded(breaker: str, now: float, generation: int, duration: float | None) -> Event:
    """Return the event of a call that succeeded and was no probe; by far the most frequent one.

    Its fields are set one by one: the constructor of a frozen dataclass takes more than twice as long.
    """
    event = _new(CallSucceeded)
    _set_breaker(event, breaker)
    _set_at(event, datetime.now(UTC))
    _set_monotonic(event, now)
    _set_generation(event, generation)
    _set_duration(event, duration)
    _set_is_probe(event, False)  # noqa: FBT003 - it is a field's value
    return event


_new = object.__new__
_set_breaker, _set_at, _set_monotonic, _set_generation, _set_duration, _set_is_probe = (
    getattr(CallSucceeded, field.name).__set__ for field in fields(CallSucceeded)
)


def call_ended(
    breaker: str,
    now: float,
    ticket: Ticket,
    outcome: Outcome,
    duration: float | None,
    *,
    exc: BaseException | None = None,
    text: str | None = None,
    cancelled: bool = False,
) -> Event:
    """Return the event of a call that ended in the generation that had admitted it; `text` stands for an error."""
    at = datetime.now(UTC)
    generation, is_probe = _origin(ticket)
    if outcome is SUCCESS:
        return CallSucceeded(
            breaker=breaker,
            at=at,
            monotonic=now,
            generation=generation,
            duration_seconds=duration,
            is_probe=is_probe,
        )
    if outcome is FAILURE:
        return CallFailed(
            breaker=breaker,
            at=at,
            monotonic=now,
            generation=generation,
            duration_seconds=duration,
            is_probe=is_probe,
            error_type=None if exc is None else type(exc).__qualname__,
            error_message=text if exc is None else message_of(exc),
        )
    return CallIgnored(
        breaker=breaker,
        at=at,
        monotonic=now,
        generation=generation,
        duration_seconds=duration,
        is_probe=is_probe,
        cancelled=cancelled,
    )


def _origin(ticket: Ticket) -> tuple[int, bool]:
    """Return the generation that admitted a call, and whether it was a probe."""
    return (ticket.epoch.generation, True) if isinstance(ticket, Probe) else (ticket.generation, False)


def last_error_of(trigger: Trigger, outcome: Outcome, exc: BaseException | None, duration: float | None) -> str | None:
    """Return what the failure that led to a transition was, as text; None if it was none."""
    if outcome is FAILURE:
        return describe(exc)
    return f"slow probe, {duration:.3g} s" if trigger is Trigger.PROBE_FAILED else None
