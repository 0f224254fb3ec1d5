"""Recognises cancellations, and the deadline that caused one.

A cancelled call says nothing about its dependency, with one exception: if the deadline of an anyio cancel scope around
the call ended it, the dependency was too slow for its caller. The exception shows whether it was a deadline:

- trio: `Cancelled.source` is `"deadline"`. If the call had a nursery of its own, the source is `"unknown"`, and the
  cancellation's `__context__` has the answer.
- asyncio: anyio >= 4.11 cancels the task with a message that names the scope and the reason. `asyncio.timeout()` and
  `asyncio.wait_for()` call `task.cancel()` without a message.

Neither is documented, so a test watches each of them. A cancellation that is not recognised as a deadline is ignored.
"""

from __future__ import annotations

import math
import sys
from asyncio import CancelledError
from typing import NamedTuple

import anyio

PREFIX = "Cancelled via cancel scope "
SUFFIX = "; reason: deadline exceeded"
SAME_DEADLINE_SECONDS = 0.001
"""Under trio, deadlines that are this close to each other count as one."""


class Deadline(NamedTuple):
    """The deadline that ended a call.

    anyio passes the same string object to all tasks that a scope cancels. A reference to it keeps its identity unique;
    the scope's address in the text can be used again.
    """

    text: str | None
    at: float

    def is_same(self, other: Deadline) -> bool:
        """Return whether both were the same deadline."""
        if self.text is not None or other.text is not None:
            return self.text is other.text
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
        return Deadline(None, _loop_time())
    if source == "unknown" and isinstance(exc.__context__, BaseException):
        return deadline_of(exc.__context__)
    return None


def _loop_time() -> float:
    """Return the event loop's time; NaN, which equals nothing, if the loop is gone."""
    try:
        return anyio.current_time()
    except RuntimeError:
        return math.nan
