"""Delivers events to listeners and streams, in order, and logs state changes.

Events are delivered after the state has changed and never under a lock. If a listener causes another event, that event
is queued behind the current one. What a listener raises is logged; only KeyboardInterrupt and SystemExit propagate to
the call that caused the event, once all listeners have been called.

An event is only created if a listener wants its kind: `Dispatcher.wanted` holds these kinds.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar, cast

import anyio.lowlevel

from recloser._breaker.cancellation import deadline_of, is_cancellation
from recloser._breaker.functions import is_kind
from recloser._breaker.loop_bound import LoopEvent
from recloser._breaker.steps import STEP
from recloser._core import checks
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

E_co = TypeVar("E_co", bound=Event, covariant=True)

logger = logging.getLogger("recloser")

MESSAGE_LENGTH = 200
_OPENED = (CircuitState.OPEN, CircuitState.FORCED_OPEN)

ALL_KINDS: frozenset[type[Event]] = frozenset(
    (StateChanged, CallSucceeded, CallFailed, CallIgnored, CallRejected, ProbeAdmitted, LateOutcome)
)
"""The kinds of events that a breaker reports."""
TIMED_KINDS = frozenset((CallSucceeded, CallFailed, CallIgnored))
"""The kinds with a duration: while a listener wants one of them, the start of every call is measured."""
NO_KINDS: frozenset[type[Event]] = frozenset()


def kinds_of(kinds: Any) -> frozenset[type[Event]]:  # noqa: ANN401 - it may be anything until it has been checked
    """Return the kinds of events that a user has named.

    Args:
        kinds: An event type or a tuple of event types; a type includes its subclasses.

    Raises:
        TypeError: It is neither.
        ValueError: No breaker reports events of these kinds.
    """
    named = kinds if isinstance(kinds, tuple) else (kinds,)
    for kind in named:
        if not isinstance(kind, type) or not issubclass(kind, Event):
            raise TypeError(f"kinds must be an event type, such as StateChanged, or a tuple of them, not {kind!r}")
    found = frozenset(kind for kind in ALL_KINDS if issubclass(kind, named))
    if not found:
        raise ValueError(f"kinds must name events that a breaker reports, not {kinds!r}")
    return ALL_KINDS if found == ALL_KINDS else found  # one object for all breakers


class Subscription(NamedTuple):
    """A listener, and the kinds of events that it receives."""

    listener: Callable[[Event], object]
    kinds: frozenset[type[Event]]


class Dispatcher:
    """The listeners of one breaker, and the queue of events to deliver to them."""

    __slots__ = ("_queue", "_turn", "entries", "wanted")

    process: ClassVar[object] = object()
    """Stands for this process; a child process has another one."""

    def __init__(self) -> None:
        self.entries: tuple[Subscription, ...] = ()
        self.wanted: frozenset[type[Event]] = NO_KINDS
        self._queue: list[Event] = []
        self._turn: object = None  # the process in which a thread delivers events: one at a time, in order

    def add(self, entry: Subscription) -> None:
        """Add a listener."""
        with STEP:  # another thread may add or remove one now
            self._set((*self.entries, entry))

    def remove(self, entry: Subscription) -> None:
        """Remove a listener; removing it again changes nothing."""
        with STEP:
            self._set(tuple(other for other in self.entries if other is not entry))

    def replace(self, entry: Subscription, other: Subscription) -> None:
        """Change the kinds that a listener receives, and keep its place in the order; add it if it is missing."""
        with STEP:
            if not any(each is entry for each in self.entries):
                self.add(other)
                return
            self._set(tuple(other if each is entry else each for each in self.entries))

    def _set(self, entries: tuple[Subscription, ...]) -> None:
        self.entries = entries
        self.wanted = entries[0].kinds if len(entries) == 1 else NO_KINDS.union(*(entry.kinds for entry in entries))

    def enqueue(self, events: list[Event]) -> None:
        """Queue events behind those that are queued; those that nobody wants are left out."""
        for event in events:
            if type(event) in self.wanted:
                self._queue.append(event)

    def deliver(self) -> None:
        """Deliver the queued events, unless that is going on: then the thread at work delivers them, too.

        Raises:
            KeyboardInterrupt: A listener raised it; the other listeners have been called.
            SystemExit: Likewise.
        """
        interrupts: list[BaseException] = []
        while self._queue and self._take_turn(interrupts):
            pass
        if interrupts:
            raise interrupts[0]

    def _take_turn(self, interrupts: list[BaseException]) -> bool:
        """Deliver the queued events and add what interrupts a listener; return False if another delivery goes on.

        A turn of the parent process is over: the thread that delivers there was not forked.
        """
        process = self.process
        mine = False
        try:
            with STEP:
                if self._turn is not process:
                    mine, self._turn = True, process  # one statement, so that no signal comes in between
            while mine and self._queue:
                event = self._queue.pop(0)
                for listener, kinds in self.entries:
                    if type(event) in kinds:
                        interrupts += _notify(listener, event)
        finally:
            if mine:
                self._turn = None
        return mine

    def emit(self, events: list[Event]) -> None:
        """Queue and deliver events."""
        self.enqueue(events)
        self.deliver()


def _enter_child_process() -> None:  # pragma: no cover - in the child
    Dispatcher.process = object()


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
    os.register_at_fork(after_in_child=_enter_child_process)


def _notify(listener: Callable[[Event], object], event: Event) -> tuple[BaseException, ...]:
    """Call one listener; return the interrupt that it raised, if any."""
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
    """Log a message and ignore errors of filters and handlers, so that they can't keep a call from being settled."""
    with suppress(Exception):
        logger.log(level, message, *args, exc_info=exc_info, extra=extra)


