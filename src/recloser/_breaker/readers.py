"""Tells an error of a stream's source from one of its reader.

`contextlib.asynccontextmanager`, and web frameworks whose endpoints depend on async generators, throw the errors of the
reader into the generator. A generator lets them through, so that they come out like errors of the source. What comes
out as the same object is the reader's, alone or as a leaf of a task group's exception group. What the source raises in
its place is the source's.

The reader may also have got its error from the source, through the item: for example from a database session that has
lost its connection. Of the thrown exception and all that led to it, these are errors of the source, provided that the
breaker counts them as failures:

- an exception that was raised in a method of the item;
- an exception that led to the thrown one and that `expected_exception` names. The default names every Exception, also
  the reader's own. Then only a network error that is the direct cause or context of the thrown exception counts.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

from recloser._core.outcomes import Outcome, causes, leaves

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

    from recloser._breaker.engine import Engine
    from recloser._core.outcomes import ExceptionSpec

NETWORK_ERRORS = (ConnectionError, socket.gaierror)
"""No TimeoutError: the reader may have set the limit, and for anything."""
_NO_SELF = object()


class Throw(NamedTuple):
    """An exception that the reader of a stream has thrown into it."""

    exc: BaseException
    item: object
    """What the source had yielded."""
    handled: int
    """The id of the exception that the reader was handling when the stream began."""


def error_of_source(engine: Engine, exc: BaseException, throw: Throw) -> BaseException | None:
    """Return what the end of a stream says about its source; None if only an error of the reader ended it.

    Args:
        engine: The engine of the breaker.
        exc: What has come out of the source, as the frame that forwards the items has caught it.
        throw: What the reader has thrown into it.
    """
    thrown_leaves = {id(leaf) for leaf in leaves(throw.exc)}
    return _raised_by_source(exc, throw.exc, thrown_leaves) or _behind(engine, exc, throw, thrown_leaves)


def _raised_by_source(exc: BaseException, thrown: BaseException, thrown_leaves: set[int]) -> BaseException | None:
    """Return the part of an exception that the source has raised itself."""
    if isinstance(thrown, StopIteration | StopAsyncIteration) and exc.__cause__ is thrown:
        return None  # Python itself replaces these two by a RuntimeError
    own = [leaf for leaf in leaves(exc) if id(leaf) not in thrown_leaves]
    if not own:
        return None
    return BaseExceptionGroup("errors of the source", own) if isinstance(exc, BaseExceptionGroup) else exc


def _behind(engine: Engine, exc: BaseException, throw: Throw, thrown_leaves: set[int]) -> BaseException | None:
    """Return the error of the source that led to one of the reader."""
    forwarder = exc.__traceback__ and exc.__traceback__.tb_frame
    names_all = _names_all(engine.machine.settings.expected_exception)
    near = {id(near) for leaf in leaves(throw.exc) for near in (leaf.__cause__, leaf.__context__)}
    for cause in causes(throw.exc, handled=throw.handled):
        if names_all:
            is_named = id(cause) in near and isinstance(cause, NETWORK_ERRORS)
        else:
            is_named = id(cause) not in thrown_leaves and not isinstance(cause, BaseExceptionGroup)
        if (is_named or _came_out_of(throw.item, cause, forwarder)) and _is_failure(engine, cause):
            return cause
    return None


def _names_all(expected: ExceptionSpec) -> bool:
    types = expected if isinstance(expected, tuple) else (expected,)
    return Exception in types or BaseException in types


def _came_out_of(item: object, exc: BaseException, forwarder: FrameType | None) -> bool:
    """Return whether an exception passed through a method of the item; for a timeout, whether it interrupted one.

    The first frame that counts belongs to the reader itself, which can be a method of the item. What has been thrown
    has passed through the source as well, up to the forwarding frame.
    """
    replaced = exc.__cause__ or exc.__context__
    if isinstance(exc, TimeoutError) and replaced is not None and not isinstance(replaced, Exception):
        exc = replaced  # fail_after() and asyncio.timeout() turn a cancellation into a TimeoutError
    frames = [step.tb_frame for step in _steps(exc.__traceback__)]
    if forwarder in frames:
        frames = frames[len(frames) - frames[::-1].index(forwarder) :]
    return any(frame.f_locals.get("self", _NO_SELF) is item for frame in frames[1:])


def _steps(step: TracebackType | None) -> Iterator[TracebackType]:
    while step is not None:
        yield step
        step = step.tb_next


def _is_failure(engine: Engine, exc: BaseException) -> bool:
    try:
        return isinstance(exc, Exception) and engine.classifier.classify(exc) is Outcome.FAILURE
    except Exception:  # noqa: BLE001 - the breaker asks the predicate again, and logs what it raises
        return True
