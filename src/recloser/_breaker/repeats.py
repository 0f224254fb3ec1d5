"""Tells whether a failure has counted already: in a call inside, through the same breaker.

A failure that passes through two levels of one breaker, such as a decorated function that calls another one, is one
failure of the dependency. A call that sees no other failure while it runs need not ask; else the traceback tells which
calls of the breaker the exception has passed through. Nothing keeps the exception alive.

The traceback of an exception object that is raised again goes on with that of the last time. What was raised in another
call is told by its first frame: no frame of the call itself has caught it.

A guard and a permit leave no frame of their own in a traceback, so each task remembers where its last one has failed.
"""

from __future__ import annotations

from contextvars import ContextVar
from dis import opmap
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType, TracebackType


class Place(NamedTuple):
    """Where a block or a permit has failed.

    Attributes:
        engine: The id of the breaker's engine.
        exc: The id of the exception.
        code: The code that held the permit.
        line: The line that the exception came from.
        failures: How many failures the breaker had counted by then; a later object can have the same id.
    """

    engine: int
    exc: int
    code: CodeType
    line: int
    failures: int


_PACKAGE = __name__.rpartition(".")[0]
_RAISE = opmap["RAISE_VARARGS"]
_places: ContextVar[tuple[Place, ...]] = ContextVar("_places", default=())
"""Those of one exception, at most one for each breaker."""


def note_place(engine: object, failures: int, exc: BaseException | None) -> None:
    """Remember where an exception has reached the holder of a permit, if it was raised.

    Args:
        engine: The engine of the breaker.
        failures: How many failures the breaker has counted.
        exc: The exception, in the code that holds the permit.
    """
    step = None if exc is None else exc.__traceback__
    if step is not None:
        place = Place(id(engine), id(exc), step.tb_frame.f_code, step.tb_lineno, failures)
        others = (old for old in _places.get() if old.exc == place.exc and old.engine != place.engine)
        _places.set((place, *others))


def has_counted(engine: object, exc: BaseException, failures: int) -> bool:
    """Return whether an exception has ended a call of the breaker inside the one that it ends now.

    A cancellation never has: what it means depends on the time that each of the calls took.

    Args:
        engine: The engine of the breaker.
        exc: The exception, in the frame that ends the call.
        failures: How many failures the breaker had counted when that call started.
    """
    if not isinstance(exc, Exception):
        return False
    known = id(engine), id(exc)
    places = [place[2:4] for place in _places.get() if place[:2] == known and place.failures > failures]
    head = exc.__traceback__
    for step in _steps(head):
        frame = step.tb_frame
        if (frame.f_code, step.tb_lineno) in places:
            return True
        if step is not head and frame.f_globals.get("__package__") == _PACKAGE:
            stream = frame.f_locals.get("stream")
            if frame.f_locals.get("engine", getattr(stream, "engine", None)) is engine:
                return True
    return False


def _steps(step: TracebackType | None) -> Iterator[TracebackType]:
    """Yield the steps of a traceback, up to one in which the exception was raised that had not been caught there."""
    frames: set[FrameType] = set()
    while step is not None:
        yield step
        frame, code = step.tb_frame, step.tb_frame.f_code.co_code
        frames.add(frame)
        is_raised = code[step.tb_lasti] == _RAISE
        step = step.tb_next
        if is_raised and step is not None and step.tb_frame not in frames:
            return
