"""What an exception means to a breaker: the core's classifier, with what means the same to all breakers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

from recloser._breaker.cancellation import is_cancellation
from recloser._core.outcomes import Classifier
from recloser.errors import MisuseError, NoAnswer, RejectedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._core.outcomes import ExceptionSpec
    from recloser._core.settings import Settings


def _classifier(expected: ExceptionSpec, ignored: ExceptionSpec) -> Classifier:
    return Classifier(
        expected,
        ignored,
        always_ignored=(RejectedError, MisuseError),
        never_expected=(NoAnswer,),
        is_cancellation=is_cancellation,
    )


_shared_classifier = cast("Callable[[ExceptionSpec, ExceptionSpec], Classifier]", lru_cache(maxsize=256)(_classifier))
"""One classifier for all breakers with the same exception types, and so one memory of verdicts."""


def classifier_by(settings: Settings) -> Classifier:
    """Return the classifier that settings ask for."""
    expected, ignored = settings.expected_exception, settings.ignored_exception
    shared = isinstance(expected, type | tuple) and isinstance(ignored, type | tuple)
    return _shared_classifier(expected, ignored) if shared else _classifier(expected, ignored)
