"""What the tests of the core drive: a machine with its clock and its gates, a shell without an event loop."""

from random import Random
from typing import Any

from recloser._core.defaults import slow_call_limit
from recloser._core.events import Snapshot, Transition
from recloser._core.machine import CLOSED, DISABLED, BreakerMachine, Probe, Ticket
from recloser._core.outcomes import Outcome
from recloser._core.settings import Settings
from recloser._core.states import CircuitState, Trigger
from recloser._core.trip import TripRule

S = Outcome.SUCCESS
F = Outcome.FAILURE
I = Outcome.IGNORED  # noqa: E741 - stands beside S and F in rows of outcomes


class CountingGate:
    """A gate that counts; giving back what was never taken is an error."""

    def __init__(self, permits: int) -> None:
        self.permits = permits
        self.free = permits

    def take(self) -> bool:
        if not self.free:
            return False
        self.free -= 1
        return True

    def give(self) -> None:
        assert self.free < self.permits, "a permit was minted"
        self.free += 1


class Driver:
    """Takes a machine through its life as the shell does: what the machine asks for is done in the same step."""

    def __init__(self, *, now: float = 0.0, seed: int = 0, **options: Any) -> None:  # noqa: ANN401 - settings
        self.now = now
        self.machine = BreakerMachine(Settings().changed(options), Random(seed), now)
        self.gates: list[CountingGate] = []
        self.transitions: list[Transition] = []

    @property
    def state(self) -> CircuitState:
        return self.machine.state

    @property
    def snapshot(self) -> Snapshot:
        return self.machine.snapshot(self.now)

    def new_gate(self, permits: int) -> CountingGate:
        gate = CountingGate(permits)
        self.gates.append(gate)
        return gate

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def try_admit(self) -> Ticket | None:
        admission = self.machine.admit(self.now, self.new_gate)
        steps = (None if admission.expired is None else admission.expired.transition, admission.reopened)
        self.transitions += [transition for transition in steps if transition is not None]
        if admission.ticket is None:
            self.machine.rejected += 1
        return admission.ticket

    def admit(self) -> Ticket:
        ticket = self.try_admit()
        assert ticket is not None, f"rejected while {self.state}"
        return ticket

    def settle(
        self, ticket: Ticket, outcome: Outcome, duration: float = 0.0, *, cancelled: bool = False
    ) -> CircuitState:
        trigger = self.machine.settle(ticket, outcome, self.now, duration, cancelled=cancelled)
        if trigger is not None:
            self.go(trigger, last_error="ConnectionError: down" if outcome is F else None)
        return self.state

    def progress(self, ticket: Ticket, duration: float = 0.0) -> Ticket | None:
        """Tells of the first sign that a call works; returns the ticket of what remains, None if its end is nothing."""
        if not isinstance(ticket, Probe) or not self.machine.may_pass(ticket):
            return ticket
        before = self.machine.epoch
        state = self.settle(ticket, S, duration)
        return self.machine.epoch if state is CLOSED and self.machine.epoch is not before else None

    def call(self, *outcomes: Outcome, duration: float = 0.0) -> CircuitState:
        for outcome in outcomes:
            self.settle(self.admit(), outcome, duration)
        return self.state

    def go(self, trigger: Trigger, **details: Any) -> Transition:  # noqa: ANN401 - passed on
        transition = self.machine.transition(trigger, self.now, **details)
        self.transitions.append(transition)
        return transition

    def reconfigure(self, **options: Any) -> None:  # noqa: ANN401 - settings
        self.machine.reconfigure(self.machine.settings.changed(options), self.now)

    def succeed_on_the_closed_path(self) -> None:
        """Counts a success as the machine's docstring allows: told of it only if it asks."""
        epoch = self.machine.epoch
        assert self.state in (CLOSED, DISABLED)
        epoch.successes += 1
        if epoch.observed and self.now >= epoch.edge:
            trigger = self.machine.observe(self.now)
            if trigger is not None:
                self.go(trigger)

    def succeed_on_the_timed_path(self, seconds: float) -> None:
        """Counts a success whose duration is known: the machine is told of slow ones, and of those from an edge on."""
        epoch = self.machine.epoch
        assert self.state in (CLOSED, DISABLED)
        if seconds <= slow_call_limit(self.machine.settings.trip_when) and self.now < epoch.edge:
            epoch.successes += 1
        else:
            self.settle(epoch, S, seconds)

    def fail_on_the_closed_path(self) -> None:
        """Counts a failure as the machine's docstring allows: by itself only while that can't trip a run."""
        epoch = self.machine.epoch
        assert self.state in (CLOSED, DISABLED)
        if epoch.successes == epoch.run_after and epoch.failures + 1 < epoch.run_from + epoch.run_limit:
            epoch.failures += 1
        else:
            self.settle(epoch, F)

    def open(self) -> None:
        """Opens a closed machine without an outcome."""
        self.go(Trigger.TRIPPED)

    def wait_out(self) -> None:
        """Moves the clock to the instant at which an open machine takes a probe."""
        self.now = max(self.now, self.machine.reopen_at)

    def half_open(self) -> None:
        """Opens a closed machine, lets its reset timeout pass and gives the first probe's permit back."""
        self.open()
        self.wait_out()
        self.settle(self.admit(), I)


def metered(rule: TripRule) -> Driver:
    """Returns a driver with the given rule and a reset timeout of ten seconds."""
    return Driver(trip_when=rule, reset_timeout_seconds=10)
