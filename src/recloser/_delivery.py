"""Hands events to listeners and streams, in order, and logs state changes.

Delivery happens after the state has been settled and never under a lock. An event that a listener gives rise to is
queued behind the one it is being told. A listener that raises is logged; only KeyboardInterrupt and SystemExit go
through to whoever made the event happen, after all have been told.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio.lowlevel

from recloser._cancellation import deadline_of, is_cancellation
from recloser._core.events import Event, EventsDropped
from recloser._core.states import CircuitState
from recloser._gate import Bell

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

    __slots__ = ("_queue", "entries")

    def __init__(self) -> None:
        self.entries: tuple[tuple[Listener], ...] = ()
        self._queue: deque[Event] | None = None

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
        if self._queue is not None:
            self._queue.extend(events)
            return
        queue = deque(events)  # only while it is needed: an empty one takes 760 bytes
        interrupts: list[BaseException] = []
        try:
            self._queue = queue
            while queue:
                event = queue.popleft()
                for (listener,) in self.entries:
                    interrupts += _tell(listener, event)
        finally:
            self._queue = None
        if interrupts:
            raise interrupts[0]


def _tell(listener: Listener, event: Event) -> tuple[BaseException, ...]:
    """Tell one listener; return the interrupt that it raised, if it raised one."""
    try:
        try:
            listener(event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 - whatever a listener raises is logged
            kind = type(event).__name__
            log(logging.ERROR, "A listener of circuit breaker %r raised on %s", event.breaker, kind, exc_info=True)
    except (KeyboardInterrupt, SystemExit) as interrupt:
        return (interrupt,)
    return ()


def log(level: int, message: str, *args: object, exc_info: BaseException | bool = False) -> None:
    """Log; a filter or a handler that raises keeps no call from being settled."""
    with suppress(Exception):
        logger.log(level, message, *args, exc_info=exc_info)


def log_transition(name: str, transition: Transition) -> None:
    """Log a state change: openings as errors, the rest as information, each with its cause in numbers."""
    level = logging.ERROR if transition.new in _OPENED else logging.INFO
    old, new = transition.old, transition.new
    log(level, "Circuit breaker %r went from %s to %s: %s", name, old, new, transition.cause)


def describe(exc: BaseException | None) -> str:
    """Return an exception's type and message as text."""
    if exc is None:
        return "a result that counts as a failure"
    message = message_of(exc)
    return f"{type(exc).__qualname__}: {message}" if message else type(exc).__qualname__


def message_of(exc: BaseException) -> str:
    """Return an exception's message on one line of at most 200 characters; empty if it can't be had.

    That of a deadline names a cancel scope by its address, which says nothing to anybody.
    """
    if is_cancellation(exc) and deadline_of(exc) is not None:
        return "the deadline of its caller was over"
    try:
        message = " ".join(str(exc).split())
    except Exception:  # noqa: BLE001 - whatever a user's __str__ raises
        return ""
    return message if len(message) <= MESSAGE_LENGTH else f"{message[: MESSAGE_LENGTH - 3]}..."


class EventStream:
    """Events as an asynchronous iterator; opened with `async with breaker.events() as stream`.

    The buffer is bounded. A reader that falls behind loses the oldest events and is told how many by an `EventsDropped`
    in their place; the calls that make the events never wait. Each step is a checkpoint, and cancelling it loses no
    event. When the block ends, so does the iteration, and unread events are lost.

    Args:
        dispatcher: Where the events come from.
        max_buffer: How many unread events are kept, >= 1.
        changed: Called when the stream begins and stops to listen.
    """

    def __init__(self, dispatcher: Dispatcher, max_buffer: int, changed: Callable[[], None]) -> None:
        self._dispatcher = dispatcher
        self._changed = changed
        self._buffer: deque[Event] = deque(maxlen=max_buffer)
        self._lost = 0
        self._bell: Bell | None = None
        self._entry: tuple[Listener] | None = None
        self._entered = False

    async def __aenter__(self) -> Self:
        """Begin to listen.

        Raises:
            RuntimeError: The stream is in use.
        """
        if self._entry is not None:
            raise RuntimeError("this event stream is in use; call events() for each block")
        self._entry = self._dispatcher.add(self._offer)
        self._entered = True
        self._changed()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop to listen; unread events are lost."""
        if self._entry is not None:
            self._dispatcher.remove(self._entry)
        self._entry = None
        self._buffer.clear()
        self._lost = 0
        self._ring()
        self._changed()

    def __aiter__(self) -> Self:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> Event:
        """Return the next event, or how many were lost before it.

        Raises:
            RuntimeError: The stream was never entered.
        """
        if not self._entered:
            raise RuntimeError("an event stream is read inside `async with breaker.events() as stream`")
        await anyio.lowlevel.checkpoint()
        while not self._buffer:
            if self._entry is None:
                raise StopAsyncIteration
            self._bell = bell = Bell.here(self._bell)
            await bell.event.wait()
        if self._lost:
            following, lost, self._lost = self._buffer[0], self._lost, 0
            return EventsDropped(breaker=following.breaker, at=following.at, monotonic=following.monotonic, count=lost)
        return self._buffer.popleft()

    def _offer(self, event: Event) -> None:
        if len(self._buffer) == self._buffer.maxlen:
            self._lost += 1
        self._buffer.append(event)
        self._ring()

    def _ring(self) -> None:
        bell, self._bell = self._bell, None
        if bell is not None:
            bell.ring()
