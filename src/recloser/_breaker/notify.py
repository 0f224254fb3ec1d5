"""Reports what happens to a breaker: makes events for listeners, logs, and wakes waiting tasks.

An event combines the machine's report with the breaker's name, the wall-clock time, and errors as text.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from recloser._breaker.dispatch import Dispatcher, log_transition
from recloser._breaker.records import KIND_OF_END, Record, call_ended
from recloser._breaker.taking_down import Described, limit_of
from recloser._core.events import Event, StateChanged

if TYPE_CHECKING:
    from recloser._breaker.loop_bound import LoopEvent, ThreadEvent
    from recloser._core.events import Transition
    from recloser._core.tickets import Expiry


class Reported(Described, Protocol):
    """What this module reads and writes of a breaker's engine."""

    dispatcher: Dispatcher | None
    """The dispatcher to listeners; None before the first listener."""
    waiting: dict[LoopEvent | ThreadEvent, None] | None
    """Set when a call may have a chance: one event for each task in `wait_until_ready()`."""
    is_limit_doubted: bool
    """Whether the log has said that probes take longer than their limit."""


def is_wanted(breaker: Reported, kind: type[Event]) -> bool:
    """Return whether any listener wants events of a kind."""
    return breaker.dispatcher is not None and kind in breaker.dispatcher.wanted


def enqueue(breaker: Reported, events: list[Event | Record]) -> None:
    """Queue the events of one step; a step of another thread that follows queues its own behind them."""
    if events and breaker.dispatcher is not None:
        breaker.dispatcher.enqueue(events)


def deliver(breaker: Reported, events: list[Event | Record]) -> None:
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
    limit_of(breaker).log(logging.ERROR, message, breaker.name, fault=fault)


def report_transition(breaker: Reported, transition: Transition) -> StateChanged:
    """Wake waiting tasks after a transition; return its event."""
    wake(breaker)
    return state_changed(breaker.name, transition)


def expired_probe(breaker: Reported, expiry: Expiry, now: float) -> list[Event | Record]:
    """Return the event of a timed-out probe, if any listener wants it."""
    if not is_wanted(breaker, KIND_OF_END[expiry.outcome]):
        return []
    seconds = now - expiry.probe.admitted_at
    return [call_ended(breaker, now, expiry.probe, expiry.outcome, seconds, text=expiry.error)]


def note_wrong_expiry(breaker: Reported, limit: float, seconds: float) -> None:
    """Log once that a probe has succeeded after its limit, so that it was wrong to count it as a failure."""
    if breaker.is_limit_doubted:
        return
    breaker.is_limit_doubted = True
    message = (
        "Circuit breaker %r counted a probe as a failure after %.3g s, and it succeeded after %.3g s. If calls may "
        "take that long, set probe_timeout_seconds to more, or call permit.progress() at the first sign that one works"
    )
    limit_of(breaker).log(logging.WARNING, message, breaker.name, limit, seconds)


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
        outage=transition.outage,
    )


def slow_probe(seconds: float) -> str:
    """Return the text of the failure of a probe that was slow."""
    return f"slow probe, {seconds:.3g} s"
