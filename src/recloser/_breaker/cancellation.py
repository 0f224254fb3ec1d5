"""Tells cancellations from other exceptions, and a deadline from other causes of one.

A cancelled call says nothing about its dependency, with one exception: if the deadline of an anyio cancel scope around
the call ended it, the dependency was too slow for its caller. Which of the two it was is read from the exception:

- trio: `Cancelled.source` is `"deadline"`. If the call had a nursery of its own the source is `"unknown"`, and the
  exceptions in the cancellation's context tell.
- asyncio: anyio >= 4.11 cancels the task with a text that names the scope and the reason. A bare `task.cancel()`, which
  is all that `asyncio.timeout` and `asyncio.wait_for` send, has no text.

Neither is documented, so a test watches each, and what is not recognised is ignored.
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
"""Under trio, cancellations by deadlines this close to each other are taken for the work of one."""


class Deadline(NamedTuple):
    """The deadline that ended a call.

    anyio hands one and the same string object to all tasks that a scope cancels. Holding on to it keeps its identity
    unique, which the address in it is not.
    """

    text: str | None
    at: float

    def is_same(self, other: Deadline) -> bool:
        """Return whether both were the same deadline."""
        if self.text is not None or other.text is not None:
            return self.text is other.text
        return abs(self.at - other.at) <= SAME_DEADLINE_SECONDS


def is_cancellation(exc: BaseException) -> bool:
    """Return whether the exception is a cancellation by asyncio or trio, or a group of nothing else."""
    if isinstance(exc, BaseExceptionGroup):
        return all(map(is_cancellation, exc.exceptions))
    if isinstance(exc, CancelledError):
        return True
    trio = sys.modules.get("trio")
    return trio is not None and isinstance(exc, trio.Cancelled)


def deadline_of(exc: BaseException) -> Deadline | None:
    """Return the deadline of the cancel scope that caused a cancellation, None if it was something else."""
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
    """Return the event loop's time; not a number, which is never the same, where the loop has gone."""
    try:
        return anyio.current_time()
    except RuntimeError:
        return math.nan
