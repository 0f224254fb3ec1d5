"""Turns the exception that ended a call into an Outcome.

The core's classifier decides; this module adds the rules that hold for every breaker. `cut_offs` classifies the calls
that were cancelled.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, cast

from recloser._breaker.cancellation import is_cancellation
from recloser._core.outcomes import Classifier, Outcome
from recloser.errors import NoAnswer, is_exempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._core.outcomes import ExceptionSpec
    from recloser._core.settings import Settings

    def raised() -> BaseException:
        """Return the exception that is being handled."""
        ...
else:
    from sys import exception

    raised = exception


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
