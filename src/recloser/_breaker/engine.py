"""Admits calls to a breaker and settles them: the inner half of the anyio shell around the state machine.

Everything here is synchronous. Between two awaits nothing interleaves, so that deciding, counting and releasing are
single steps that cannot be cancelled halfway and need no lock; only the step from open to half-open takes one, without
waiting.

The closed path is not here. It is written out where calls are made (`CircuitBreaker.call`, the decorator, the guard):

    epoch = self._live                    # None: closed path not available, ask _enter()
    ... await the call ...                # an exception goes to _raised()
    if self._live is epoch:               # else: _returned()
        epoch.successes += 1
        if epoch.watch: self._observe(epoch)

`_live` is the machine's epoch while the breaker is closed or disabled and nobody wants to know more than the number of
successes: no listener that wants single calls, no durations, no predicate on results.

A transition takes the closed path away before it begins and gives it back when it is done, so that one that an
exception from outside tears apart leaves a breaker that asks `_enter()`.

Rules: the state is settled before anybody is told. What user code raises (predicates, listeners, clocks) is logged and
never reaches the caller, except for KeyboardInterrupt and SystemExit, which go through after the call has been settled.
"""

from __future__ import annotations

import logging
import math
from time import time as wall_clock
from typing import TYPE_CHECKING, Any

from anyio.lowlevel import current_token

from recloser._breaker.cancellation import DEADLINES_REMEMBERED, Deadline, deadline_of, is_cancellation
from recloser._breaker.classify import classifier_by
from recloser._breaker.dispatch import TIMED_KINDS, Dispatcher, log, log_transition
from recloser._breaker.loop_bound import Bell, LoopLock, SemaphoreGate, running_token
from recloser._breaker.notify import (
    KIND_OF_END,
    call_ended,
    call_rejected,
    call_succeeded,
    last_error_of,
    late_outcome,
    probe_admitted,
    state_changed,
)
from recloser._breaker.probe_context import enter_probe, entered_probes
from recloser._core.events import CallRejected, CallSucceeded, LateOutcome, ProbeAdmitted, StateChanged
from recloser._core.machine import (
    CLOSED,
    DISABLED,
    FAILURE,
    FORCED_OPEN,
    HALF_OPEN,
    OPEN,
    SUCCESS,
    Admission,
    BreakerMachine,
    Epoch,
    Expiry,
    Probe,
    Ticket,
)
from recloser._core.outcomes import Outcome
from recloser._core.windows import ALWAYS, NEVER
from recloser.errors import CircuitBreakerOpenError

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from recloser._core.events import Event, Transition
    from recloser._core.settings import Settings
    from recloser._core.states import Trigger

    def raised() -> BaseException:
        """Return the exception that is being handled."""
        ...
else:
    from sys import exception

    raised = exception

IGNORED = Outcome.IGNORED
UNCOUNTED = Epoch(0, 0, 0)
"""The ticket of a call that goes through and counts for nothing: shadow mode would have rejected it, or it comes from
inside a running probe."""
HINT_AFTER_CANCELLATIONS = 10


