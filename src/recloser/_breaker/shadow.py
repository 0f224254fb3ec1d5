"""Calls that a breaker would have rejected, and that run because of shadow mode.

Two facts are told about each: that it would have been rejected, when it arrives, and how it really ended. The second
one changes nothing, neither the state nor what the trip rule counts: a breaker that enforces would never have seen it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from recloser._breaker.notify import Reported, is_wanted
from recloser._breaker.records import call_rejected, shadow_outcome
from recloser._breaker.steps import STEP
from recloser._core.events import CallRejected, ShadowOutcome
from recloser._core.tickets import ShadowCall

if TYPE_CHECKING:
    from recloser._breaker.records import Record
    from recloser._core.machine import BreakerMachine
    from recloser._core.outcomes import Outcome
    from recloser._core.tickets import Ticket


class ReportingEngine(Reported, Protocol):
    """What this module reads and calls of a breaker's engine."""

    machine: BreakerMachine

    def report(self, record: Record) -> None:
        """Deliver the record of one call to the listeners."""
        ...


def admit_in_shadow(engine: ReportingEngine, now: float) -> ShadowCall:
    """Count and report a call that would have been rejected; return its ticket."""
    machine = engine.machine
    with STEP:
        machine.shadow_calls = machine.shadow_calls.started()
    ticket = ShadowCall(machine.epoch, now)
    if is_wanted(engine, CallRejected):
        engine.report(call_rejected(engine.name, now, machine.state, machine.retry_after(now), shadow=True))
    return ticket


def settle_apart(
    engine: Any,  # noqa: ANN401 - an Engine
    ticket: Ticket,
    outcome: Outcome,
    started: float | None,
    exc: BaseException | None,
) -> None:
    """Count and report how such a call ended; a call from inside a probe is part of that, and not counted itself."""
    if not isinstance(ticket, ShadowCall):
        return
    machine = engine.machine
    with STEP:
        machine.shadow_calls = machine.shadow_calls.ended(outcome)
    if is_wanted(engine, ShadowOutcome):
        now = engine.now()
        seconds = None if started is None else max(0.0, now - started)
        engine.report(shadow_outcome(engine, now, ticket, outcome, seconds, exc=exc))
