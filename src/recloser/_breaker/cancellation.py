"""Recognises cancellations, and the deadline that caused one.

The exception shows whether it was the deadline of an anyio cancel scope around the call, and of which scope:

- trio: `Cancelled.source` is `"deadline"`. If the call had a nursery of its own, the source is `"unknown"`, and the
  cancellation's `__context__` has the answer. The scope is the outermost one around the task whose deadline has passed.
- asyncio: anyio >= 4.11 cancels the task with a message that names the scope and the reason. `asyncio.timeout()` and
  `asyncio.wait_for()` call `task.cancel()` without a message.

None of that is documented, so a test watches each of them. A cancellation that is not recognised as a deadline counts
as one without a known cause; two deadlines of trio whose scopes are not found count as one if they are close together.
"""

from __future__ import annotations

import math
import sys
from asyncio import CancelledError
from operator import attrgetter
from typing import NamedTuple
from weakref import ref

import anyio

PREFIX = "Cancelled via cancel scope "
SUFFIX = "; reason: deadline exceeded"
SAME_DEADLINE_SECONDS = 0.001
"""Cancellations that are this close to each other count as one if they can't be told apart otherwise."""


_STATUS, _SCOPE = attrgetter("_cancel_status"), attrgetter("_scope")


class Deadline(NamedTuple):
    """The deadline that ended a call.

    anyio passes the same string object to all tasks that a scope cancels. A reference to it keeps its identity unique;
    the scope's address in the text can be used again. Trio's scope is referenced weakly.
    """

    text: str | None
    at: float
    scope: ref[object] | None = None

    def is_same(self, other: Deadline) -> bool:
        """Return whether both were the same deadline."""
        if self.text is not None or other.text is not None:
            return self.text is other.text
        if self.scope is not None and other.scope is not None:
            return self.scope() is other.scope()
        return abs(self.at - other.at) <= SAME_DEADLINE_SECONDS


def is_cancellation(exc: BaseException) -> bool:
    """Return whether the exception is a cancellation of asyncio or trio, or a group of only those."""
    if isinstance(exc, BaseExceptionGroup):
        return all(map(is_cancellation, exc.exceptions))
    if isinstance(exc, CancelledError):
        return True
    trio = sys.modules.get("trio")
    return trio is not None and isinstance(exc, trio.Cancelled)


def deadline_of(exc: BaseException) -> Deadline | None:
    """Return the deadline of the cancel scope that caused a cancellation, None if something else caused it."""
    if isinstance(exc, BaseExceptionGroup):
        found = (deadline_of(leaf) for leaf in exc.exceptions)
        return next((deadline for deadline in found if deadline is not None), None)
    if isinstance(exc, CancelledError):
        text = exc.args[0] if exc.args else None
        if isinstance(text, str) and text.startswith(PREFIX) and text.endswith(SUFFIX):
            return Deadline(text, 0.0)
        return None
    source = getattr(exc, "source", None)
    if source == "deadline":
        return Deadline(None, _loop_time(), _expired_scope())
    if source == "unknown" and isinstance(exc.__context__, BaseException):
        return deadline_of(exc.__context__)
    return None


def _expired_scope() -> ref[object] | None:
    """Return trio's outermost cancel scope around this task whose deadline has passed; None if it can't be found."""
    import trio  # noqa: PLC0415 - it has raised the cancellation

    found: object = None
    try:
        status, now = _STATUS(trio.lowlevel.current_task()), trio.current_time()
        while status is not None:
            scope = _SCOPE(status)
            found = scope if scope.cancel_called and scope.deadline <= now else found
            status = status.parent
    except (AttributeError, RuntimeError):
        return None
    return None if found is None else ref(found)


def _loop_time() -> float:
    """Return the event loop's time; NaN, which equals nothing, if the loop is gone."""
    try:
        return anyio.current_time()
    except RuntimeError:
        return math.nan