def log_transition(event: StateChanged) -> None:
    """Log a state change with its cause: as an error if the breaker opens, else as information."""
    level = logging.ERROR if event.new in _OPENED else logging.INFO
    line = "Circuit breaker %r went from %s to %s: %s"  # as str(event), but log collectors group records by the format
    log(level, line, event.breaker, event.old, event.new, event.cause, extra=event.fields())


def describe(exc: BaseException | None) -> str:
    """Return an exception's type and message as text."""
    if exc is None:
        return "a result that counts as a failure"
    message = message_of(exc)
    return f"{type(exc).__qualname__}: {message}" if message else type(exc).__qualname__


def message_of(exc: BaseException) -> str:
    """Return an exception's message on one line of at most 200 characters; empty if `str()` fails.

    A deadline gets a message of its own, since anyio's contains the address of the cancel scope.
    """
    if is_cancellation(exc) and deadline_of(exc) is not None:
        return "the caller's deadline was exceeded"
    try:
        message = " ".join(str(exc).split())
    except Exception:  # noqa: BLE001 - whatever a user's __str__ raises
        return ""
    return message if len(message) <= MESSAGE_LENGTH else f"{message[: MESSAGE_LENGTH - 3]}..."


def listen(
    dispatcher: Dispatcher, listener: Callable[[Any], object], kinds: object, changed: Callable[[], None]
) -> Callable[[], None]:
    """Add a listener to a dispatcher; return a function that removes it.

    Args:
        dispatcher: Where the events come from.
        listener: Called with each event.
        kinds: Which events.
        changed: Called after the listener is added and after it is removed.

    Raises:
        TypeError: The listener is not a synchronous callable, or the kinds are not event types.
        ValueError: No breaker reports events of these kinds.
    """
    if not callable(listener) or is_kind(inspect.iscoroutinefunction, listener):
        raise TypeError(f"listener must be a synchronous callable, not {listener!r}; in a task, use events()")
    entry = Subscription(listener, kinds_of(kinds))
    dispatcher.add(entry)
    changed()

    def unsubscribe() -> None:
        dispatcher.remove(entry)
        changed()

    return unsubscribe


class EventStream(Generic[E_co]):
    """Events as an asynchronous iterator; open it with `async with breaker.events() as stream`.

    The buffer is bounded: a slow reader loses the oldest events. It gets an `EventsDropped` with their number in their
    place, if the kinds include that. The calls that cause events never wait for a reader. Each step of the iteration is
    a checkpoint; cancelling it loses no event. The end of the block ends the iteration and drops unread events.

    Args:
        dispatcher: Where the events come from.
        max_buffer: How many unread events are kept (>= 1).
        kinds: Which events: a type or a tuple of types.
        changed: Called after the stream starts and after it stops listening.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: `max_buffer` is out of range, or no breaker reports events of these kinds.
    """

    def __init__(self, dispatcher: Dispatcher, max_buffer: int, kinds: Kinds, changed: Callable[[], None]) -> None:
        self._dispatcher = dispatcher
        self._kinds = kinds_of(kinds)
        self._reports_losses = issubclass(EventsDropped, kinds)
        self._changed = changed
        self._buffer: deque[Event] = deque(maxlen=checks.count("max_buffer", max_buffer))
        self._lost = 0
        self._dropped = 0
        self._offered: LoopEvent | None = None
        self._entry: Subscription | None = None
        self._entered = False

    async def __aenter__(self) -> Self:
        """Start listening.

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
        """Stop listening; unread events are lost."""
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

    @property
    def dropped(self) -> int:
        """How many events the stream has lost because its reader was slow; safe from any thread."""
        return self._dropped

    def __repr__(self) -> str:
        """Name the kinds of events, and how many are unread and lost."""
        kinds = "all events" if self._kinds == ALL_KINDS else ", ".join(sorted(kind.__name__ for kind in self._kinds))
        return f"<EventStream of {kinds}: {len(self._buffer)} unread, {self._dropped} lost>"

    async def __anext__(self) -> E_co:
        """Return the next event, or an `EventsDropped` if events before it were lost.

        Raises:
            RuntimeError: The stream was never entered.
        """
        if not self._entered:
            raise RuntimeError("enter the event stream first, with `async with breaker.events() as stream`")
        await anyio.lowlevel.checkpoint()
        while not self._buffer:
            if self._entry is None:
                raise StopAsyncIteration
            self._offered = offered = LoopEvent.here(self._offered)
            if not self._buffer:  # checked again: another thread may have offered an event in between
                await offered.wait()
        if self._lost:
            following, lost, self._lost = self._buffer[0], self._lost, 0
            losses = EventsDropped(
                breaker=following.breaker, at=following.at, monotonic=following.monotonic, count=lost
            )
            return cast("E_co", losses)
        return cast("E_co", self._buffer.popleft())

    def _offer(self, event: Event) -> None:
        if len(self._buffer) == self._buffer.maxlen:
            self._dropped += 1
            self._lost += self._reports_losses
        self._buffer.append(event)
        self._wake()

    def _wake(self) -> None:
        offered, self._offered = self._offered, None
        if offered is not None:
            offered.set()
