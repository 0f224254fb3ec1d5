"""Hands events to listeners and streams, in order, and logs state changes.

Delivery happens after the state has been settled and never under a lock. An event that a listener gives rise to is
queued behind the one it is being told. A listener that raises is logged; only KeyboardInterrupt and SystemExit go
through to whoever made the event happen, after all have been told.

An event that nobody wants is not even made: `Dispatcher.wanted` holds the kinds that somebody does.
"""

from __future__ import annotations

import inspect
import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio.lowlevel

from recloser._breaker.cancellation import deadline_of, is_cancellation
from recloser._breaker.functions import is_kind
from recloser._breaker.loop_bound import LoopEvent
from recloser._core.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Event,
    EventsDropped,
    LateOutcome,
    ProbeAdmitted,
    StateChanged,
)
from recloser._core.states import CircuitState

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    Kinds = type[Event] | tuple[type[Event], ...]

logger = logging.getLogger("recloser")

MESSAGE_LENGTH = 200
_OPENED = (CircuitState.OPEN, CircuitState.FORCED_OPEN)

ALL_KINDS: frozenset[type[Event]] = frozenset(
    (StateChanged, CallSucceeded, CallFailed, CallIgnored, CallRejected, ProbeAdmitted, LateOutcome)
)
"""What a breaker reports."""
TIMED_KINDS = frozenset((CallSucceeded, CallFailed, CallIgnored))
"""Those that tell how long a call took: who wants one has every call's start taken down."""
NO_KINDS: frozenset[type[Event]] = frozenset()


def kinds_of(kinds: Any) -> frozenset[type[Event]]:  # noqa: ANN401 - it may be anything until it has been checked
    """Return the kinds of events that a user has named.

    Args:
        kinds: A type of events or a tuple of them; a type stands for all that are derived from it.

    Raises:
        TypeError: It is neither.
        ValueError: No breaker reports anything of the kind.
    """
    named = kinds if isinstance(kinds, tuple) else (kinds,)
    for kind in named:
        if not isinstance(kind, type) or not issubclass(kind, Event):
            raise TypeError(f"kinds must be a type of events or a tuple of them, such as StateChanged, not {kind!r}")
    found = frozenset(kind for kind in ALL_KINDS if issubclass(kind, named))
    if not found:
        raise ValueError(f"kinds must name events that a breaker reports, not {kinds!r}")
    return ALL_KINDS if found == ALL_KINDS else found  # one object for all breakers


class Subscription(NamedTuple):
    """A listener, and the kinds of events that it is told."""

    listener: Callable[[Event], object]
    kinds: frozenset[type[Event]]


class Dispatcher:
    """The listeners of one breaker and the events on their way to them."""

    __slots__ = ("_queue", "entries", "wanted")

    def __init__(self) -> None:
        self.entries: tuple[Subscription, ...] = ()
        self.wanted = NO_KINDS
        self._queue: list[Event] | None = None

    def add(self, entry: Subscription) -> None:
        """Tell a listener of events from now on."""
        self._set((*self.entries, entry))

    def remove(self, entry: Subscription) -> None:
        """Tell a listener nothing more; removing it twice changes nothing."""
        self._set(tuple(other for other in self.entries if other is not entry))

    def replace(self, entry: Subscription, other: Subscription) -> None:
        """Tell a listener other kinds of events, in the same place among the others; add it if it is not there."""
        if not any(each is entry for each in self.entries):
            self.add(other)
            return
        self._set(tuple(other if each is entry else each for each in self.entries))

    def _set(self, entries: tuple[Subscription, ...]) -> None:
        self.entries = entries
        self.wanted = entries[0].kinds if len(entries) == 1 else NO_KINDS.union(*(entry.kinds for entry in entries))

    def emit(self, events: list[Event]) -> None:
        """Deliver events, after those that are being delivered; the list is the dispatcher's from then on.

        Raises:
            KeyboardInterrupt: A listener raised it; all others have been told.
            SystemExit: Likewise.
        """
        if self._queue is not None:
            self._queue.extend(events)
            return
        interrupts: list[BaseException] = []
        try:
            self._queue = events
            for event in events:  # those too that are appended meanwhile
                kind = type(event)
                for listener, kinds in self.entries:
                    if kind in kinds:
                        interrupts += _tell(listener, event)
        finally:
            self._queue = None
        if interrupts:
            raise interrupts[0]


