"""Hands events to listeners and streams, in order, and logs state changes.

Delivery happens after the state has been settled and never under a lock. An event that a listener gives rise to is
queued behind the one it is being told. A listener that raises is logged; only KeyboardInterrupt and SystemExit go
through to whoever made the event happen, and what is still queued then is delivered with the next event.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

import anyio

from recloser._core.events import Event, EventsDropped
from recloser._core.states import CircuitState

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from recloser._core.events import Transition

    Listener = Callable[[Event], object]

logger = logging.getLogger("recloser")

MESSAGE_LENGTH = 200
_OPENED = (CircuitState.OPEN, CircuitState.FORCED_OPEN)


class Dispatcher:
    """The listeners of one breaker and the events on their way to them."""

    __slots__ = ("_busy", "_queue", "entries")

    def __init__(self) -> None:
        self.entries: tuple[tuple[Listener], ...] = ()
        self._queue: deque[Event] = deque()
        self._busy = False

    def add(self, listener: Listener) -> tuple[Listener]:
        """Tell a listener of events from now on; return what `remove()` takes."""
        entry = (listener,)
        self.entries = (*self.entries, entry)
        return entry

    def remove(self, entry: tuple[Listener]) -> None:
        """Tell a listener nothing more; removing it twice changes nothing."""
        self.entries = tuple(other for other in self.entries if other is not entry)

    def emit(self, events: list[Event]) -> None:
        """Deliver events, after those that are being delivered.

        Raises:
            KeyboardInterrupt: A listener raised it; all others have been told.
            SystemExit: Likewise.
        """
        self._queue.extend(events)
        if self._busy:
            return
        self._busy = True
        interrupts: list[BaseException] = []
        try:
            while self._queue:
                event = self._queue.popleft()
                for (listener,) in self.entries:
                    interrupts += _tell(listener, event)
        finally:
            self._busy = False
        if interrupts:
            raise interrupts[0]


def _tell(listener: Listener, event: Event) -> tuple[BaseException, ...]:
    """Tell one listener; return the interrupt that it raised, if it raised one."""
    try:
        listener(event)
    except (KeyboardInterrupt, SystemExit) as interrupt:
        return (interrupt,)
    except BaseException:
        logger.exception("A listener of circuit breaker %r raised on %s", event.breaker, type(event).__name__)
    return ()


def log_transition(name: str, transition: Transition) -> None:
    """Log a state change: openings as errors, the rest as information, each with its cause in numbers."""
    level = logging.ERROR if transition.new in _OPENED else logging.INFO
    if not logger.isEnabledFor(level):
        return
    logger.log(
        level,
        "Circuit breaker %r went from %s to %s: %s",
        name,
        transition.old,
        transition.new,
        transition.cause,
    )


def describe(exc: BaseException | None) -> str:
    """Return an exception's type and message as text."""
    if exc is None:
        return "a result that counts as a failure"
    message = message_of(exc)
    return f"{type(exc).__qualname__}: {message}" if message else type(exc).__qualname__


def message_of(exc: BaseException) -> str:
    """Return an exception's message on one line of at most 200 characters; empty if it can't be had."""
    try:
        message = " ".join(str(exc).split())
    except Exception:  # noqa: BLE001 - whatever a user's __str__ raises
        return ""
    return message if len(message) <= MESSAGE_LENGTH else f"{message[: MESSAGE_LENGTH - 3]}..."


class EventStream:
    """Events as an asynchronous iterator; opened with `async with breaker.events() as stream`.

    The buffer is bounded. A reader that falls behind loses the oldest events and is told how many by an `EventsDropped`
    in their place; the calls that make the events never wait. Iterating is a checkpoint; cancelling it loses no event.

    Args:
        dispatcher: Where the events come from.
        max_buffer: How many unread events are kept, >= 1.
        changed: Called when the stream begins and stops to listen.
    """

    def __init__(self, dispatcher: Dispatcher, max_buffer: int, changed: Callable[[], None]) -> None:
        self._dispatcher = dispatcher
        self._max_buffer = max_buffer
        self._changed = changed
        self._offered = 0
        self._expected = 0
        self._postponed: Event | None = None

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        self._send, self._receive = anyio.create_memory_object_stream[tuple[int, Event]](self._max_buffer)
        self._entry = self._dispatcher.add(self._offer)
        self._changed()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop to listen; unread events are lost."""
        self._stop()
        self._send.close()
        self._receive.close()

    def __aiter__(self) -> Self:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> Event:
        """Return the next event, or how many were lost before it."""
        if self._postponed is not None:
            event, self._postponed = self._postponed, None
            return event
        try:
            number, event = await self._receive.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None
        lost, self._expected = number - self._expected, number + 1
        if not lost:
            return event
        self._postponed = event
        return EventsDropped(breaker=event.breaker, at=event.at, monotonic=event.monotonic, count=lost)

    def _offer(self, event: Event) -> None:
        item = (self._offered, event)
        self._offered += 1
        try:
            self._put(item)
        except BaseException:
            self._stop()
            raise

    def _put(self, item: tuple[int, Event]) -> None:
        try:
            self._send.send_nowait(item)
        except anyio.WouldBlock:
            self._receive.receive_nowait()
            self._send.send_nowait(item)

    def _stop(self) -> None:
        self._dispatcher.remove(self._entry)
        self._changed()
