"""Admits calls and settles them: the anyio shell around one state machine, and the only code that drives it.

Everything here is synchronous. Nothing interleaves between two awaits, so admitting, counting and releasing are single
steps that can't be cancelled halfway. The step from open to half-open takes an `anyio.Lock`, without waiting. Every
step that changes the state also holds `STEP`, since manual control may come from another thread; no user code runs
meanwhile. So what a step has to report is queued under the lock and delivered after it.

The closed path is not here: `watch` describes it. Three fields lead calls to it, or past it. A transition clears all
three first and sets them again at its end; if an exception from outside interrupts the transition, they stay None, and
the next call uses `admit()`.

A permit, a guard, a stream, a decorated function and an unsubscribe function refer to the engine only, and may outlive
the `CircuitBreaker` around it. `face` finds the breaker as long as it lives.

The state changes before any listener is called. What user code raises (predicates, listeners, clocks) is logged and
never reaches the caller, except KeyboardInterrupt and SystemExit, which propagate once the call is settled.
"""

from __future__ import annotations

from time import time as wall_clock
from typing import TYPE_CHECKING, Any, NoReturn, cast

from recloser._breaker.admission import accepted, admitted, request_probe, take
from recloser._breaker.cancellation import is_cancellation
from recloser._breaker.classify import classifier_by
from recloser._breaker.clock import clock_of
from recloser._breaker.cut_offs import CutOffs
from recloser._breaker.dispatch import Dispatcher
from recloser._breaker.loop_bound import LoopLock, is_in_own_loop
from recloser._breaker.loop_watch import can_watch
from recloser._breaker.notify import (
    deliver,
    enqueue,
    expired_probe,
    is_wanted,
    log_error,
    note_wrong_expiry,
    report_transition,
    slow_probe,
    wake,
)
from recloser._breaker.openings import openings
from recloser._breaker.probe_context import enter_probe, entered_probes
from recloser._breaker.records import KIND_OF_END, Record, call_ended, late_outcome
from recloser._breaker.rejection import reject, reported_rejection
from recloser._breaker.repeats import has_counted
from recloser._breaker.sampling import is_sample, is_sampling, is_timed, sample, take_sample, time_starts
from recloser._breaker.shadow import settle_apart
from recloser._breaker.stalled import awaited, begin_watched, cut_off, unless_stalled
from recloser._breaker.steps import STEP
from recloser._breaker.taking_down import error_text
from recloser._breaker.watch import Watch, is_start_needed, measure, relieve, watch_of
from recloser._core.events import CallFailed, LateOutcome
from recloser._core.machine import CLOSED, DISABLED, FAILURE, OPEN, SUCCESS, BreakerMachine
from recloser._core.outcomes import Outcome
from recloser._core.states import Trigger
from recloser._core.tickets import UNCOUNTED, Epoch, Expiry, Probe, ProbeEnd, ShadowCall, Ticket
from recloser._core.windows import ALWAYS, NEVER
from recloser.errors import CircuitBreakerOpenError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from recloser._breaker.loop_bound import LoopEvent, ThreadEvent
    from recloser._core.events import Event, StateChanged, Transition
    from recloser._core.fleet import LeasePort
    from recloser._core.outcomes import Classifier
    from recloser._core.settings import Settings

IGNORED = Outcome.IGNORED
NO_OUTCOMES: dict[type[BaseException], Outcome] = {}
"""Nothing is ever added to it."""


