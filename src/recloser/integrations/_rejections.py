"""What the servers' integrations share: finding the rejections in what a handler raised, and when to come back."""

from __future__ import annotations

import math
from typing import TypeAlias

from recloser import FallbackExhaustedError, NoAnswer, RejectedError

Rejection: TypeAlias = RejectedError | ExceptionGroup[Exception]


def rejection_in(exc: Exception) -> Rejection:
    """Return an exception that is a rejection, or a group of nothing else.

    A child of a task group raises its rejection inside of a group, and an exhausted fallback chain is one. A link that
    had no answer is no failure of its own: beside a rejection it only says that the link could not help.

    Raises:
        Exception: What the exception holds besides rejections; all of it, if it holds none.
    """
    if isinstance(exc, RejectedError):
        return exc
    if not isinstance(exc, ExceptionGroup):
        raise exc
    rejections, rest = exc.split((RejectedError, NoAnswer))
    if rejections is None or rejections.subgroup(RejectedError) is None:
        raise exc
    if rest is not None:
        raise rest
    return rejections


def is_all(kind: type[RejectedError], rejection: Exception) -> bool:
    """Return whether all rejections are of one kind."""
    if isinstance(rejection, ExceptionGroup):
        return all(is_all(kind, part) for part in rejection.exceptions)
    return isinstance(rejection, (kind, NoAnswer))


def retry_after(rejection: Exception) -> int | None:
    """Return in how many whole seconds it is worth to try again, >= 1; None if nobody knows.

    A task group needs all of its children, so the longest wait counts; a fallback chain needs one of its links, so the
    shortest does. Waits that are not known are passed over.
    """
    seconds = _wait_seconds(rejection)
    return None if seconds is None else max(1, math.ceil(seconds))


def _wait_seconds(exc: Exception) -> float | None:
    if isinstance(exc, ExceptionGroup):
        waits = [wait for wait in map(_wait_seconds, exc.exceptions) if wait is not None]
        needed = min if isinstance(exc, FallbackExhaustedError) else max
        return needed(waits, default=None)
    wait = exc.retry_after if isinstance(exc, RejectedError) else None
    return wait if wait is not None and math.isfinite(wait) else None
