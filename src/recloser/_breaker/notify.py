"""Reports what happens to a breaker: makes events for listeners, logs, and wakes waiting tasks.

An event combines the machine's report with the breaker's name, the wall-clock time, and errors as text.
"""

from __future__ import annotations

import logging
from dataclasses import fields
from datetime import UTC, datetime
from time import time as wall_clock
from typing import TYPE_CHECKING, Protocol

from recloser._breaker.dispatch import TIMED_KINDS, Dispatcher, describe, log, log_transition, message_of
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
from recloser._core.machine import FAILURE, SUCCESS
from recloser._core.outcomes import Outcome
from recloser._core.states import CircuitState
from recloser._core.tickets import Probe, Ticket

if TYPE_CHECKING:
    from recloser._breaker.loop_bound import LoopEvent
    from recloser._core.events import Transition
    from recloser._core.tickets import Expiry

KIND_OF_END: dict[Outcome, type[Event]] = {SUCCESS: CallSucceeded, FAILURE: CallFailed, Outcome.IGNORED: CallIgnored}
"""The kind of event that reports the outcome of a call, unless it is late."""


class Reported(Protocol):
    """What this module reads and writes of a breaker's engine."""

    name: str
    dispatcher: Dispatcher | None
    """The dispatcher to listeners; None before the first listener."""
    waiting: dict[LoopEvent, None] | None
    """Set when a call may have a chance: one event for each task in `wait_until_ready()`."""
    opened_at: float | None
    """When the breaker opened, as a wall-clock timestamp; None while it is closed or disabled."""


def is_wanted(breaker: Reported, kind: type[Event]) -> bool:
    """Return whether any listener wants events of a kind."""
    return breaker.dispatcher is not None and kind in breaker.dispatcher.wanted


def is_timing_wanted(breaker: Reported) -> bool:
    """Return whether any listener wants events with the duration of calls."""
    return breaker.dispatcher is not None and not TIMED_KINDS.isdisjoint(breaker.dispatcher.wanted)


def enqueue(breaker: Reported, events: list[Event]) -> None:
    """Queue the events of one step; a step of another thread that follows queues its own behind them."""
    if events and breaker.dispatcher is not None:
        breaker.dispatcher.enqueue(events)


def deliver(breaker: Reported, events: list[Event]) -> None:
    """Log the transitions among the events of one step, and deliver what is queued; never under a lock."""
    try:
        for event in events:
            if isinstance(event, StateChanged):
                log_transition(event)
    finally:  # also if an interrupt arrives in a logging handler
        if events and breaker.dispatcher is not None:
            breaker.dispatcher.deliver()


def wake(breaker: Reported) -> None:
    """Wake the tasks that wait until a call has a chance, each in its own event loop, so that they check again.

    A task that waits again has a new event. To keep the old ones would keep the tasks of dead event loops alive.
    """
    waiting = breaker.waiting or {}
    for event in list(waiting):
        event.set()
        waiting.pop(event, None)


def log_error(breaker: Reported, message: str, fault: Exception) -> None:
    """Log an error of user code; the message has one `%r`, for the name of the breaker."""
    log(logging.ERROR, message, breaker.name, exc_info=fault)


def report_transition(breaker: Reported, transition: Transition) -> StateChanged:
    """Wake waiting tasks after a transition; return its event."""
    if transition.new in (CircuitState.OPEN, CircuitState.FORCED_OPEN):
        breaker.opened_at = wall_clock()
    elif transition.new is not CircuitState.HALF_OPEN:
        breaker.opened_at = None
    wake(breaker)
    return state_changed(breaker.name, transition)


def expired_probe(breaker: Reported, expiry: Expiry, now: float) -> list[Event]:
    """Return the event of a timed-out probe, if any listener wants it."""
    if not is_wanted(breaker, KIND_OF_END[expiry.outcome]):
        return []
    seconds = now - expiry.probe.admitted_at
    return [call_ended(breaker.name, now, expiry.probe, expiry.outcome, seconds, text=expiry.error)]


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
    """Return the event of an admitted probe."""
    return ProbeAdmitted(breaker=breaker, at=datetime.now(UTC), monotonic=now, generation=probe.epoch.generation)


def call_rejected(breaker: str, now: float, state: CircuitState, retry_after: float | None, *, shadow: bool) -> Event:
    """Return the event of a rejected call, or of one that only shadow mode admits."""
    return CallRejected(
        breaker=breaker, at=datetime.now(UTC), monotonic=now, state=state, retry_after=retry_after, shadow=shadow
    )


def late_outcome(breaker: str, now: float, ticket: Ticket, outcome: Outcome) -> Event:
    """Return the event of a call that ended after its generation."""
    generation, _ = _origin(ticket)
    return LateOutcome(breaker=breaker, at=datetime.now(UTC), monotonic=now, generation=generation, outcome=outcome)


def call_succeeded(breaker: str, now: float, generation: int, duration: float | None) -> Event:
    """Return the event of a call that succeeded and was not a probe.

    It is by far the most frequent event, so its fields are set one by one: the constructor of a frozen dataclass takes
    more than twice as long.
    """
    event = _new(CallSucceeded)
    _set_breaker(event, breaker)
    _set_at(event, datetime.now(UTC))
    _set_monotonic(event, now)
    _set_generation(event, generation)
    _set_duration(event, duration)
    _set_is_probe(event, False)  # noqa: FBT003 - the value of a field
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
    """Return the event of a call that ended in its own generation; `text` is the error message if there is no `exc`."""
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
    """Return the generation that admitted a call, and whether the call is a probe."""
    return (ticket.epoch.generation, True) if isinstance(ticket, Probe) else (ticket.generation, False)


def error_text(exc: BaseException | None) -> tuple[str | None, BaseException | None]:
    """Return the type and message of an error as text, and the interrupt that arrived meanwhile, if any.

    User code makes the message. What it raises is ignored, except for KeyboardInterrupt and the like.
    """
    try:
        return describe(exc), None
    except BaseException as interrupt:  # noqa: BLE001 - raised once the call is settled
        return None, interrupt


def slow_probe(seconds: float) -> str:
    """Return the text of the failure of a probe that was slow."""
    return f"slow probe, {seconds:.3g} s"
