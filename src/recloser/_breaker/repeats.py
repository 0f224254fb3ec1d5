"""Tells whether a failure has counted already: in a call inside, through the same breaker.

A failure that passes through two levels of one breaker, such as a decorated function that calls another one, is one
failure of the dependency. A call that sees no other failure while it runs need not ask; else the traceback tells which
calls of the breaker the exception has passed through. Nothing keeps the exception alive.

A guard and a permit leave no frame of their own in a traceback, so each task remembers where its last one has failed.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, TracebackType


class Place(NamedTuple):
    """Where a block or a permit has failed.

    Attributes:
        engine: The id of the breaker's engine.
        exc: The id of the exception.
        code: The code that held the permit.
        line: The line that the exception came from.
    """

    engine: int
    exc: int
    code: CodeType
    line: int


_PACKAGE = __name__.rpartition(".")[0]
_places: ContextVar[tuple[Place, ...]] = ContextVar("_places", default=())
"""Those of one exception, at most one for each breaker."""


def note_place(engine: object, exc: BaseException | None) -> None:
    """Remember where an exception has reached the holder of a permit, if it was raised."""
    step = None if exc is None else exc.__traceback__
    if step is not None:
        place = Place(id(engine), id(exc), step.tb_frame.f_code, step.tb_lineno)
        others = (old for old in _places.get() if old.exc == place.exc and old.engine != place.engine)
        _places.set((place, *others))


def has_counted(engine: object, exc: BaseException) -> bool:
    """Return whether an exception has ended a call of the breaker inside the one that it ends now."""
    places, head = _places.get(), exc.__traceback__
    for step in _steps(head):
        frame = step.tb_frame
        if (id(engine), id(exc), frame.f_code, step.tb_lineno) in places:
            return True
        if step is not head and frame.f_globals.get("__package__") == _PACKAGE:
            stream = frame.f_locals.get("stream")
            if frame.f_locals.get("engine", getattr(stream, "engine", None)) is engine:
                return True
    return False


def _steps(step: TracebackType | None) -> Iterator[TracebackType]:
    while step is not None:
        yield step
        step = step.tb_next
