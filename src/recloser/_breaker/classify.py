"""What the end of a call means to a breaker: exceptions, cancellations and deadlines -> Outcome.

The core's classifier decides about exceptions; here it learns what means the same to every breaker. A cancelled call is
ignored, unless the deadline of an anyio scope around it ended it: then the dependency was too slow for its caller, and
that is one failure per deadline, however many calls it ends.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from recloser._breaker.cancellation import deadline_of, is_cancellation
from recloser._breaker.dispatch import log
from recloser._core.outcomes import Classifier, Outcome
from recloser.errors import MisuseError, NoAnswer, RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._breaker.cancellation import Deadline
    from recloser._core.machine import BreakerMachine
    from recloser._core.outcomes import ExceptionSpec
    from recloser._core.settings import Settings
    from recloser._core.tickets import Ticket

DEADLINES_REMEMBERED = 16
"""How many deadlines a breaker remembers, to count each once however many calls it ends."""
HINT_AFTER_CANCELLATIONS = 10
"""After so many bare cancellations in a row, without any outcome between them, a breaker logs a hint once."""
_HINTED = -(10**18)


def _classifier(expected: ExceptionSpec, ignored: ExceptionSpec) -> Classifier:
    return Classifier(
        expected,
        ignored,
        always_ignored=(RejectedError, MisuseError),
        never_expected=(NoAnswer,),
        is_cancellation=is_cancellation,
    )


_shared_classifier = cast("Callable[[ExceptionSpec, ExceptionSpec], Classifier]", lru_cache(maxsize=256)(_classifier))
"""One classifier, and so one cache of outcomes by type, for all breakers with the same exception types."""


def classifier_by(settings: Settings) -> Classifier:
    """Return the classifier that settings ask for."""
    expected, ignored = settings.expected_exception, settings.ignored_exception
    shared = isinstance(expected, type | tuple) and isinstance(ignored, type | tuple)
    return _shared_classifier(expected, ignored) if shared else _classifier(expected, ignored)


def is_overdue(machine: BreakerMachine, ticket: Ticket, started: float | None, read_clock: Callable[[], float]) -> bool:
    """Return whether a call that is cancelled now has run so long that this is a failure."""
    limit = machine.settings_of(ticket).count_cancelled_after_seconds
    return limit is not None and started is not None and read_clock() - started >= limit


class Cancellations:
    """What one breaker remembers of the calls that were cancelled; made at the first one.

    Args:
        breaker: The breaker's name.
        machine: Its machine.
    """

    __slots__ = ("_breaker", "_deadlines", "_machine", "_outcomes_seen", "_run")

    def __init__(self, breaker: str, machine: BreakerMachine) -> None:
        self._breaker = breaker
        self._machine = machine
        self._deadlines: tuple[Deadline, ...] = ()
        self._outcomes_seen = 0
        self._run = 0

    def classify(
        self, ticket: Ticket, exc: BaseException, started: float | None, read_clock: Callable[[], float]
    ) -> Outcome:
        """Return what a cancellation means: a failure if a deadline caused it, or if the call had run too long.

        Args:
            ticket: The call's ticket.
            exc: The cancellation.
            started: The instant at which the call started, None if it was not read.
            read_clock: Returns the instant.
        """
        deadline = deadline_of(exc)
        if deadline is not None:
            return self._by_deadline(deadline, is_current=self._machine.is_current(ticket))
        if self._machine.settings_of(ticket).count_cancelled_after_seconds is not None and started is not None:
            return Outcome.FAILURE if is_overdue(self._machine, ticket, started, read_clock) else Outcome.IGNORED
        self._count_unexplained()
        return Outcome.IGNORED

    def _by_deadline(self, deadline: Deadline, *, is_current: bool) -> Outcome:
        """Return a failure for a deadline that is new; remember it if the call's outcome still counts."""
        known = any(map(deadline.is_same, self._deadlines))
        if is_current:
            self._deadlines = (*self._deadlines, deadline)[-DEADLINES_REMEMBERED:]
        return Outcome.IGNORED if known else Outcome.FAILURE

    def _count_unexplained(self) -> None:
        """Count a cancellation of unknown cause; after many in a row, log once how to count them as failures."""
        outcomes = self._machine.epoch.successes + self._machine.epoch.failures
        if outcomes != self._outcomes_seen:
            self._outcomes_seen, self._run = outcomes, min(self._run, 0)
        self._run += 1
        if self._run == HINT_AFTER_CANCELLATIONS:
            self._run = _HINTED
            message = (
                "Circuit breaker %r saw %d cancelled calls in a row and no outcome. asyncio.timeout() and wait_for() "
                "look like any other cancellation and are ignored; set count_cancelled_after_seconds, or use "
                "anyio.fail_after(), to count calls that hang as failures"
            )
            log(logging.WARNING, message, self._breaker, HINT_AFTER_CANCELLATIONS)
