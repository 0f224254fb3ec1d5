"""Rejects a call that a breaker does not admit; in shadow mode it lets the call through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser._breaker.notify import is_wanted
from recloser._breaker.records import call_rejected
from recloser._breaker.shadow import admit_in_shadow
from recloser._core.events import CallRejected
from recloser._core.states import CircuitState
from recloser.errors import CircuitBreakerOpenError

if TYPE_CHECKING:
    from recloser._breaker.shadow import ReportingEngine
    from recloser._core.tickets import Ticket


def reject(engine: ReportingEngine, now: float) -> Ticket | CircuitBreakerOpenError:
    """Count and report a rejection; return the error, which describes the state before listeners can change it."""
    machine = engine.machine
    if machine.settings.shadow:
        return admit_in_shadow(engine, now)
    machine.rejected += 1
    wait, state = machine.retry_after(now), machine.state
    reason = None if machine.cause is None else machine.cause.reason
    error = CircuitBreakerOpenError(engine.name, wait, state, machine.frozen_failures, machine.last_error, reason)
    if is_wanted(engine, CallRejected):
        engine.report(call_rejected(engine.name, now, state, wait, shadow=False))
    return error


def report_rejection(engine: ReportingEngine, now: float, left: float) -> None:
    """Report a call that was rejected while `left` seconds of the reset timeout remained."""
    if is_wanted(engine, CallRejected):
        engine.report(call_rejected(engine.name, now, CircuitState.OPEN, left, shadow=False))


def reported_rejection(engine: ReportingEngine, now: float, left: float) -> CircuitBreakerOpenError:
    """Report such a call; return the error, which describes the state before listeners can change it."""
    machine = engine.machine
    error = CircuitBreakerOpenError(engine.name, left, CircuitState.OPEN, machine.frozen_failures, machine.last_error)
    report_rejection(engine, now, left)
    return error
