"""A breaker as a member of a fleet: between the gatekeeper, which knows of no fleet, and the public class.

While a fleet leads, it grants the probes. The first caller after the reset timeout asks for one and waits, at most
for the store's time limit; whoever comes meanwhile is rejected. `_enter()` and `_ask()` are synchronous, so they answer
such a caller with PETITION, and it awaits `_petition()` or `_enter_granted()`.

What the fleet has decided moves the machine, `_follow()`, and what the machine does by itself is told to the fleet.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from recloser._breaker.engine import UNCOUNTED, Gatekeeper
from recloser._breaker.loop_bound import SemaphoreGate
from recloser._core.fleet import FleetState, way
from recloser._core.machine import CLOSED, DISABLED, HALF_OPEN, OPEN, SUCCESS, Admission, Epoch, Probe, Ticket
from recloser._core.outcomes import Outcome
from recloser._core.states import CircuitState, Trigger
from recloser.errors import CircuitBreakerOpenError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from recloser._core.events import Event, Transition
    from recloser._core.fleet import Grant, Link
    from recloser._core.machine import Expiry
    from recloser._core.settings import Settings

PETITION = Epoch(0, 0, 0)
"""In place of a ticket: the caller may ask the fleet for a probe."""
MANUAL = {CircuitState.FORCED_OPEN: Trigger.FORCED_OPEN, CircuitState.DISABLED: Trigger.DISABLED}


class Member(Gatekeeper):
    """A gatekeeper that a fleet may be linked to."""

    __slots__ = ("_link",)

    def __init__(self, name: str, settings: Settings, clock: Callable[[], float], random: Random) -> None:
        self._link: Link | None = None
        super().__init__(name, settings, clock, random)

    # Admitting

    def _knock(self, now: float) -> Ticket | CircuitBreakerOpenError:
        """Ask for a probe: of the fleet, if it leads."""
        link = self._link
        if link is None or not link.leads:
            return super()._knock(now)
        machine = self._machine
        if machine.state is HALF_OPEN:
            if self._is_inside_probe(now):
                return UNCOUNTED
            self._leave_dead_loop()
            self._expire(now)
            if machine.state is CLOSED or machine.state is DISABLED:
                return machine.epoch
        if machine.may_try(now) and not link.is_asking:
            return PETITION
        return self._reject(now)

    def _expire(self, now: float) -> None:
        """Settle the probes whose time is over, and tell those who listen."""
        expired = self._machine.expire(now)
        self._refresh()
        self._deliver([event for expiry in expired for event in self._note_expiry(expiry, now)])

    async def _enter_granted(self) -> Any:  # noqa: ANN401 - as _enter()
        """As `_enter()`, for a caller that was told to ask the fleet.

        Raises:
            CircuitBreakerOpenError: The call is rejected.
        """
        answer = await self._petition()
        if isinstance(answer, CircuitBreakerOpenError):
            try:
                raise answer
            finally:
                del answer  # the error's traceback holds this frame
        return answer

    async def _petition(self) -> Ticket | CircuitBreakerOpenError:
        """As `_ask()`, for a caller that was told to ask the fleet. Cancelled, it leaves the probe to others."""
        link = cast("Link", self._link)
        grant = await link.ask()
        if grant is not None:
            ticket = self._take(grant, link)
            if ticket is not None:
                return ticket
        answer = self._ask()
        return self._reject(self._now()) if answer is PETITION else answer

    def _take(self, grant: Grant, link: Link) -> Ticket | CircuitBreakerOpenError | None:
        """Admit the probe that was granted; give it back and return None if there is no use for it any more."""
        machine = self._machine
        now = self._now()
        lock = self._loop_lock().take() if machine.is_waiting else None
        if lock is None:
            link.ended(grant.token)
            return None
        try:
            probe, reopened = machine.grant(now, GrantedGate(link, grant.token), grant.token, grant.passed)
            self._refresh()
        finally:
            lock.release()
        return self._admitted(Admission(probe, (), reopened), now)

    # Telling the fleet

    def _count(
        self, ticket: Ticket, outcome: Outcome, now: float, duration: float, *, cancelled: bool
    ) -> Trigger | None:
        link = self._link
        if link is None:
            return super()._count(ticket, outcome, now, duration, cancelled=cancelled)
        counts = self._machine.is_current(ticket) and outcome is not Outcome.IGNORED
        trigger = super()._count(ticket, outcome, now, duration, cancelled=cancelled)
        if counts and isinstance(ticket, Probe):
            link.judged(ticket.token, passed=trigger is not Trigger.PROBE_FAILED)
        elif counts:
            link.counted(duration)
        return trigger

    def _note_expiry(self, expiry: Expiry, now: float) -> list[Event]:
        if self._link is not None:
            self._link.judged(expiry.probe.token, passed=expiry.outcome is SUCCESS)
        return super()._note_expiry(expiry, now)

    def _note(self, transition: Transition) -> list[Event]:
        link, machine = self._link, self._machine
        if link is not None:
            if transition.new is OPEN and machine.state is OPEN:
                machine.postpone(machine.reopen_at + link.spread(machine.open_seconds))
                self._refresh()
                transition = replace(transition, retry_after=machine.retry_after(transition.monotonic))
            link.noted(transition)
        return super()._note(transition)

    # Following the fleet

    def _follow(self, fleet: FleetState) -> None:
        """Go where the fleet has gone; called by the fleet, in its task."""
        machine = self._machine
        events: list[Event] = []
        with self._loop_lock().held():
            now = self._now()
            triggers = self._way_to(fleet)
            for trigger in triggers:
                events += Gatekeeper._note(self, self._transition(trigger, now, **self._details(trigger, fleet)))
            if fleet.state is OPEN or fleet.state is HALF_OPEN:
                machine.attempt = fleet.attempt
            if not triggers and fleet.seconds is not None and machine.state in (OPEN, HALF_OPEN):
                machine.postpone(now + fleet.seconds)
                self._refresh()
                self._wake()
        self._deliver(events)

    def _way_to(self, fleet: FleetState) -> tuple[Trigger, ...]:
        machine = self._machine
        if fleet.state in MANUAL:
            return (MANUAL[fleet.state],)
        if fleet.state is CLOSED and fleet.reason is not None:
            return (Trigger.RESET,)
        if fleet.state is HALF_OPEN and machine.state is HALF_OPEN and machine.episode is not None:
            return (Trigger.FLEET_OPENED, Trigger.FLEET_PROBING)  # what this process tried is fenced off
        return way(machine.state, fleet.state)

    def _details(self, trigger: Trigger, fleet: FleetState) -> dict[str, Any]:
        """Return what a transition is to be told of the fleet's state."""
        if trigger is Trigger.FLEET_OPENED:
            is_last = fleet.state is OPEN
            return {"open_seconds": fleet.seconds if is_last else 0.0, "last_error": self._machine.last_error}
        if trigger is Trigger.FLEET_PROBING:
            return {"for_seconds": fleet.seconds}
        if trigger is Trigger.FORCED_OPEN:
            return {"for_seconds": fleet.seconds, "reason": fleet.reason or "by hand"}
        return {"reason": fleet.reason}

    def _is_trying(self, token: int) -> bool:
        """Return whether the probe of a token is under way; those that were lost are released first."""
        if self._leaks:
            self._drain()
        episode = self._machine.episode
        return episode is not None and any(probe.token == token for probe in episode.probes)

    def _delay(self, seconds: float) -> None:
        """Put off the next probe: the fleet is unreachable, and other processes wait for the same instant."""
        machine = self._machine
        if machine.is_waiting:
            machine.postpone(max(machine.reopen_at, self._now()) + seconds)
            self._refresh()
            self._wake()


class GrantedGate(SemaphoreGate):
    """The one permit of a probe that a fleet has granted.

    Args:
        link: Told when it comes back.
        token: What the fleet knows the call by.

    Raises:
        RuntimeError: No event loop runs in this thread.
    """

    __slots__ = ("_lease", "_link")

    def __init__(self, link: Link, token: int) -> None:
        super().__init__(1)
        self._link = link
        self._lease = token

    def give(self) -> None:
        """Give the permit back, to the fleet too."""
        super().give()
        self._link.ended(self._lease)
