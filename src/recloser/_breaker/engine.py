"""Admits calls and settles them: the anyio shell around one state machine, and the only code that drives it.

Everything here is synchronous. Nothing interleaves between two awaits, so admitting, counting and releasing are single
steps that can't be cancelled halfway and need no lock. Only the step from open to half-open takes one, without waiting.

The closed path is not here. `CircuitBreaker.call`, the decorator and the guard contain it, for speed:

    epoch = engine.live                   # None: the closed path is not available, use admit()
    ... await the call ...                # an exception goes to call_raised()
    if engine.live is epoch:              # else: call_returned()
        epoch.successes += 1
        if epoch.watch: engine.observe(epoch)

`live` is the machine's epoch while the breaker is closed or disabled and it is enough to count successes: no listener
for single calls, no durations, no predicate on results. A transition clears `live` first and sets it again at its end.
If an exception from outside interrupts the transition, `live` stays None, and the next call uses `admit()`.

A permit, a guard, a stream, a decorated function and an unsubscribe function refer to the engine only, and may outlive
the `CircuitBreaker` around it. `face` finds the breaker as long as it lives.

The state changes before any listener is called. What user code raises (predicates, listeners, clocks) is logged and
never reaches the caller, except KeyboardInterrupt and SystemExit, which propagate once the call is settled.
"""

from __future__ import annotations

import math
from random import SystemRandom
from time import time as wall_clock
from typing import TYPE_CHECKING, Any, NoReturn

from anyio.lowlevel import current_token

from recloser._breaker.cancellation import is_cancellation
from recloser._breaker.classify import Cancellations, classifier_by
from recloser._breaker.dispatch import Dispatcher
from recloser._breaker.loop_bound import LoopLock, SemaphoreGate, is_in_own_loop
from recloser._breaker.notify import (
    KIND_OF_END,
    call_ended,
    call_rejected,
    call_succeeded,
    deliver,
    expired_probe,
    is_timing_wanted,
    is_wanted,
    last_error_of,
    late_outcome,
    log_error,
    probe_admitted,
    report_transition,
    wake,
)
from recloser._breaker.probe_context import enter_probe, entered_probes
from recloser._core.events import CallRejected, CallSucceeded, LateOutcome, ProbeAdmitted
from recloser._core.machine import CLOSED, DISABLED, FAILURE, HALF_OPEN, OPEN, SUCCESS, BreakerMachine
from recloser._core.outcomes import Outcome
from recloser._core.tickets import UNCOUNTED, Admission, Epoch, Expiry, Probe, Ticket
from recloser._core.windows import ALWAYS, NEVER
from recloser.errors import CircuitBreakerOpenError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from recloser._breaker.clock import CheckedClock
    from recloser._breaker.loop_bound import LoopEvent
    from recloser._core.events import Event, Transition
    from recloser._core.fleet import LeasePort
    from recloser._core.outcomes import Classifier
    from recloser._core.settings import Settings
    from recloser._core.states import Trigger

IGNORED = Outcome.IGNORED
SYSTEM_RANDOM = SystemRandom()
"""The default source of jitter."""


