"""Connects a breaker's engine to a fleet: what the engine asks of the fleet, and what the fleet does to the breaker.

While a fleet leads, it grants the probes. The first caller after the reset timeout asks for the lease of a probe and
waits for it, at most for the store's timeout; until the answer arrives, other callers are rejected. The engine's
`admit()` is synchronous: it returns NEEDS_LEASE to such a caller, which then awaits `lease.admit_by_lease()`.

`follow()` makes the machine follow the fleet. What the breaker does itself is reported to the fleet's membership.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

from recloser._breaker.admission import admitted, leave_dead_loops, loop_lock, record
from recloser._breaker.loop_bound import SemaphoreGate
from recloser._breaker.notify import deliver, enqueue, report_transition, wake
from recloser._breaker.steps import STEP
from recloser._core.fleet import FleetState, path
from recloser._core.machine import CLOSED, DISABLED, HALF_OPEN, OPEN
from recloser._core.states import CircuitState, Trigger
from recloser._core.tickets import NEEDS_LEASE, UNCOUNTED, Admission, Probe, Ticket

if TYPE_CHECKING:
    from recloser._breaker.engine import Engine
    from recloser._breaker.records import Record
    from recloser._core.events import Event, Transition
    from recloser._core.fleet import FleetMembership, Grant
    from recloser._core.machine import BreakerMachine
    from recloser._core.settings import Settings
    from recloser._core.tickets import Expiry
    from recloser.errors import CircuitBreakerOpenError

LONGEST_WAIT = 1.5
"""The longest wait for a probe, in reset timeouts: with the spread that keeps processes from probing together."""
MANUAL = {CircuitState.FORCED_OPEN: Trigger.FORCED_OPEN, CircuitState.DISABLED: Trigger.DISABLED}


class FleetPort:
    """Connects an engine to the breaker's membership in a fleet.

    Args:
        engine: The breaker's engine, which holds the port; referenced weakly.
        membership: The fleet's side of the connection.
    """

    __slots__ = ("_engine", "_spread_until", "membership")

    def __init__(self, engine: Engine, membership: FleetMembership) -> None:
        self._engine = ref(engine)
        self.membership = membership
        self._spread_until: float | None = None  # when the wait ends that has been spread last
        engine.machine.make_final()

    @property
    def engine(self) -> Engine:
        """The engine, which lives as long as its port is used."""
        return cast("Engine", self._engine())

    @property
    def machine(self) -> BreakerMachine:
        """The breaker's machine."""
        return self.engine.machine

    # Called by the engine

    @property
    def leads(self) -> bool:
        """Whether the fleet grants the probes now."""
        return self.membership.leads

    @property
    def is_asking(self) -> bool:
        """Whether a caller in this process waits for a lease."""
        return self.membership.is_asking

    def check(self, settings: Settings) -> None:
        """Refuse settings that a fleet does not support.

        Raises:
            ValueError: The message names the setting, its value and the range.
        """
        self.membership.check(settings)

    def request_probe(self, now: float) -> Ticket | None:
        """Return a call's ticket while the fleet leads, NEEDS_LEASE if it may ask for a probe, None to reject it."""
        engine, machine = self.engine, self.machine
        if machine.state is HALF_OPEN:
            if engine.is_inside_probe(now):
                return UNCOUNTED
            leave_dead_loops(engine)
            self._expire(now)
            if machine.state is CLOSED or machine.state is DISABLED:
                return machine.epoch
        return NEEDS_LEASE if machine.may_try(now) and not self.membership.is_asking else None

    def _expire(self, now: float) -> None:
        """Settle a probe that has run out of time, and report it."""
        engine = self.engine
        with STEP:
            expiry = engine.machine.expire(now)
            events = [] if expiry is None else engine.note_expiry(expiry, now)
            enqueue(engine, events)
            engine.refresh()
        deliver(engine, events)

    async def lease_probe(self) -> Ticket | CircuitBreakerOpenError | None:
        """Ask the fleet for the lease of a probe and admit the probe; None if the fleet does not grant it."""
        grant = await self.membership.request_lease()
        return None if grant is None else self._take(grant)

    def _take(self, grant: Grant) -> Ticket | CircuitBreakerOpenError | None:
        """Admit the granted probe; if the breaker no longer waits for one, give it back and return None."""
        engine, membership = self.engine, self.membership
        machine = engine.machine
        now = engine.now()
        lock = loop_lock(engine).take() if machine.is_waiting else None
        if lock is None:
            membership.probe_released(grant.token)
            return None
        try:
            with STEP:
                if membership.is_overridden or not machine.is_waiting:  # moved while the caller asked, or just now
                    membership.probe_released(grant.token)
                    return None
                probe, reopened = machine.grant(now, GrantedGate(membership, grant.token), grant.token, grant.passed)
                engine.refresh()
                answer = record(engine, Admission(probe, None, reopened), now)
        finally:
            lock.release()
        return admitted(engine, answer, now)

    def settled(self, ticket: Ticket, duration: float, trigger: Trigger | None) -> None:
        """Report a counted call to the fleet: its duration in seconds, and the trigger that it caused, if any."""
        if isinstance(ticket, Probe):
            self.membership.probe_settled(ticket.token, passed=trigger is not Trigger.PROBE_FAILED)
        else:
            self.membership.call_counted(duration)

    def expired(self, expiry: Expiry) -> None:
        """Report a probe that has run out of time to the fleet, which goes on without it: it can't pass any more."""
        self.machine.make_final()
        self.membership.probe_settled(expiry.probe.token, passed=False)

    def transitioned(self, transition: Transition) -> Transition:
        """Report a transition that the breaker made itself; return it, with a new `retry_after` if that has changed."""
        engine, machine = self.engine, self.machine
        if transition.new is OPEN and machine.state is OPEN:
            spread = self.membership.spread(machine.open_seconds)
            if spread:
                self._spread_until = machine.reopen_at + spread
                machine.postpone(self._spread_until)
            engine.refresh()
            transition = replace(transition, retry_after=machine.retry_after(transition.monotonic))
        self.membership.transitioned(transition)
        return transition

    # Called by the fleet

    def follow(self, fleet: FleetState) -> None:
        """Follow the fleet to its state, unless a person has moved the breaker; runs in the fleet's task."""
        engine, machine = self.engine, self.machine
        events: list[Event | Record] = []
        now = engine.now()
        with STEP:
            if self.membership.is_overridden:  # maybe by another thread, just now
                return
            triggers = self._path_to(fleet)
            for trigger in triggers:
                transition = engine.transition(trigger, now, **self._details(trigger, fleet))
                events.append(report_transition(engine, transition))
            if fleet.state is OPEN or fleet.state is HALF_OPEN:
                machine.attempt = fleet.attempt
            if not triggers and fleet.seconds is not None and machine.state in (OPEN, HALF_OPEN):
                machine.postpone(now + fleet.seconds)
                wake(engine)
            enqueue(engine, events)
            engine.refresh()
        deliver(engine, events)

    def _path_to(self, fleet: FleetState) -> tuple[Trigger, ...]:
        machine = self.machine
        if fleet.state in MANUAL:
            return (MANUAL[fleet.state],)
        if fleet.state is CLOSED and fleet.reason is not None:
            return (Trigger.RESET,)
        if fleet.state is HALF_OPEN and machine.state is HALF_OPEN and machine.episode is not None:
            return (Trigger.FLEET_OPENED, Trigger.FLEET_PROBING)  # the probe of this process is fenced off
        return path(machine.state, fleet.state)

    def _details(self, trigger: Trigger, fleet: FleetState) -> dict[str, Any]:
        """Return the details of a transition that come from the fleet's state."""
        if trigger is Trigger.FLEET_OPENED:
            is_last = fleet.state is OPEN
            return {"open_seconds": fleet.seconds if is_last else 0.0, "last_error": self.machine.last_error}
        if trigger is Trigger.FLEET_PROBING:
            return {"for_seconds": fleet.seconds}
        reason = fleet.reason or "by hand" if trigger is Trigger.FORCED_OPEN else fleet.reason
        for_seconds = None if trigger is Trigger.RESET else fleet.seconds
        return {"for_seconds": for_seconds, "reason": reason, "author": fleet.author}

    def is_probing(self, token: int) -> bool:
        """Return whether the probe with a token runs; dropped probes are released first."""
        engine = self.engine
        if engine.machine.leaks:
            engine.drain_leaks()
        episode = engine.machine.episode
        return episode is not None and any(probe.token == token for probe in episode.probes)

    def delay(self, seconds: float) -> None:
        """Delay the next probe: without the fleet, its processes would all probe at the same instant.

        A store that is lost again and again delays a wait once, and to one and a half reset timeouts at most.
        """
        engine, machine = self.engine, self.machine
        now = engine.now()
        with STEP:
            if machine.is_waiting and machine.reopen_at != self._spread_until:
                latest = machine.changed_at + LONGEST_WAIT * machine.open_seconds
                until = min(max(machine.reopen_at, now) + seconds, latest)
                self._spread_until = max(machine.reopen_at, until)
                machine.postpone(self._spread_until)
                engine.refresh()
                wake(engine)


class GrantedGate(SemaphoreGate):
    """The permit of a probe that a fleet has granted.

    Args:
        membership: Notified when the permit is given back.
        token: The fleet's token of the probe.

    Raises:
        RuntimeError: No event loop runs in this thread.
    """

    __slots__ = ("_lease", "_membership")

    def __init__(self, membership: FleetMembership, token: int) -> None:
        super().__init__(1)
        self._membership = membership
        self._lease = token

    def give(self) -> None:
        """Give the permit back, and the lease to the fleet."""
        super().give()
        self._membership.probe_released(self._lease)
