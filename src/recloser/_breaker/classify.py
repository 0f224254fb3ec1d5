"""Turns the end of a call into an Outcome: exceptions, cancellations and deadlines.

The core's classifier decides about exceptions; this module adds the rules that hold for every breaker. A cancelled call
is ignored, unless the deadline of an anyio scope around the call caused it: then the dependency was too slow for its
caller. A deadline counts as one failure, however many calls it ends.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, cast

from recloser._breaker.cancellation import deadline_of, is_cancellation
from recloser._breaker.log import log
from recloser._core.outcomes import Classifier, Outcome
from recloser._core.tickets import ShadowCall
from recloser.errors import NoAnswer, is_exempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._breaker.cancellation import Deadline
    from recloser._core.machine import BreakerMachine
    from recloser._core.outcomes import ExceptionSpec
    from recloser._core.settings import Settings
    from recloser._core.tickets import Ticket

    def raised() -> BaseException:
        """Return the exception that is being handled."""
        ...
else:
    from sys import exception

    raised = exception


DEADLINES_REMEMBERED = 16
"""How many deadlines a breaker remembers, so that each counts once."""
HINT_AFTER_CANCELLATIONS = 10
"""How many cancellations without a known cause, and no outcome between them, make a breaker log a hint."""
_HINTED = -(10**18)


def _classifier(expected: ExceptionSpec, ignored: ExceptionSpec) -> Classifier:
    return Classifier(
        expected,
        ignored,
        is_exempt=is_exempt,
        never_expected=(NoAnswer,),
        is_cancellation=is_cancellation,
    )


_shared_classifier = cast("Callable[[ExceptionSpec, ExceptionSpec], Classifier]", lru_cache(maxsize=256)(_classifier))
"""Breakers with the same exception types share a classifier, and with it a cache of outcomes by type."""


def classifier_by(settings: Settings) -> Classifier:
    """Return the classifier for the exceptions that the settings name."""
    expected, ignored = settings.expected_exception, settings.ignored_exception
    shared = isinstance(expected, type | tuple) and isinstance(ignored, type | tuple)
    return _shared_classifier(expected, ignored) if shared else _classifier(expected, ignored)


class ClassifyingEngine(Protocol):
    """What this module reads of a breaker's engine."""

    classifier: Classifier


def counts_as_failure(engine: ClassifyingEngine, exc: object) -> bool:
    """Return whether an exception counts as a failure.

    Raises:
        TypeError: It is not an exception.
    """
    if not isinstance(exc, BaseException):
        raise TypeError(f"exc must be an exception, not {exc!r}")
    return not is_cancellation(exc) and engine.classifier.classify(exc) is Outcome.FAILURE


def is_overdue(machine: BreakerMachine, ticket: Ticket, started: float | None, read_clock: Callable[[], float]) -> bool:
    """Return whether a call that is cancelled now has reached `overdue_after_seconds`."""
    limit = machine.settings_of(ticket).overdue_after_seconds
    return limit is not None and started is not None and read_clock() - started >= limit


class Cancellations:
    """Classifies the cancelled calls of one breaker; made for the first one.

    Args:
        breaker: The name of the breaker.
        machine: The breaker's machine.
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
        """Return what a cancellation means: a failure if a deadline caused it or the call has run too long.

        Args:
            ticket: The ticket of the call.
            exc: The cancellation.
            started: When the call started, in monotonic seconds; None if that was not measured.
            read_clock: Returns the time now, in monotonic seconds.
        """
        deadline = deadline_of(exc)
        if deadline is not None:
            return self._by_deadline(deadline, is_current=self._machine.is_current(ticket))
        if self._machine.settings_of(ticket).overdue_after_seconds is not None and started is not None:
            return Outcome.FAILURE if is_overdue(self._machine, ticket, started, read_clock) else Outcome.IGNORED
        if not isinstance(ticket, ShadowCall):
            self._count_unexplained()
        return Outcome.IGNORED

    def _by_deadline(self, deadline: Deadline, *, is_current: bool) -> Outcome:
        """Return a failure for a new deadline; remember the deadline if the call's outcome still counts."""
        known = any(map(deadline.is_same, self._deadlines))
        if is_current:
            self._deadlines = (*self._deadlines, deadline)[-DEADLINES_REMEMBERED:]
        return Outcome.IGNORED if known else Outcome.FAILURE

    def _count_unexplained(self) -> None:
        """Count a cancellation without a known cause; after many in a row, log once how to count them as failures."""
        outcomes = self._machine.epoch.successes + self._machine.epoch.failures
        if outcomes != self._outcomes_seen:
            self._outcomes_seen, self._run = outcomes, min(self._run, 0)
        self._run += 1
        if self._run == HINT_AFTER_CANCELLATIONS:
            self._run = _HINTED
            message = (
                "Circuit breaker %r saw %d cancelled calls in a row and no outcome. asyncio.timeout() and wait_for() "
                "look like any other cancellation and are ignored; set overdue_after_seconds, or use "
                "anyio.fail_after(), to count calls that hang as failures"
            )
            log(logging.WARNING, message, self._breaker, HINT_AFTER_CANCELLATIONS)