class Engine:
    """One breaker's machine, run under anyio."""

    __slots__ = (
        "__weakref__",
        "_cancellations",
        "changed",
        "classifier",
        "clock",
        "definition",
        "dispatcher",
        "face",
        "failed_at",
        "finalisers",
        "live",
        "lock",
        "machine",
        "name",
        "opened_at",
        "outcome_by_type",
        "port",
        "shut_until",
    )

    shut_until: float
    live: Any
    """The machine's epoch or None; typed as Any, because a ticket that is the live epoch is used as an epoch."""

    def __init__(self, name: str, settings: Settings, clock: CheckedClock, random: Random) -> None:
        self.name: str = name
        self.clock: CheckedClock = clock
        self.machine: BreakerMachine = BreakerMachine(settings, random, clock.first())
        self.face: Callable[[], Any] | None = None  # the CircuitBreaker around this engine, while it lives
        self.port: LeasePort | None = None  # the connection to a fleet
        self.definition: object = None  # how a registry defined the breaker
        self.lock: LoopLock | None = None
        self.dispatcher: Dispatcher | None = None
        self.changed: LoopEvent | None = None
        self.finalisers: tuple[Any, ...] = ()  # the only references: they run when the engine is gone
        self._cancellations: Cancellations | None = None
        self.failed_at: float | None = None
        self.opened_at: float | None = None
        self.classify_by(settings)
        self.refresh()

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied and pickled, with whatever holds the engine: each copy would know half of the calls."""
        raise TypeError(f"circuit breaker {self.name!r} can be neither copied nor pickled; share the object itself")

    def classify_by(self, settings: Settings) -> None:
        """Classify exceptions by new settings."""
        self.classifier: Classifier = classifier_by(settings)
        self.outcome_by_type: dict[type[BaseException], Outcome] = self.classifier.outcome_by_type

    def refresh(self) -> None:
        """Update whether the closed path is available, and until when calls are rejected right away."""
        machine = self.machine
        settings = machine.settings
        counting_suffices = (
            (machine.state is CLOSED or machine.state is DISABLED)
            and not machine.meter.needs_duration
            and settings.failed_result is None
            and settings.overdue_after_seconds is None
            and not is_timing_wanted(self)
        )
        self.live = machine.epoch if counting_suffices else None
        silent = machine.state is OPEN and not settings.shadow and not is_wanted(self, CallRejected)
        self.shut_until = machine.reopen_at if silent else ALWAYS

    # Admitting

    def admit(self) -> Any:  # noqa: ANN401 - a Ticket; Any for the reason given at `live`
        """Admit a call; return the ticket to settle it with, or NEEDS_LEASE.

        Raises:
            CircuitBreakerOpenError: The call is rejected.
        """
        if self.shut_until > ALWAYS:
            machine = self.machine
            left = self.shut_seconds()
            if 0 < left < NEVER:
                machine.rejected += 1
                raise CircuitBreakerOpenError(self.name, left, OPEN, machine.frozen_failures, machine.last_error)
        return accepted(self.try_admit())

    def try_admit(self) -> Ticket | CircuitBreakerOpenError:
        """Admit a call, as `admit()` does, but return the error of a rejected call; the rejection is counted."""
        machine = self.machine
        if machine.leaks:
            self.drain_leaks()
        if machine.state is CLOSED or machine.state is DISABLED:
            return machine.epoch
        now = self.now()
        port = self.port
        if port is None or not port.leads:
            return self._request_probe(now)
        ticket = port.request_probe(now)
        return self.reject(now) if ticket is None else ticket

    def _request_probe(self, now: float) -> Ticket | CircuitBreakerOpenError:
        """Admit the call as a probe if it is time for one, else reject it; no fleet leads."""
        machine = self.machine
        if machine.state is HALF_OPEN:
            if self.is_inside_probe(now):
                return UNCOUNTED
            self.leave_dead_loop()
            if machine.is_full(now):
                return self.reject(now)
        elif now < machine.reopen_at:
            return self.reject(now)
        lock = self.loop_lock().take()
        if lock is None:
            return self.reject(now)
        try:
            admission = machine.admit(now, SemaphoreGate)
            self.refresh()
        finally:
            lock.release()
        return self.admitted(admission, now)

    def is_inside_probe(self, now: float) -> bool:
        """Return whether the running code is part of a running probe of this breaker."""
        return any(self.machine.is_running(probe, now) for probe in entered_probes())

    def admitted(self, admission: Admission, now: float) -> Ticket | CircuitBreakerOpenError:
        """Report an admission and what it caused; return its ticket, or reject the call if it has none."""
        ticket = admission.ticket
        try:
            events = [event for expiry in admission.expired for event in self.note_expiry(expiry, now)]
            if admission.reopened is not None:
                events += self.note(admission.reopened)
            if isinstance(ticket, Probe) and is_wanted(self, ProbeAdmitted):
                events.append(probe_admitted(self.name, now, ticket))
            deliver(self, events)
        except BaseException:
            if ticket is not None:
                self.settle(ticket, IGNORED, None)
            raise
        return self.reject(now) if ticket is None else ticket

    def reject(self, now: float) -> Ticket | CircuitBreakerOpenError:
        """Count and report a rejection; return the error, which describes the state before listeners can change it."""
        machine = self.machine
        machine.rejected += 1
        shadow = machine.settings.shadow
        wait, state = machine.retry_after(now), machine.state
        reason = None if machine.cause is None else machine.cause.reason
        error = CircuitBreakerOpenError(self.name, wait, state, machine.frozen_failures, machine.last_error, reason)
        if is_wanted(self, CallRejected):
            deliver(self, [call_rejected(self.name, now, state, wait, shadow=shadow)])
        return UNCOUNTED if shadow else error

    def loop_lock(self) -> LoopLock:
        """Return the lock, made on first use: most breakers never need it."""
        if self.lock is None:
            self.lock = LoopLock()
        return self.lock

    def leave_dead_loop(self) -> None:
        """Give up the probes of another event loop: a breaker is used in one loop at a time."""
        episode = self.machine.episode
        if episode is not None and isinstance(episode.gate, SemaphoreGate) and episode.gate.token != current_token():
            self.machine.abandon_probes(SemaphoreGate(episode.settings.max_probes))

    def drain_leaks(self) -> None:
        """Release the tickets of permits that were dropped unsettled."""
        machine = self.machine
        while machine.leaks:
            machine.leak(machine.leaks.pop())
        wake(self)

    def lose(self, ticket: Ticket) -> None:
        """Count a dropped call as leaked, but leave a probe to `drain_leaks()`; for finalisers, in any thread."""
        if not isinstance(ticket, Probe):
            self.machine.leak(ticket)
            return
        self.machine.leaks.append(ticket)
        changed = self.changed
        if changed is not None:
            changed.set_soon()

    def begin(self, ticket: Ticket) -> float | None:
        """Enter the probe, if the call is one, and return the start as `start()` does."""
        if isinstance(ticket, Probe):
            enter_probe(ticket)
        return self.start(ticket)

    def start(self, ticket: Ticket) -> float | None:
        """Return when a call starts, in monotonic seconds; None if its duration is not needed."""
        if isinstance(ticket, Probe):
            return ticket.admitted_at
        machine = self.machine
        wanted = machine.meter.needs_duration or machine.settings.overdue_after_seconds is not None
        return self.now() if wanted or is_timing_wanted(self) else None

    # Settling

    def observe(self, epoch: Epoch) -> None:
        """Report a success of the closed path to the machine, unless the trip rule can do without it."""
        machine = self.machine
        now = 0.0
        if machine.meter.needs_clock:
            try:
                now = self.clock.raw()
                if now < epoch.edge:
                    return
            except Exception:  # noqa: BLE001 - whatever a clock raises; now() logs it
                now = math.nan
            if not math.isfinite(now):
                now = self.now()
        trigger = machine.observe(now)
        if trigger is not None:
            deliver(self, self._step(trigger, now))

    def call_returned(self, ticket: Ticket, result: object, started: float | None) -> None:
        """Settle a call that returned."""
        if ticket is UNCOUNTED:
            return
        failed_result = self.machine.settings_of(ticket).failed_result
        outcome = SUCCESS
        if failed_result is not None:
            try:
                outcome = FAILURE if failed_result(result) else SUCCESS
            except Exception as fault:  # noqa: BLE001 - logged
                self.settle(ticket, FAILURE, started)
                log_error(self, "failed_result of circuit breaker %r raised; the call counts as failed", fault)
                return
            except BaseException:
                self.settle(ticket, IGNORED, started)
                raise
        self.settle(ticket, outcome, started)

    def call_raised(self, ticket: Ticket, exc: BaseException, started: float | None) -> None:
        """Settle a call that ended with an exception."""
        if ticket is UNCOUNTED:
            return
        outcome = self.outcome_by_type.get(type(exc))
        if outcome is FAILURE and ticket is self.live and not self.machine.meter.needs_clock:
            self.failed_at = wall_clock()
            trigger = self.machine.count_failure(0.0, 0.0)
            if trigger is not None:
                deliver(self, self._step(trigger, 0.0, FAILURE, exc))
            return
        if isinstance(exc, GeneratorExit):  # the call was closed, or garbage collected
            if is_in_own_loop(ticket):
                self.settle(ticket, IGNORED, started, exc)
            else:
                self.lose(ticket)
            return
        settings = self.machine.settings_of(ticket)
        if outcome is not None and settings is self.machine.settings:
            self.settle(ticket, outcome, started, exc)
            return
        try:
            outcome, cancelled = self._classify(ticket, exc, started, settings)
        except Exception as fault:  # noqa: BLE001 - logged
            self.settle(ticket, FAILURE, started, exc)
            log_error(self, "A predicate of circuit breaker %r raised; the call counts as failed", fault)
            return
        except BaseException:
            self.settle(ticket, IGNORED, started)
            raise
        self.settle(ticket, outcome, started, exc, cancelled=cancelled)

    def _classify(
        self, ticket: Ticket, exc: BaseException, started: float | None, settings: Settings
    ) -> tuple[Outcome, bool]:
        """Return what an exception means, and whether it is an ignored cancellation."""
        if not is_cancellation(exc):
            classifier = self.classifier if settings is self.machine.settings else classifier_by(settings)
            return classifier.classify(exc), False
        if self._cancellations is None:
            self._cancellations = Cancellations(self.name, self.machine)
        outcome = self._cancellations.classify(ticket, exc, started, self.now)
        return outcome, outcome is IGNORED

    def settle(
        self,
        ticket: Ticket,
        outcome: Outcome,
        started: float | None,
        exc: BaseException | None = None,
        *,
        cancelled: bool = False,
        open_seconds: float | None = None,
    ) -> None:
        """Count the outcome of an admitted call, make the transition that it causes, if any, and report both."""
        if ticket is UNCOUNTED:
            return
        machine = self.machine
        epoch = machine.epoch
        if outcome is SUCCESS and ticket is epoch and not epoch.watch:
            self._count_success(epoch, started)
            return
        current = machine.is_current(ticket)
        wanted = is_wanted(self, KIND_OF_END[outcome] if current else LateOutcome)
        events: list[Event] = []
        try:
            now = self.now() if started is not None or wanted or machine.meter.needs_clock else 0.0
            duration = max(0.0, now - started) if started is not None else None
            if wanted and current:
                events.append(call_ended(self.name, now, ticket, outcome, duration, exc=exc, cancelled=cancelled))
            elif wanted:
                events.append(late_outcome(self.name, now, ticket, outcome))
        except BaseException:
            machine.settle(ticket, IGNORED, 0.0, 0.0)
            raise
        trigger = machine.settle(ticket, outcome, now, duration or 0.0, cancelled=cancelled)
        if self.port is not None and current and outcome is not IGNORED:
            self.port.settled(ticket, duration or 0.0, trigger)
        if current and outcome is FAILURE:
            self.failed_at = wall_clock()
        if trigger is not None:
            events += self._step(trigger, now, outcome, exc, duration, open_seconds=open_seconds)
        elif isinstance(ticket, Probe):
            wake(self)
        deliver(self, events)

    def _count_success(self, epoch: Epoch, started: float | None) -> None:
        """Count a success as the closed path does, and report it to listeners."""
        epoch.successes += 1
        dispatcher = self.dispatcher
        if dispatcher is not None and CallSucceeded in dispatcher.wanted:
            now = self.now()
            duration = max(0.0, now - started) if started is not None else None
            dispatcher.emit([call_succeeded(self.name, now, epoch.generation, duration)])

    def _step(
        self,
        trigger: Trigger,
        now: float,
        outcome: Outcome = SUCCESS,
        exc: BaseException | None = None,
        duration: float | None = None,
        *,
        open_seconds: float | None = None,
    ) -> list[Event]:
        """Make the transition that the end of a call causes; return the events to deliver.

        User code makes the text of the error. If an interrupt arrives there, the transition is made without the text.
        """
        if not self.machine.meter.needs_clock:
            now = self.now()
        try:
            last_error = last_error_of(trigger, outcome, exc, duration)
        except BaseException:
            deliver(self, self.note(self.transition(trigger, now, open_seconds=open_seconds)))
            raise
        return self.note(self.transition(trigger, now, last_error=last_error, open_seconds=open_seconds))

    def transition(self, trigger: Trigger, now: float, **details: Any) -> Transition:  # noqa: ANN401 - passed on
        """Make a transition of the machine."""
        self.live, self.shut_until = None, ALWAYS
        transition = self.machine.transition(trigger, now, **details)
        self.refresh()
        return transition

    # Reporting

    def note_expiry(self, expiry: Expiry, now: float) -> list[Event]:
        """Report a timed-out probe and the transition that it caused, if any; return the events to deliver."""
        if self.port is not None:
            self.port.expired(expiry)
        if expiry.outcome is FAILURE:
            self.failed_at = wall_clock()
        events = expired_probe(self, expiry, now)
        return events if expiry.transition is None else events + self.note(expiry.transition)

    def note(self, transition: Transition) -> list[Event]:
        """Report a transition to the fleet, to waiting tasks and to the log; return the events to deliver."""
        return report_transition(self, transition if self.port is None else self.port.transitioned(transition))

    def listeners(self) -> Dispatcher:
        """Return the dispatcher, made for the first listener."""
        if self.dispatcher is None:
            self.dispatcher = Dispatcher()
        return self.dispatcher

    # Time

    def shut_seconds(self) -> float:
        """Return for how many more seconds calls are rejected right away; 0 or less if they are not."""
        try:
            return self.shut_until - self.clock.raw()
        except Exception:  # noqa: BLE001 - whatever a clock raises; now() logs it
            return self.shut_until - self.now()

    def now(self) -> float:
        """Return the time in monotonic seconds; the last good reading if the clock fails."""
        return self.clock.read(self.name)


def accepted(answer: Ticket | CircuitBreakerOpenError) -> Ticket:
    """Return the ticket of an admitted call; raise the error of a rejected one."""
    if isinstance(answer, CircuitBreakerOpenError):
        try:
            raise answer
        finally:
            del answer  # the error's traceback holds this frame
    return answer