class Gatekeeper:
    """What a breaker needs to admit and to settle calls."""

    __slots__ = (
        "__weakref__",
        "_bell",
        "_cancelled_run",
        "_classifier",
        "_clock",
        "_clock_failed",
        "_deadlines",
        "_definition",
        "_dispatcher",
        "_failed_at",
        "_last_words",
        "_leaks",
        "_live",
        "_lock",
        "_machine",
        "_name",
        "_now_known",
        "_opened_at",
        "_outcomes_known",
        "_shut_until",
        "_verdicts",
    )

    _shut_until: float
    _live: Any
    """The machine's epoch or None; Any, because a ticket that is identical to it is an epoch."""
    _definition: object
    """How a registry defined the breaker; None for one that was made by itself."""
    _last_words: tuple[Any, ...]
    """What nobody else holds: its finalisers tell ledgers what the breaker had counted, when it is gone."""

    def __init__(self, name: str, settings: Settings, clock: Callable[[], float], random: Random) -> None:
        self._name = name
        self._clock = clock
        self._clock_failed = False
        self._now_known = _checked_reading(clock())
        self._machine = BreakerMachine(settings, random, self._now_known)
        self._lock: LoopLock | None = None
        self._dispatcher: Dispatcher | None = None
        self._bell: Bell | None = None
        self._definition = None
        self._last_words = ()
        self._leaks: list[Ticket] = []
        self._deadlines: tuple[Deadline, ...] = ()
        self._failed_at: float | None = None
        self._opened_at: float | None = None
        self._cancelled_run = self._outcomes_known = 0
        self._classify_by(settings)
        self._refresh()

    def _classify_by(self, settings: Settings) -> None:
        self._classifier = classifier_by(settings)
        self._verdicts = self._classifier.verdicts

    def _refresh(self) -> None:
        """Find out whether the closed path is available, and until when calls are rejected without further ado."""
        machine = self._machine
        settings = machine.settings
        counting_suffices = (
            (machine.state is CLOSED or machine.state is DISABLED)
            and not machine.meter.needs_duration
            and settings.failed_result is None
            and settings.count_cancelled_after_seconds is None
            and not self._is_timing_wanted()
        )
        self._live = machine.epoch if counting_suffices else None
        silent = machine.state is OPEN and not settings.shadow and not self._is_wanted(CallRejected)
        self._shut_until = machine.reopen_at if silent else ALWAYS

    def _is_wanted(self, kind: type[Event]) -> bool:
        """Return whether anybody wants to be told of events of a kind."""
        return self._dispatcher is not None and kind in self._dispatcher.wanted

    def _is_timing_wanted(self) -> bool:
        """Return whether anybody wants to be told of each call, and how long it took."""
        return self._dispatcher is not None and not TIMED_KINDS.isdisjoint(self._dispatcher.wanted)

    # Admitting

    def _enter(self) -> Any:  # noqa: ANN401 - a Ticket; Any for the reason given at _live
        """Admit a call; return the ticket by which it is settled.

        Raises:
            CircuitBreakerOpenError: The call is rejected.
        """
        if self._shut_until > ALWAYS:
            machine = self._machine
            left = self._shut_seconds()
            if 0 < left < NEVER:
                machine.rejected += 1
                raise CircuitBreakerOpenError(self._name, left, OPEN, machine.frozen_failures, machine.last_error)
        ticket = self._ask()
        if isinstance(ticket, CircuitBreakerOpenError):
            try:
                raise ticket
            finally:
                del ticket  # the error's traceback holds this frame
        return ticket

    def _ask(self) -> Ticket | CircuitBreakerOpenError:
        """Admit a call; return the ticket by which it is settled, or the error, counted and told, if it is rejected."""
        if self._leaks:
            self._drain()
        machine = self._machine
        if machine.state is CLOSED or machine.state is DISABLED:
            return machine.epoch
        return self._knock(self._now())

    def _knock(self, now: float) -> Ticket | CircuitBreakerOpenError:
        """Ask for a probe."""
        machine = self._machine
        if machine.state is HALF_OPEN:
            if self._is_inside_probe(now):
                return UNCOUNTED
            self._leave_dead_loop()
            if machine.is_full(now):
                return self._reject(now)
        elif now < machine.reopen_at:
            return self._reject(now)
        lock = self._loop_lock().take()
        if lock is None:
            return self._reject(now)
        try:
            admission = machine.admit(now, SemaphoreGate)
            self._refresh()
        finally:
            lock.release()
        return self._admitted(admission, now)

    def _is_inside_probe(self, now: float) -> bool:
        """Return whether the running code is a part of a probe of this breaker that is still under way."""
        return any(self._machine.is_running(probe, now) for probe in entered_probes())

    def _admitted(self, admission: Admission, now: float) -> Ticket | CircuitBreakerOpenError:
        ticket = admission.ticket
        try:
            events = [event for expiry in admission.expired for event in self._note_expiry(expiry, now)]
            if admission.reopened is not None:
                events += self._note(admission.reopened)
            if isinstance(ticket, Probe) and self._is_wanted(ProbeAdmitted):
                events.append(probe_admitted(self._name, now, ticket))
            self._deliver(events)
        except BaseException:
            if ticket is not None:
                self._settle(ticket, IGNORED, None)
            raise
        return self._reject(now) if ticket is None else ticket

    def _reject(self, now: float) -> Ticket | CircuitBreakerOpenError:
        """Count and tell a rejection; return its error as the state is now, before listeners can change it."""
        machine = self._machine
        machine.rejected += 1
        shadow = machine.settings.shadow
        wait, state = machine.retry_after(now), machine.state
        reason = None if machine.cause is None else machine.cause.reason
        error = CircuitBreakerOpenError(self._name, wait, state, machine.frozen_failures, machine.last_error, reason)
        if self._is_wanted(CallRejected):
            self._deliver([call_rejected(self._name, now, state, wait, shadow=shadow)])
        return UNCOUNTED if shadow else error

    def _loop_lock(self) -> LoopLock:
        """Return the lock, made when it is first needed: most breakers never need it."""
        if self._lock is None:
            self._lock = LoopLock()
        return self._lock

    def _leave_dead_loop(self) -> None:
        """Give up the probes of another event loop: one breaker, one loop at a time."""
        episode = self._machine.episode
        if episode is not None and isinstance(episode.gate, SemaphoreGate) and episode.gate.token != current_token():
            self._machine.abandon_probes(SemaphoreGate(episode.settings.max_probes))

    def _drain(self) -> None:
        """Release the tickets of permits that were dropped without being settled."""
        while self._leaks:
            self._machine.leak(self._leaks.pop())
        self._wake()

    def _lose(self, ticket: Ticket) -> None:
        """Note a probe to be released later, count another call as leaked; for finalisers, in any thread."""
        if not isinstance(ticket, Probe):
            self._machine.leak(ticket)
            return
        self._leaks.append(ticket)
        bell = self._bell
        if bell is not None:
            bell.ring_soon()

    def _begin(self, ticket: Ticket) -> float | None:
        """As `_start()`, for a call that is made in the running context."""
        if isinstance(ticket, Probe):
            enter_probe(ticket)
        return self._start(ticket)

    def _start(self, ticket: Ticket) -> float | None:
        """Return the instant at which a call starts, None if nobody will want to know."""
        if isinstance(ticket, Probe):
            return ticket.admitted_at
        machine = self._machine
        wanted = machine.meter.needs_duration or machine.settings.count_cancelled_after_seconds is not None
        return self._now() if wanted or self._is_timing_wanted() else None

    # Settling

    def _observe(self, epoch: Epoch) -> None:
        """Show the machine a success on the closed path, if it wants to see it."""
        machine = self._machine
        now = 0.0
        if machine.meter.needs_clock:
            try:
                now = self._clock()
                if now < epoch.edge:
                    return
            except Exception:  # noqa: BLE001 - whatever a clock raises; _now() logs it
                now = math.nan
            if not math.isfinite(now):
                now = self._now()
        trigger = machine.observe(now)
        if trigger is not None:
            self._deliver(self._step(trigger, now))

    def _returned(self, ticket: Ticket, result: object, started: float | None) -> None:
        """Settle a call that returned."""
        if ticket is UNCOUNTED:
            return
        failed_result = self._settings_of(ticket).failed_result
        outcome = SUCCESS
        if failed_result is not None:
            try:
                outcome = FAILURE if failed_result(result) else SUCCESS
            except Exception as fault:  # noqa: BLE001 - logged
                self._settle(ticket, FAILURE, started)
                self._log_error("failed_result of circuit breaker %r raised; the call counts as failed", fault)
                return
            except BaseException:
                self._settle(ticket, IGNORED, started)
                raise
        self._settle(ticket, outcome, started)

    def _raised(self, ticket: Ticket, exc: BaseException, started: float | None) -> None:
        """Settle a call that ended with an exception."""
        if ticket is UNCOUNTED:
            return
        outcome = self._verdicts.get(type(exc))
        if outcome is FAILURE and ticket is self._live and not self._machine.meter.needs_clock:
            self._failed_at = wall_clock()
            trigger = self._machine.count_failure(0.0, 0.0)
            if trigger is not None:
                self._deliver(self._step(trigger, 0.0, FAILURE, exc))
            return
        if isinstance(exc, GeneratorExit):  # the call was closed, or is garbage
            if _is_at_home(ticket):
                self._settle(ticket, IGNORED, started, exc)
            else:
                self._lose(ticket)
            return
        settings = self._settings_of(ticket)
        if outcome is None or settings is not self._machine.settings:
            try:
                outcome, cancelled = self._judge(ticket, exc, started, settings)
            except Exception as fault:  # noqa: BLE001 - logged
                self._settle(ticket, FAILURE, started, exc)
                self._log_error("A predicate of circuit breaker %r raised; the call counts as failed", fault)
                return
            except BaseException:
                self._settle(ticket, IGNORED, started)
                raise
            self._settle(ticket, outcome, started, exc, cancelled=cancelled)
        else:
            self._settle(ticket, outcome, started, exc)

    def _judge(
        self, ticket: Ticket, exc: BaseException, started: float | None, settings: Settings
    ) -> tuple[Outcome, bool]:
        """Return what an exception means, and whether it is a cancellation that means nothing."""
        if is_cancellation(exc):
            outcome = self._judge_cancellation(ticket, exc, started)
            return outcome, outcome is IGNORED
        held = settings is self._machine.settings
        return (self._classifier if held else classifier_by(settings)).judge(exc), False

    def _judge_cancellation(self, ticket: Ticket, exc: BaseException, started: float | None) -> Outcome:
        """Return what a cancellation means: nothing, unless a deadline around the call ran out, once per deadline."""
        deadline = deadline_of(exc)
        if deadline is not None:
            known = any(map(deadline.is_same, self._deadlines))
            if self._machine.is_current(ticket):
                self._deadlines = (*self._deadlines, deadline)[-DEADLINES_REMEMBERED:]
            return IGNORED if known else FAILURE
        if self._settings_of(ticket).count_cancelled_after_seconds is not None and started is not None:
            return FAILURE if self._is_overdue(ticket, started) else IGNORED
        self._hint_at_cancellations()
        return IGNORED

    def _is_overdue(self, ticket: Ticket, started: float | None) -> bool:
        """Return whether a call that is cancelled now has run so long that this is a failure."""
        limit = self._settings_of(ticket).count_cancelled_after_seconds
        return limit is not None and started is not None and self._now() - started >= limit

    def _settings_of(self, ticket: Ticket) -> Settings:
        """Return the settings that a call is judged by: a half-open episode keeps those that it began with."""
        episode = self._machine.episode
        kept = episode is not None and isinstance(ticket, Probe) and ticket in episode.probes
        return episode.settings if episode is not None and kept else self._machine.settings

    def _hint_at_cancellations(self) -> None:
        """Tell once how to count calls that are always cancelled and never end."""
        machine = self._machine
        outcomes = machine.epoch.successes + machine.epoch.failures
        if outcomes != self._outcomes_known:
            self._outcomes_known, self._cancelled_run = outcomes, min(self._cancelled_run, 0)
        self._cancelled_run += 1
        if self._cancelled_run == HINT_AFTER_CANCELLATIONS:
            self._cancelled_run = -(10**18)
            log(
                logging.WARNING,
                "Circuit breaker %r saw %d cancelled calls in a row and no outcome. asyncio.timeout() and wait_for() "
                "look like any other cancellation and count as nothing; set count_cancelled_after_seconds, or use "
                "anyio.fail_after(), to count calls that hang as failures",
                self._name,
                HINT_AFTER_CANCELLATIONS,
            )

    def _settle(
        self,
        ticket: Ticket,
        outcome: Outcome,
        started: float | None,
        exc: BaseException | None = None,
        *,
        cancelled: bool = False,
        open_seconds: float | None = None,
    ) -> None:
        """Count how an admitted call ended, go where that leads, and tell those who listen."""
        if ticket is UNCOUNTED:
            return
        machine = self._machine
        epoch = machine.epoch
        if outcome is SUCCESS and ticket is epoch and not epoch.watch:
            self._count_success(epoch, started)
            return
        current = machine.is_current(ticket)
        wanted = self._is_wanted(KIND_OF_END[outcome] if current else LateOutcome)
        events: list[Event] = []
        try:
            now = self._now() if started is not None or wanted or machine.meter.needs_clock else 0.0
            duration = max(0.0, now - started) if started is not None else None
            if wanted and current:
                events.append(call_ended(self._name, now, ticket, outcome, duration, exc=exc, cancelled=cancelled))
            elif wanted:
                events.append(late_outcome(self._name, now, ticket, outcome))
        except BaseException:
            machine.settle(ticket, IGNORED, 0.0, 0.0)
            raise
        trigger = self._count(ticket, outcome, now, duration or 0.0, cancelled=cancelled)
        if current and outcome is FAILURE:
            self._failed_at = wall_clock()
        if trigger is not None:
            events += self._step(trigger, now, outcome, exc, duration, open_seconds=open_seconds)
        elif isinstance(ticket, Probe):
            self._wake()
        self._deliver(events)

    def _count(
        self, ticket: Ticket, outcome: Outcome, now: float, duration: float, *, cancelled: bool
    ) -> Trigger | None:
        """Count how an admitted call ended; return where it leads."""
        return self._machine.settle(ticket, outcome, now, duration, cancelled=cancelled)

    def _count_success(self, epoch: Epoch, started: float | None) -> None:
        """Count a success as the closed path does, and tell those who listen."""
        epoch.successes += 1
        dispatcher = self._dispatcher
        if dispatcher is not None and CallSucceeded in dispatcher.wanted:
            now = self._now()
            duration = max(0.0, now - started) if started is not None else None
            dispatcher.emit([call_succeeded(self._name, now, epoch.generation, duration)])

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
        """Go where the end of a call leads; return what listeners are to be told.

        The error's text comes from user code, and with it may come an interrupt: the step is made all the same.

        Args:
            trigger: Where it leads.
            now: When the call ended; ignored unless the meter needs the clock.
            outcome: What its end means.
            exc: How it ended, if it raised.
            duration: Seconds that it took, if they were measured.
            open_seconds: How long an opening lasts; None means as the backoff says.
        """
        if not self._machine.meter.needs_clock:
            now = self._now()
        try:
            last_error = last_error_of(trigger, outcome, exc, duration)
        except BaseException:
            self._deliver(self._note(self._transition(trigger, now, open_seconds=open_seconds)))
            raise
        return self._note(self._transition(trigger, now, last_error=last_error, open_seconds=open_seconds))

    def _transition(self, trigger: Trigger, now: float, **details: Any) -> Transition:  # noqa: ANN401 - passed on
        self._live, self._shut_until = None, ALWAYS
        transition = self._machine.transition(trigger, now, **details)
        self._refresh()
        return transition

    # Telling

    def _note_expiry(self, expiry: Expiry, now: float) -> list[Event]:
        """As `_note()`, for a probe whose time was over and what that led to."""
        if expiry.outcome is FAILURE:
            self._failed_at = wall_clock()
        events: list[Event] = []
        if self._is_wanted(KIND_OF_END[expiry.outcome]):
            seconds = now - expiry.probe.admitted_at
            events.append(call_ended(self._name, now, expiry.probe, expiry.outcome, seconds, text=expiry.error))
        return events if expiry.transition is None else events + self._note(expiry.transition)

    def _note(self, transition: Transition) -> list[Event]:
        """Wake those who wait and log a transition; return what listeners are to be told."""
        if transition.new is OPEN or transition.new is FORCED_OPEN:
            self._opened_at = wall_clock()
        elif transition.new is not HALF_OPEN:
            self._opened_at = None
        self._wake()
        event = state_changed(self._name, transition)
        log_transition(event)
        return [event] if self._is_wanted(StateChanged) else []

    def _log_error(self, message: str, fault: Exception) -> None:
        """Log an error of user code; the message names the breaker by `%r`."""
        log(logging.ERROR, message, self._name, exc_info=fault)

    def _deliver(self, events: list[Event]) -> None:
        """Tell listeners what one step gave rise to, all of it before what they themselves give rise to."""
        if events and self._dispatcher is not None:
            self._dispatcher.emit(events)

    def _wake(self) -> None:
        """Let those look again who wait until a call has a chance."""
        bell, self._bell = self._bell, None
        if bell is not None:
            bell.ring()

    # Time

    def _shut_seconds(self) -> float:
        """Return how long calls are still rejected without further ado; not above 0 if they are not."""
        try:
            return self._shut_until - self._clock()
        except Exception:  # noqa: BLE001 - whatever a clock raises; _now() logs it
            return self._shut_until - self._now()

    def _now(self) -> float:
        """Read the clock and check the reading; the last good one if the clock fails."""
        try:
            now = self._clock()
            self._now_known = now if math.isfinite(now) else _checked_reading(now)
        except Exception as fault:  # noqa: BLE001 - logged
            first, self._clock_failed = not self._clock_failed, True
            if first:
                self._log_error("The clock of circuit breaker %r failed; its last reading is used", fault)
        else:
            self._clock_failed = False
        return self._now_known


def _is_at_home(ticket: Ticket) -> bool:
    """Return whether an event loop runs in this thread, and for a probe, whether it is the one it came from."""
    token = running_token()
    if isinstance(ticket, Probe) and isinstance(ticket.gate, SemaphoreGate):
        return token == ticket.gate.token
    return token is not None


def _checked_reading(now: float) -> float:
    if not math.isfinite(now):
        raise ValueError(f"the clock must return a finite number of seconds, not {now!r}")
    return now
