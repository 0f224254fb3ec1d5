"""The condition for another attempt: the argument `on` of `Retry` and `Hedge`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from recloser._breaker.cancellation import is_cancellation
from recloser._breaker.log import LogLimit
from recloser._core.outcomes import Classifier, Outcome
from recloser._core.settings import check_exceptions
from recloser.errors import is_exempt

if TYPE_CHECKING:
    from recloser._core.outcomes import ExceptionSpec


class AttemptCondition:
    """Decides which exceptions of an attempt make another one worthwhile.

    Args:
        on: An exception type, a tuple of types, or a predicate on the exception.
        name: The name of the policy, for logs.

    Attributes:
        limit: Logs what the calls of the policy cause.

    Raises:
        TypeError: `on` is something else, or names a type that is no `Exception`.
    """

    __slots__ = ("_classifier", "_name", "limit")

    def __init__(self, on: ExceptionSpec, name: str) -> None:
        check_exceptions("on", on)
        for kind in on if isinstance(on, tuple) else (on,):
            if isinstance(kind, type) and not issubclass(kind, Exception):
                raise TypeError(f"on must name subclasses of Exception: {kind.__name__} ends a program or a task")
        self._classifier = Classifier(on, (), is_exempt=is_exempt, is_cancellation=is_cancellation, slot="on")
        self._name = name
        self.limit: LogLimit = LogLimit()

    def classify(self, exc: Exception) -> Outcome:
        """Return a failure if another attempt is worthwhile, a success if not; rejections and misuse are ignored.

        An exception group is a failure if any of its leaves is. If a predicate raises, no other attempt is worthwhile.
        """
        try:
            return self._classifier.classify(exc)
        except Exception as fault:  # noqa: BLE001 - logged; the caller gets the error of the call
            message = "The predicate of %r raised; there is no other attempt"
            self.limit.log(logging.ERROR, message, self._name, fault=fault)
            return Outcome.SUCCESS
