"""Classifies calls that are cut off: ended from outside, by a deadline or another cancellation.

Such a call is a failure if it was overdue, that is if it had been awaited for longer than the dependency usually takes;
otherwise it is ignored. `_core.usual` has the rule.

One cause is one failure, however many calls it ends. Deadlines of anyio can be told apart. Other cancellations within a
millisecond count once: nobody can tell a task group that shuts down from many time limits.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING

from recloser._breaker.cancellation import SAME_DEADLINE_SECONDS, deadline_of
from recloser._breaker.log import log
from recloser._core.outcomes import Outcome
from recloser._core.tickets import ShadowCall
from recloser._core.usual import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._breaker.cancellation import Deadline
    from recloser._core.machine import BreakerMachine
    from recloser._core.tickets import Epoch, Ticket

DEADLINES_REMEMBERED = 128
"""How many deadlines a breaker remembers, so that each counts once."""
HINT_AFTER_CUT_OFFS = 10
"""How many calls that are cut off and ignored, and no outcome between them, make a breaker log a hint."""
_HINTED = -(10**18)

has_lost: ContextVar[Callable[[], bool]] = ContextVar("has_lost", default=lambda: False)
"""Tells whether the running task is an attempt that another one has beaten: its caller was not done waiting."""


class CutOffs:
    """Classifies the calls of one breaker that are cut off; made for the first one.

    Args:
        breaker: The name of the breaker.
        machine: The breaker's machine.
    """

    __slots__ = ("_breaker", "_cancelled_at", "_deadlines", "_machine", "_outcomes_seen", "_run", "timed")

    def __init__(self, breaker: str, machine: BreakerMachine) -> None:
        self._breaker = breaker
        self._machine = machine
        self._deadlines: tuple[Deadline, ...] = ()
        self._cancelled_at: float | None = None
        self._outcomes_seen = 0
        self._run = 0
        self.timed: Epoch | None = None  # the generation in which the start of each call is read

    def classify(self, ticket: Ticket, exc: BaseException, since: float | None, now: float) -> Outcome:
        """Return what a cancellation means.

        Args:
            ticket: The ticket of the call.
            exc: The cancellation.
            since: Since when the dependency had been awaited, in monotonic seconds; None if that is not known.
            now: The time now.
        """
        deadline = deadline_of(exc)
        waited = None if since is None else max(0.0, now - since)
        if waited is None or not self._is_overdue(ticket, waited, by_deadline=deadline is not None):
            if not isinstance(ticket, ShadowCall):
                self._count_ignored(ticket, waited)
            return Outcome.IGNORED
        if self._is_known(deadline, now):
            return Outcome.IGNORED
        if not self._machine.is_current(ticket):
            return Outcome.FAILURE
        self._remember(deadline, now)
        if not self._is_telling(ticket):
            return Outcome.IGNORED
        self._machine.count_overdue().total += 1
        return Outcome.FAILURE

    def _is_overdue(self, ticket: Ticket, waited: float, *, by_deadline: bool) -> bool:
        limit = self._machine.settings_of(ticket).overdue_after_seconds
        if limit is not None:
            return waited >= limit
        return not has_lost.get()() and self._machine.is_overdue(waited, by_deadline=by_deadline)

    def _is_telling(self, ticket: Ticket) -> bool:
        """Return whether an overdue call counts by itself, or with those just before it."""
        machine = self._machine
        if ticket is not machine.epoch or machine.settings.overdue_after_seconds is not None:
            return True
        return machine.count_overdue().is_telling(machine.epoch.successes)

    def _is_known(self, deadline: Deadline | None, now: float) -> bool:
        """Return whether what has cut off a call has counted already."""
        if deadline is not None:
            return any(map(deadline.is_same, self._deadlines))
        return self._cancelled_at is not None and now - self._cancelled_at <= SAME_DEADLINE_SECONDS

    def _remember(self, deadline: Deadline | None, now: float) -> None:
        if deadline is None:
            self._cancelled_at = now
        else:
            self._deadlines = (*self._deadlines, deadline)[-DEADLINES_REMEMBERED:]

    def _count_ignored(self, ticket: Ticket, waited: float | None) -> None:
        """Count a call that was not overdue; after many in a row, log once how long they may take."""
        machine = self._machine
        if machine.settings_of(ticket).overdue_after_seconds is not None:
            return
        outcomes = machine.epoch.successes + machine.epoch.failures
        if outcomes != self._outcomes_seen:
            self._outcomes_seen, self._run = outcomes, min(self._run, 0)
        self._run += 1
        if self._run == HINT_AFTER_CUT_OFFS:
            self._run = _HINTED
            message = (
                "Circuit breaker %r saw %d calls in a row that were cut off, and no outcome. They are ignored, because "
                "none of them was known to be overdue: the last one was cut off after %s; %s. If such calls hang, set "
                "overdue_after_seconds to what a call may take"
            )
            after = "an unknown time" if waited is None else _milliseconds(waited)
            log(logging.WARNING, message, self._breaker, HINT_AFTER_CUT_OFFS, after, self._usual())

    def _usual(self) -> str:
        slowest = self._machine.slowest
        if slowest is not None:
            return f"successes take up to {_milliseconds(slowest)}"
        return f"no success is known, and then only deadlines of anyio count, after {_milliseconds(DEADLINE_SECONDS)}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
