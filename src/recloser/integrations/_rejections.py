"""What the server integrations share: finding the rejections in an exception, and the time to retry."""

from __future__ import annotations

import math
from typing import TypeAlias

from recloser import NoAnswer, RejectedError
from recloser.errors import FallbackExhaustedError

Rejection: TypeAlias = RejectedError | ExceptionGroup[Exception]


def rejection_in(exc: Exception) -> Rejection:
    """Return the rejection that an exception is, or the group of rejections.

    A child of a task group raises its rejection inside a group, and an exhausted fallback chain is a group. `NoAnswer`
    beside a rejection is no error: it only says that another link of the chain could not help.

    Raises:
        Exception: Whatever the exception contains besides rejections; the exception itself if it contains none.
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
    """Return whether all rejections are of one type."""
    if isinstance(rejection, ExceptionGroup):
        return all(is_all(kind, part) for part in rejection.exceptions)
    return isinstance(rejection, (kind, NoAnswer))


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
    wait = exc.retry_after if isinstance(exc, RejectedError) else None
    return wait if wait is not None and math.isfinite(wait) else None