class Engine:
    """One breaker's machine, run under anyio."""

    __slots__ = (
        "__weakref__",
        "classifier",
        "counting",
        "cut_offs",
        "definition",
        "dispatcher",
        "face",
        "failed_at",
        "finalisers",
        "is_in_watched_loop",
        "is_limit_doubted",
        "live",
        "lock",
        "machine",
        "name",
        "now",
        "outcome_by_type",
        "port",
        "returned",
        "shut_until",
        "waiting",
        "watch",
    )

    shut_until: float
    live: Any
    """The machine's epoch while calls on the closed path start without a clock reading, else None.

    Typed as Any, because a ticket that is the live epoch is used as an epoch.
    """
    counting: Any
    """The machine's epoch while a success is only counted, else None; typed as Any likewise."""
    watch: Watch | None
    """What else is done with calls on the closed path."""
    outcome_by_type: dict[type[BaseException], Outcome]
    """The outcomes of exceptions that need no more than a count; empty if listeners or a fleet are told of failures."""

    def __init__(self, name: str, settings: Settings, clock: Callable[[], float], random: Random) -> None:
        self.name: str = name
        read_clock, now = clock_of(name, clock)
        self.now: Callable[[], float] = read_clock  # never raises; monotonic seconds
        self.machine: BreakerMachine = BreakerMachine(settings, random, now)
        self.face: Callable[[], Any] | None = None  # the CircuitBreaker around this engine, while it lives
        self.port: LeasePort | None = None  # the connection to a fleet
        self.definition: object = None  # how a registry defined the breaker
        self.returned: type | None = type(None)  # the type of what `call()` has returned last
        self.lock: LoopLock | None = None
        self.dispatcher: Dispatcher | None = None
        self.waiting: dict[LoopEvent | ThreadEvent, None] | None = None  # one for each who waits for a chance
        self.finalisers: tuple[Any, ...] = ()  # the only references: they run when the engine is gone
        self.cut_offs: CutOffs | None = None
        self.failed_at: float | None = None
        self.is_limit_doubted: bool = False  # whether the log has said that probes take longer than their limit
        self.is_in_watched_loop: bool = not can_watch(self)  # else the next call that starts sees to it
        self.classify_by(settings)
        self.refresh()

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied and pickled, with whatever holds the engine: each copy would know half of the calls."""
        raise TypeError(f"circuit breaker {self.name!r} can be neither copied nor pickled; share the object itself")

    def classify_by(self, settings: Settings) -> None:
        """Classify exceptions by new settings."""
        self.classifier: Classifier = classifier_by(settings)

    def refresh(self) -> None:
        """Update whether the closed path is available, and until when calls are rejected right away."""
        with STEP:
            self._refresh()

    def _refresh(self) -> None:
        machine = self.machine
        epoch = machine.epoch if machine.admits_all else None
        timed = epoch is not None and is_timed(self, epoch)
        watch = None if epoch is None else watch_of(self.name, machine.settings, epoch, self.dispatcher, is_timed=timed)
        self.watch = watch
        times_starts = watch is not None and watch.times_starts
        is_due = epoch is not None and epoch.is_start_due and not times_starts and is_sampling(self)
        if is_due or not self.is_in_watched_loop:
            self.watch = None  # so that the next call is sampled, or has its event loop watched, in `start()`
            times_starts = True
        self.live = None if times_starts else epoch
        self.counting = None if watch is not None and (watch.times_ends or watch.failed_result is not None) else epoch
        watched = is_wanted(self, CallFailed) or (self.port is not None and machine.meter.needs_clock)
        self.outcome_by_type = NO_OUTCOMES if watched else self.classifier.outcome_by_type
        self.shut_until = machine.reopen_at if machine.state is OPEN and not machine.settings.shadow else ALWAYS

    # Admitting

    def admit(self) -> Any:  # noqa: ANN401 - a Ticket; Any for the reason given at `live`
        """Admit a call; return the ticket to settle it with, or NEEDS_LEASE.

        Raises:
            CircuitBreakerOpenError: The call is rejected.
        """
        if self.shut_until > ALWAYS:
            machine = self.machine
            now = self.now()
            left = self.shut_until - now
            if 0 < left < NEVER:
                machine.rejected += 1
                if self.dispatcher is not None:
                    raise reported_rejection(self, now, left)
                raise CircuitBreakerOpenError(self.name, left, OPEN, machine.frozen_failures, machine.last_error)
        return accepted(self.try_admit())

    def try_admit(self) -> Ticket | CircuitBreakerOpenError:
        """Admit a call, as `admit()` does, but return the error of a rejected call; the rejection is counted."""
        machine = self.machine
        if machine.leaks:
            self.drain_leaks()
        epoch = machine.epoch  # before the state: another thread may change both in between
        if machine.admits_all:
            return epoch
        now = self.now()
        if machine.state is DISABLED:
            return epoch if now < machine.reopen_at else admitted(self, take(self, now), now)
        port = self.port
        if port is None or not port.leads:
            return request_probe(self, now)
        ticket = port.request_probe(now)
        return self.reject(now) if ticket is None else ticket

    def reject(self, now: float) -> Ticket | CircuitBreakerOpenError:
        """Count and report a rejection; return the error, or a ticket in shadow mode."""
        return reject(self, now)

    def is_inside_probe(self, now: float) -> bool:
        """Return whether the running code is part of a running probe of this breaker."""
        return any(self.machine.is_running(probe, now) for probe in entered_probes())

    def drain_leaks(self) -> None:
        """Release the tickets of permits that were dropped unsettled."""
        machine = self.machine
        with STEP:
            while machine.leaks:
                machine.leak(machine.leaks.pop())
        wake(self)

    def lose(self, ticket: Ticket) -> None:
        """Count a dropped call as leaked, but leave a probe to `drain_leaks()`; for finalisers, in any thread."""
        if not isinstance(ticket, Probe):
            self.machine.leak(ticket)
            return
        self.machine.leaks.append(ticket)
        for event in list(self.waiting or ()):
            event.set_soon()

    def begin(self, ticket: Ticket) -> float | None:
        """Enter the probe, if the call is one, and return the start as `start()` does."""
        if isinstance(ticket, Probe):
            enter_probe(ticket)
        return self.start(ticket)

    def start(self, ticket: Ticket) -> float | None:
        """Return when a call starts, in monotonic seconds; None if its duration is not needed."""
        if isinstance(ticket, Probe | ShadowCall):
            return ticket.admitted_at
        settings, epoch = self.machine.settings, self.machine.epoch
        is_sampled = ticket is epoch and take_sample(self, epoch)
        is_after_stall = not self.is_in_watched_loop and begin_watched(self, ticket)
        timed = is_sampled or is_after_stall or is_timed(self, epoch)
        return self.now() if is_start_needed(settings, self.dispatcher, is_timed=timed) else None

    # Settling

    def observe(self, epoch: Epoch, started: float | None) -> None:
        """Report a success of the closed path to the machine, and sample how long successes take if it is time to."""
        if epoch.successes >= epoch.sample_at:
            sample(self, epoch, started)
        if not epoch.observed:
            return
        now = self.now() if self.machine.meter.needs_clock else 0.0
        with STEP:
            trigger = self.machine.observe(now)
        if trigger is not None:
            self.trip(epoch, now)

    def succeed(self, ticket: Ticket, started: float | None, exc: BaseException | None = None) -> None:
        """Settle a call that succeeded, maybe with an exception, and learn how long it took if it is a sample."""
        sampled = started is not None and is_sample(self, ticket)
        epoch = self.machine.epoch
        if ticket is epoch and ticket is self.counting:
            if sampled:
                self.machine.learn(awaited(self, self.now() - cast("float", started)))
            if epoch.successes + 1 < epoch.look_at:
                epoch.successes += 1
                return
            sampled = False
        self.settle(ticket, SUCCESS, started, exc, sampled=sampled)
        if started is None and ticket is epoch and epoch.successes >= epoch.sample_at:
            sample(self, epoch, None)

    def call_raised(
        self,
        ticket: Ticket,
        exc: BaseException,
        started: float | None,
        failures: int,
        awaited_from: float | None = None,
    ) -> None:
        """Settle a call that ended with an exception.

        Args:
            ticket: The ticket of the call.
            exc: The exception.
            started: When the call started, in monotonic seconds; None if its duration is not needed.
            failures: How many failures had been counted when it started.
            awaited_from: When the wait began that the exception ended, if that was after the start.
        """
        if ticket is UNCOUNTED:
            return
        is_repeated = ticket.failures != failures and has_counted(self, exc, failures)
        if self.outcome_by_type.get(type(exc)) is FAILURE and not is_repeated:
            watch = self.watch
            timed = watch is not None and watch.epoch is ticket and watch.report is None and started is not None
            if timed or ticket is self.counting:
                self.count_failure(ticket, exc, started if timed else None)
                return
        if isinstance(exc, GeneratorExit):  # the call was closed, or garbage collected
            if is_in_own_loop(ticket):
                self.settle(ticket, IGNORED, started, exc)
            else:
                self.lose(ticket)
            return
        settings, cancelled = self.machine.settings_of(ticket), False
        outcome = self.classifier.outcome_by_type.get(type(exc)) if settings is self.machine.settings else None
        if outcome is None:
            try:
                since = started if awaited_from is None else awaited_from
                outcome, cancelled = self._classify(ticket, exc, since, settings)
            except Exception as fault:  # noqa: BLE001 - logged
                self.settle(ticket, FAILURE, started, exc)
                log_error(self, "A predicate of circuit breaker %r raised; the call counts as failed", fault)
                return
            except BaseException:
                self.settle(ticket, IGNORED, started)
                raise
        if outcome is SUCCESS and awaited_from is None:
            self.succeed(ticket, started, exc)
        else:
            outcome = IGNORED if is_repeated and outcome is FAILURE else outcome
            self.settle(ticket, outcome, started, exc, cancelled=cancelled)

    def count_failure(self, ticket: Ticket, exc: BaseException, started: float | None = None) -> None:
        """Count a failure on the closed path, of which nobody has to be told."""
        machine = self.machine
        now = self.now() if started is not None or machine.meter.needs_clock else 0.0
        duration = 0.0 if started is None else awaited(self, max(0.0, now - started))
        self.failed_at = wall_clock()
        with STEP:
            trigger = machine.count_failure(now, duration)
        if trigger is not None:
            self.trip(ticket, now, FAILURE, exc)

    def _classify(
        self, ticket: Ticket, exc: BaseException, since: float | None, settings: Settings
    ) -> tuple[Outcome, bool]:
        """Return what an exception means, and whether it is an ignored cancellation."""
        if not is_cancellation(exc):
            classifier = self.classifier if settings is self.machine.settings else classifier_by(settings)
            return classifier.classify(exc), False
        if self.cut_offs is None:
            self.cut_offs = CutOffs(self.name, self.machine)
        outcome = cut_off(self, self.cut_offs, ticket, exc, since)
        if since is None:
            time_starts(self, ticket, self.cut_offs)
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
        sampled: bool = False,
    ) -> None:
        """Count the outcome of an admitted call, make the transition that it causes, if any, and report both."""
        outcome = unless_stalled(self, outcome, exc, started)
        if ticket is UNCOUNTED or isinstance(ticket, ShadowCall):
            settle_apart(self, ticket, outcome, started, exc)
            return
        machine, current = self.machine, self.machine.is_current(ticket)
        wanted = is_wanted(self, KIND_OF_END[outcome] if current else LateOutcome)
        events: list[Record] = []
        try:
            now = self.now() if started is not None or wanted or machine.meter.needs_clock else 0.0
            duration = max(0.0, now - started) if started is not None else None
            waited = awaited(self, duration or 0.0)
            if sampled:
                machine.learn(waited)
            if wanted and current:
                events.append(call_ended(self, now, ticket, outcome, duration, exc=exc, cancelled=cancelled))
            elif wanted:
                events.append(late_outcome(self.name, now, ticket, outcome))
        except BaseException:
            with STEP:
                machine.settle(ticket, IGNORED, 0.0, 0.0)
            raise
        if isinstance(ticket, Probe):
            self._settle_probe(ProbeEnd(ticket, outcome, now, duration, cancelled, open_seconds), exc, [*events])
            return
        with STEP:
            current = machine.is_current(ticket)
            trigger = machine.settle(ticket, outcome, now, waited, cancelled=cancelled)
            self._count(ticket, outcome, waited, trigger, current=current)
        if current and duration is not None:
            measure(self.dispatcher, outcome, duration, now, exc)
        try:
            if trigger is None:
                for event in events:
                    self.report(event)
            else:
                self.trip(ticket, now, outcome, exc, [*events], open_seconds=open_seconds)
        finally:
            relieve(self.dispatcher)

    def _count(
        self, ticket: Ticket, outcome: Outcome, duration: float, trigger: Trigger | None, *, current: bool
    ) -> None:
        """Report a settled call to the fleet, and keep the time of a failure."""
        if self.port is not None and current and outcome is not IGNORED:
            self.port.settled(ticket, duration, trigger)
        if current and outcome is FAILURE:
            self.failed_at = wall_clock()

    def _settle_probe(self, end: ProbeEnd, exc: BaseException | None, events: list[Event | Record]) -> None:
        """Settle a probe and make the transition that it causes, if any, in one step."""
        machine, ticket, duration = self.machine, end.probe, awaited(self, end.duration or 0.0)
        error, interrupt = error_text(self, exc) if end.outcome is FAILURE else (None, None)
        now = end.now if machine.meter.needs_clock else self.now()
        with STEP:
            current = machine.is_current(ticket)
            trigger = machine.settle(ticket, end.outcome, end.now, duration, cancelled=end.cancelled)
            self._count(ticket, end.outcome, duration, trigger, current=current)
            if trigger is Trigger.PROBE_FAILED and end.outcome is SUCCESS:
                error = slow_probe(duration)
            if trigger is None:
                wake(self)
            else:
                transition = self.transition(trigger, now, last_error=error, open_seconds=end.open_seconds)
                events.append(self.note(transition))
                ticket.successor = machine.epoch if machine.state is CLOSED else None
            enqueue(self, events)
            self.refresh()
        if current and end.duration is not None:
            measure(self.dispatcher, end.outcome, end.duration, end.now, exc)
        try:
            deliver(self, events)
            if end.outcome is SUCCESS and ticket.overran is not None:
                note_wrong_expiry(self, ticket.overran.limit_seconds, duration)
        finally:
            relieve(self.dispatcher)
        if interrupt is not None:
            raise interrupt

    def trip(
        self,
        ticket: Ticket,
        now: float,
        outcome: Outcome = SUCCESS,
        exc: BaseException | None = None,
        events: list[Event | Record] | None = None,
        *,
        open_seconds: float | None = None,
    ) -> None:
        """Open the breaker because its rule is met, unless another thread has moved it since; deliver the events.

        User code makes the text of the error. If an interrupt arrives there, the breaker opens without the text.
        """
        events = [] if events is None else events
        if not self.machine.meter.needs_clock:
            now = self.now()
        error, interrupt = error_text(self, exc) if outcome is FAILURE else (None, None)
        with STEP:
            if self.machine.epoch is ticket:
                transition = self.transition(Trigger.TRIPPED, now, last_error=error, open_seconds=open_seconds)
                events.append(self.note(transition))
            enqueue(self, events)
            self.refresh()
        deliver(self, events)
        if exc is not None:
            openings.add(self, exc)
        if interrupt is not None:
            raise interrupt

    def transition(self, trigger: Trigger, now: float, **details: Any) -> Transition:  # noqa: ANN401 - passed on
        """Make a transition of the machine; holding `STEP`. `refresh()` follows once its event is queued."""
        self.live = self.counting = self.watch = None
        self.shut_until = ALWAYS
        return self.machine.transition(trigger, now, at=wall_clock(), **details)

    # Reporting

    def note_expiry(self, expiry: Expiry, now: float) -> list[Event | Record]:
        """Report a probe that has run out of time, and the transition; return the events to deliver."""
        if self.port is not None:
            self.port.expired(expiry)
        if expiry.outcome is FAILURE:
            self.failed_at = wall_clock()
        measure(self.dispatcher, expiry.outcome, now - expiry.probe.admitted_at, now, None)
        return [*expired_probe(self, expiry, now), self.note(expiry.transition)]

    def note(self, transition: Transition) -> StateChanged:
        """Report a transition to the fleet and to waiting tasks; return its event. Holding `STEP`."""
        return report_transition(self, transition if self.port is None else self.port.transitioned(transition))

    def report(self, record: Record) -> None:
        """Deliver the record of one call to the listeners, after what is queued."""
        cast("Dispatcher", self.dispatcher).report(record)  # there are only records where there were listeners

    def listeners(self) -> Dispatcher:
        """Return the dispatcher, made for the first listener."""
        with STEP:
            if self.dispatcher is None:
                self.dispatcher = Dispatcher()
            return self.dispatcher