def _tell(listener: Callable[[Event], object], event: Event) -> tuple[BaseException, ...]:
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


def log(
    level: int,
    message: str,
    *args: object,
    exc_info: BaseException | bool = False,
    extra: dict[str, object] | None = None,
) -> None:
    """Log; a filter or a handler that raises keeps no call from being settled."""
    with suppress(Exception):
        logger.log(level, message, *args, exc_info=exc_info, extra=extra)


def log_transition(event: StateChanged) -> None:
    """Log a state change: openings as errors, the rest as information, each with its cause in numbers."""
    level = logging.ERROR if event.new in _OPENED else logging.INFO
    line = "Circuit breaker %r went from %s to %s: %s"  # as str(event); what collects logs groups lines by it
    log(level, line, event.breaker, event.old, event.new, event.cause, extra=event.fields())


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


def listen(
    dispatcher: Dispatcher, listener: Callable[[Any], object], kinds: object, changed: Callable[[], None]
) -> Callable[[], None]:
    """Tell a function of a dispatcher's events from now on; return a function that ends this.

    Args:
        dispatcher: Where the events come from.
        listener: Told of each event.
        kinds: Of which events.
        changed: Called when the listener begins and stops to listen.

    Raises:
        TypeError: The listener is not a synchronous callable, or the kinds are no types of events.
        ValueError: No breaker reports anything of these kinds.
    """
    if not callable(listener) or is_kind(inspect.iscoroutinefunction, listener):
        raise TypeError(f"a listener is a synchronous callable, not {listener!r}; events() serves tasks")
    entry = Subscription(listener, kinds_of(kinds))
    dispatcher.add(entry)
    changed()

    def unsubscribe() -> None:
        dispatcher.remove(entry)
        changed()

    return unsubscribe


class EventStream:
    """Events as an asynchronous iterator; opened with `async with breaker.events() as stream`.

    The buffer is bounded. A reader that falls behind loses the oldest events and is told how many by an `EventsDropped`
    in their place; the calls that make the events never wait. Each step is a checkpoint, and cancelling it loses no
    event. When the block ends, so does the iteration, and unread events are lost.

    Args:
        dispatcher: Where the events come from.
        max_buffer: How many unread events are kept, >= 1.
        kinds: Which events they are.
        changed: Called when the stream begins and stops to listen.
    """

    def __init__(
        self, dispatcher: Dispatcher, max_buffer: int, kinds: frozenset[type[Event]], changed: Callable[[], None]
    ) -> None:
        self._dispatcher = dispatcher
        self._kinds = kinds
        self._changed = changed
        self._buffer: deque[Event] = deque(maxlen=max_buffer)
        self._lost = 0
        self._offered: LoopEvent | None = None
        self._entry: Subscription | None = None
        self._entered = False

    async def __aenter__(self) -> Self:
        """Begin to listen.

        Raises:
            RuntimeError: The stream is in use.
        """
        if self._entry is not None:
            raise RuntimeError("this event stream is in use; call events() for each block")
        self._entry = Subscription(self._offer, self._kinds)
        self._dispatcher.add(self._entry)
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
        self._wake()
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
            self._offered = offered = LoopEvent.here(self._offered)
            await offered.wait()
        if self._lost:
            following, lost, self._lost = self._buffer[0], self._lost, 0
            return EventsDropped(breaker=following.breaker, at=following.at, monotonic=following.monotonic, count=lost)
        return self._buffer.popleft()

    def _offer(self, event: Event) -> None:
        if len(self._buffer) == self._buffer.maxlen:
            self._lost += 1
        self._buffer.append(event)
        self._wake()

    def _wake(self) -> None:
        offered, self._offered = self._offered, None
        if offered is not None:
            offered.set()
