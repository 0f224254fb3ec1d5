"""What the server integrations share: finding the rejections in an exception, and the time to retry."""

from __future__ import annotations

import math
from typing import TypeAlias

from recloser import NoAnswer, RejectedError, rejection_of
from recloser.errors import FallbackExhaustedError

Rejection: TypeAlias = RejectedError | ExceptionGroup[Exception]


def rejection_in(exc: Exception) -> Rejection:
    """Return the rejection that an exception is or was raised from, or the group of such exceptions.

    A child of a task group raises its rejection inside a group, and an exhausted fallback chain is a group. A client
    may raise an error of its own from a rejection. `NoAnswer` beside a rejection is no error: it only says that another
    link of the chain could not help.

    Raises:
        Exception: Whatever the exception contains besides rejections; the exception itself if it contains none.
    """
    if not isinstance(exc, ExceptionGroup):
        found = rejection_of(exc)
        if found is None:
            raise exc
        return found
    rejections, rest = exc.split(_belongs)
    if rejections is None or rejections.subgroup(_is_rejection) is None:
        raise exc
    if rest is not None:
        raise rest
    return rejections


def _belongs(part: Exception) -> bool:
    return _is_rejection(part) or isinstance(part, NoAnswer)


def _is_rejection(part: BaseException) -> bool:
    """Return whether a part of a group is a rejection or was raised from one; the parts of groups are asked about."""
    return not isinstance(part, BaseExceptionGroup) and rejection_of(part) is not None


def is_all(kind: type[RejectedError], rejection: Exception) -> bool:
    """Return whether all rejections are of one type."""
    if isinstance(rejection, ExceptionGroup):
        return all(is_all(kind, part) for part in rejection.exceptions)
    return isinstance(rejection_of(rejection) or rejection, (kind, NoAnswer))


def retry_after(rejection: Exception) -> int | None:
    """Return after how many whole seconds a retry makes sense, >= 1; None if that is unknown.

    A task group needs all its children, so the longest wait counts. A fallback chain needs one of its links, so the
    shortest wait counts. Unknown waits are skipped.
    """
    seconds = _wait_seconds(rejection)
    return None if seconds is None else max(1, math.ceil(seconds))


def _wait_seconds(exc: Exception) -> float | None:
    if isinstance(exc, ExceptionGroup):
        waits = [wait for wait in map(_wait_seconds, exc.exceptions) if wait is not None]
        needed = min if isinstance(exc, FallbackExhaustedError) else max
        return needed(waits, default=None)
    found = rejection_of(exc)
    wait = None if found is None else found.retry_after
    return wait if wait is not None and math.isfinite(wait) else None
