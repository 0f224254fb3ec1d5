"""Looks at what a call has returned: a result, or something that has yet to be run, whose errors are still to come.

A stream is protected to its end if that doesn't change its type. What can't be protected is closed and refused, because
the call would count as a success before the dependency has answered.
"""

from __future__ import annotations

import inspect
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any

from recloser._breaker.permits import AcquiredPermit, Permit
from recloser._breaker.probe_context import leave_probe
from recloser._breaker.streams import pump, stream_of
from recloser._core.slots import is_kind
from recloser._core.tickets import UNCOUNTED, Probe, Ticket
from recloser.errors import MisuseError

if TYPE_CHECKING:
    from recloser._breaker.engine import Engine
    from recloser._breaker.streams import Stream

_ENDING = frozenset({"aclose", "asend", "athrow", "close"})
MOST_TYPES = 1_000


class ProbePermit(AcquiredPermit):
    """The permit of a probe that has returned a stream, which may be closed unread."""

    __slots__ = ()

    def __del__(self) -> None:
        """If the permit is unsettled, have it released and counted as leaked."""
        if self.held:
            self.held = False
            self.engine.lose(self.ticket)


types_seen: dict[type, bool] = {}
"""Whether their objects are unfinished; emptied when there are too many."""


def finished_type(result: object) -> type | None:
    """Return the type of what a call has returned; None if the call has not ended with it."""
    kind = type(result)
    try:
        unfinished = types_seen.get(kind)
        if unfinished is None:
            if len(types_seen) >= MOST_TYPES:
                types_seen.clear()
            unfinished = types_seen[kind] = _is_unfinished(kind)
    except Exception:  # noqa: BLE001 - of a metaclass, whose classes have no hash or refuse questions
        return kind
    return None if unfinished else kind


def is_finished(engine: Engine, result: object) -> bool:
    """Return whether a call has ended with its result; note its type, so that the next of that type need not ask."""
    engine.returned = finished_type(result)
    return engine.returned is not None


def _is_unfinished(kind: type) -> bool:
    """Return whether objects of a type can only be run: a coroutine, or what can only be iterated and closed.

    A connection that is iterated as well, such as a WebSocket, is a result: it has methods of its own.
    """
    if kind is AsyncGeneratorType or kind is CoroutineType:
        return True
    if not hasattr(kind, "__anext__"):
        return False
    methods = (name for name in dir(kind) if callable(inspect.getattr_static(kind, name)))
    return all(name in _ENDING for name in methods if not name.startswith("_"))


async def protect_unfinished(
    engine: Engine,
    ticket: Ticket,
    fn: object,
    result: Any,  # noqa: ANN401 - anything that is unfinished
    started: float | None,
) -> object:
    """Protect an async generator that a call has returned to its end; refuse anything else that is unfinished.

    Args:
        engine: The engine of the breaker.
        ticket: The ticket of the call, which the end of the generator settles.
        fn: The function that has been called.
        result: What it has returned.
        started: When the call started, in monotonic seconds; None if its duration is not needed.

    Raises:
        MisuseError: The result can't be protected; it is closed.
    """
    if type(result) is AsyncGeneratorType and not is_kind(inspect.isasyncgenfunction, fn):
        return result if ticket is UNCOUNTED else _protected(engine, ticket, result, started)
    await _close(result)
    if type(result) is AsyncGeneratorType:
        raise MisuseError(f"{fn!r} is an async generator function: decorate it with the breaker and iterate it")
    raise MisuseError(
        f"{fn!r} returned {result!r}, whose errors would come after the call: decorate an async generator function "
        "that yields its items, or use `async with breaker.guard()` around all of it"
    )


def _protected(engine: Engine, ticket: Ticket, source: AsyncGeneratorType[Any, Any], started: float | None) -> object:
    permit: Permit
    if isinstance(ticket, Probe):
        permit = ProbePermit(engine, ticket, started)
        leave_probe(ticket)
    else:  # without a finaliser: a stream that nobody reads has asked nothing
        permit = Permit()
        permit.engine, permit.ticket, permit.started, permit.held = engine, ticket, started, True
        permit.failures = ticket.failures
    returned_at = None if started is None else engine.now()

    async def admit(_args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Stream:
        if permit.started is not None and returned_at is not None:  # until now the call has waited for its reader
            permit.started += engine.now() - returned_at
        return stream_of(permit)

    stream: Any = pump(admit, lambda: source)()
    stream.__name__, stream.__qualname__ = source.__name__, source.__qualname__
    return stream


async def _close(result: Any) -> None:  # noqa: ANN401 - any result
    close = getattr(result, "aclose", None) or getattr(result, "close", None)
    try:
        closing = close() if callable(close) else None
        if inspect.isawaitable(closing):
            await closing
    except Exception:  # noqa: BLE001, S110 - the refusal says what is wrong
        pass
