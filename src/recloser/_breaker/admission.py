"""Admits calls while a breaker is not closed: to probes, or not at all.

The step from open to half-open takes an `anyio.Lock` without waiting: a caller that finds it held is rejected. The
permits of the probes are an `anyio.Semaphore`, one for each half-open episode.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from recloser._breaker.loop_bound import LoopLock, SemaphoreGate, is_gone, running_loop
from recloser._breaker.notify import Reported, deliver, enqueue, is_wanted
from recloser._breaker.records import Record, probe_admitted
from recloser._breaker.steps import STEP
from recloser._core.events import ProbeAdmitted
from recloser._core.machine import HALF_OPEN
from recloser._core.outcomes import Outcome
from recloser._core.tickets import UNCOUNTED, Admission, Probe, Ticket
from recloser.errors import CircuitBreakerOpenError

if TYPE_CHECKING:
    from recloser._core.events import Event, StateChanged, Transition
    from recloser._core.machine import BreakerMachine
    from recloser._core.tickets import Expiry

    Admitted = tuple[Ticket | None, list[Event | Record]]


class AdmittingEngine(Reported, Protocol):
    """What this module reads and calls of a breaker's engine."""

    machine: BreakerMachine
    lock: LoopLock | None

    def refresh(self) -> None:
        """Update which shortcuts are available."""
        ...

    def is_inside_probe(self, now: float) -> bool:
        """Return whether the running code is part of a running probe of this breaker."""
        ...

    def reject(self, now: float) -> Ticket | CircuitBreakerOpenError:
        """Count and report a rejection."""
        ...

    def settle(self, ticket: Ticket, outcome: Outcome, started: float | None) -> None:
        """Settle a call."""
        ...

    def note(self, transition: Transition) -> StateChanged:
        """Report a transition; return its event."""
        ...

    def note_expiry(self, expiry: Expiry, now: float) -> list[Event | Record]:
        """Report a timed-out probe; return the events to deliver."""
        ...


def request_probe(engine: AdmittingEngine, now: float) -> Ticket | CircuitBreakerOpenError:
    """Admit the call as a probe if it is time for one, else reject it; no fleet leads."""
    machine = engine.machine
    if machine.state is HALF_OPEN:
        if engine.is_inside_probe(now):
            return UNCOUNTED
        leave_dead_loops(engine)
        if machine.is_full(now):
            return engine.reject(now)
    elif now < machine.reopen_at:
        return engine.reject(now)
    lock = loop_lock(engine).take()
    if lock is None:
        return engine.reject(now)
    try:
        answer = take(engine, now)
    finally:
        lock.release()
    return admitted(engine, answer, now)


def take(engine: AdmittingEngine, now: float) -> Admitted:
    """Have the machine admit or reject the call; the breaker becomes half-open, or closes after a timed disable."""
    with STEP:
        try:
            return record(engine, engine.machine.admit(now, SemaphoreGate), now)
        finally:
            engine.refresh()  # once the events are queued


def record(engine: AdmittingEngine, admission: Admission, now: float) -> Admitted:
    """Queue the events of an admission, holding `STEP`; return its ticket and the events."""
    ticket = admission.ticket
    try:
        events = [] if admission.expired is None else engine.note_expiry(admission.expired, now)
        if admission.reopened is not None:
            events.append(engine.note(admission.reopened))
        if isinstance(ticket, Probe):
            ticket.loop = running_loop()
            if is_wanted(engine, ProbeAdmitted):
                events.append(probe_admitted(engine.name, now, ticket))
        enqueue(engine, events)
    except BaseException:
        _give_back(engine, ticket)
        raise
    return ticket, events


def admitted(engine: AdmittingEngine, answer: Admitted, now: float) -> Ticket | CircuitBreakerOpenError:
    """Deliver the events of an admission; return its ticket, or reject the call if it has none."""
    ticket, events = answer
    try:
        deliver(engine, events)
    except BaseException:
        _give_back(engine, ticket)
        raise
    return engine.reject(now) if ticket is None else ticket


def _give_back(engine: AdmittingEngine, ticket: Ticket | None) -> None:
    if ticket is not None:
        engine.settle(ticket, Outcome.IGNORED, None)


def loop_lock(engine: AdmittingEngine) -> LoopLock:
    """Return the engine's lock, made on first use: most breakers never need it."""
    with STEP:
        if engine.lock is None:
            engine.lock = LoopLock()
        return engine.lock


def leave_dead_loops(engine: AdmittingEngine) -> None:
    """Give up the probes whose event loop is gone: nothing will settle them."""
    machine = engine.machine
    probes = () if machine.episode is None else tuple(machine.episode.probes)
    for probe in probes:
        if is_gone(probe.loop):
            with STEP:
                machine.leak(probe)


def accepted(answer: Ticket | CircuitBreakerOpenError) -> Ticket:
    """Return the ticket of an admitted call; raise the error of a rejected one."""
    if isinstance(answer, CircuitBreakerOpenError):
        try:
            raise answer
        finally:
            del answer  # the error's traceback holds this frame
    return answer
