"""Delivers events to listeners and streams, in order, and logs state changes.

Events are delivered after the state has changed and never under a lock. If a listener causes another event, that event
is queued behind the current one. What a listener raises is logged; only KeyboardInterrupt and SystemExit propagate to
the call that caused the event, once all listeners have been called.

`Dispatcher.wanted` holds the kinds of events that listeners want; of others there are no records and no events. What
happens to single calls arrives as a record. Its event is made once for all listeners, and for a stream when it is read.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from time import time as wall_clock
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from recloser._breaker.log import LogLimit, log
from recloser._breaker.loop_bound import LoopEvent
from recloser._breaker.records import Record, event_of
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
    ShadowOutcome,
    StateChanged,
)
from recloser._core.slots import check_unused, is_asynchronous

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from recloser._breaker.durations import Durations

    Report = Callable[[float, float], None]
    Kinds = type[Event] | tuple[type[Event], ...]

E_co = TypeVar("E_co", bound=Event, covariant=True)


ALL_KINDS: frozenset[type[Event]] = frozenset(
    (StateChanged, CallSucceeded, CallFailed, CallIgnored, CallRejected, ProbeAdmitted, LateOutcome, ShadowOutcome)
)
"""The kinds of events that a breaker reports."""
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
    """A listener, and what it receives.

    Attributes:
        listener: Called with each event.
        kinds: The kinds of events that it receives.
        takes_records: Whether it takes records in place of events.
        dispatcher: The dispatcher that the listener passes everything on to, if that is all it does.
    """

    listener: Callable[[Any], object]
    kinds: frozenset[type[Event]]
    takes_records: bool = False
    dispatcher: Dispatcher | None = None


PROCESS = [object()]
"""Stands for this process; a child process has another one."""


class Dispatcher:
    """The listeners of one breaker, and the queue of events to deliver to them."""

    __slots__ = ("_limit", "_solo", "_turn", "durations", "entries", "queue", "wanted")

    def __init__(self) -> None:
        self.entries: tuple[Subscription, ...] = ()
        self.wanted: frozenset[type[Event]] = NO_KINDS
        self.durations: Durations | None = None  # how long calls took, if somebody measures the breaker
        self._solo: Subscription | None = None  # the only listener
        self._limit: LogLimit | None = None  # of what is logged about listeners that raise
        self.queue: list[Event | Record] = []
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
        self._solo = entries[0] if len(entries) == 1 else None
        self.wanted = entries[0].kinds if len(entries) == 1 else NO_KINDS.union(*(entry.kinds for entry in entries))

    def enqueue(self, events: list[Event | Record]) -> None:
        """Queue events behind those that are queued; those that nobody wants are left out."""
        for event in events:
            if kind_of(event) in self.wanted:
                self.queue.append(event)

    def deliver(self, interrupts: list[BaseException] | None = None) -> None:
        """Deliver the queued events, unless that is going on: then the thread at work delivers them, too.

        Args:
            interrupts: What a listener has raised already.

        Raises:
            KeyboardInterrupt: A listener raised it; the other listeners have been called.
            SystemExit: Likewise.
        """
        interrupts = interrupts or []
        while self.queue and self._take_turn(interrupts):
            pass
        if interrupts:
            raise interrupts[0]

    def _take_turn(self, interrupts: list[BaseException]) -> bool:
        """Deliver the queued events and add what interrupts a listener; return False if another delivery goes on.

        A turn of the parent process is over: the thread that delivers there was not forked.
        """
        [process] = PROCESS
        mine = False
        try:
            with STEP:
                if self._turn is not process:
                    mine, self._turn = True, process  # one statement, so that no signal comes in between
            while mine and self.queue:
                interrupts += self._pass_on(self.queue.pop(0))
        finally:
            if mine:
                self._turn = None
        return mine

    def _pass_on(self, item: Event | Record) -> list[BaseException]:
        """Call the listeners of one event; return the interrupts that they raised."""
        kind = kind_of(item)
        event: Event | None = None
        interrupts: list[BaseException] = []
        for listener, kinds, takes_records, _ in self.entries:
            if kind not in kinds:
                continue
            if not takes_records and event is None:
                event = item if isinstance(item, Event) else event_of(item)
            try:
                if (returned := listener(item if event is None else event)) is not None:
                    check_unused("listener", returned)
            except BaseException as fault:  # noqa: BLE001 - whatever a listener raises
                interrupts += self._logged(fault, item)
        return interrupts

    def _logged(self, fault: BaseException, item: Event | Record) -> list[BaseException]:
        """Log what a listener raised; return the interrupt, if it was one or if one arrives while it is logged."""
        if isinstance(fault, (KeyboardInterrupt, SystemExit)):
            return [fault]
        kind, breaker = kind_of(item).__name__, item.breaker if isinstance(item, Event) else item[1]
        limit = self._limit = self._limit or LogLimit()
        try:
            limit.log(logging.ERROR, "A listener of circuit breaker %r raised on %s", breaker, kind, fault=fault)
        except (KeyboardInterrupt, SystemExit) as interrupt:
            return [interrupt]
        return []

    def emit(self, item: Event | Record) -> None:
        """Queue and deliver one event."""
        self.enqueue([item])
        self.deliver()

    def report(self, record: Record) -> None:
        """Deliver the record of one call; directly, if nothing is being delivered.

        Raises:
            KeyboardInterrupt: A listener raised it; the other listeners have been called.
            SystemExit: Likewise.
        """
        solo = self._solo
        if self.queue or record[0] not in self.wanted:
            self.emit(record)
            return
        if solo is not None and solo.dispatcher is not None and self._turn is None:
            solo.dispatcher.report(record)
            return
        mine = None
        interrupts: list[BaseException] | None = None
        try:
            if self._turn is None:  # as below
                mine = self._turn = PROCESS[0]
                if solo is None:
                    interrupts = self._pass_on(record)
                elif (returned := solo.listener(record if solo.takes_records else event_of(record))) is not None:
                    check_unused("listener", returned)
        except BaseException as fault:  # noqa: BLE001 - whatever the listener raises
            interrupts = self._logged(fault, record)
        finally:
            if mine is not None:
                self._turn = None
        if mine is None:
            self.emit(record)
        elif self.queue or interrupts:
            self.deliver(interrupts)

    def success_reporter(self, breaker: str, generation: int, source: Dispatcher | None = None) -> Report:  # noqa: C901
        """Return a function that reports a success: `report(now, seconds)`, as quick as it can be for one listener.

        Args:
            breaker: The name of the breaker.
            generation: The generation of the calls.
            source: The dispatcher of the breaker, if it passes everything on to this one.
        """
        solo = self._solo
        if solo is not None and solo.dispatcher is not None:
            return solo.dispatcher.success_reporter(breaker, generation, self)
        source = source or self
        if solo is None:
            return lambda now, seconds: source.report(
                (CallSucceeded, breaker, wall_clock(), now, generation, seconds, False)
            )
        listener, _, takes_records, _ = solo

        def report(now: float, seconds: float) -> None:
            event: Any
            if takes_records:
                event = (CallSucceeded, breaker, wall_clock(), now, generation, seconds, False)
            else:
                event = _new(CallSucceeded)
                event.breaker_ = breaker
                event.at_ = wall_clock()
                event.monotonic_ = now
                event.generation_ = generation
                event.duration_seconds_ = seconds
                event.is_probe_ = False
            mine = None
            interrupts: list[BaseException] | None = None
            try:
                # The interpreter changes neither to another thread nor to a signal handler between these lines.
                if self._turn is None and self._solo is solo and not self.queue and not source.queue:
                    mine = self._turn = PROCESS[0]
                    if (returned := listener(event)) is not None:
                        check_unused("listener", returned)
            except BaseException as fault:  # noqa: BLE001 - whatever a listener raises
                interrupts = self._logged(fault, event)
            finally:
                if mine is not None:
                    self._turn = None
            if mine is None:
                source.emit(event)
            elif self.queue or interrupts:
                self.deliver(interrupts)

        return report


_new = object.__new__


def kind_of(item: Event | Record) -> type[Event]:
    """Return the kind of an event, or of the event that a record stands for."""
    kind: type[Event] = type(item) if isinstance(item, Event) else item[0]
    return kind


def _enter_child_process() -> None:  # pragma: no cover - in the child
    PROCESS[0] = object()


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
    os.register_at_fork(after_in_child=_enter_child_process)


def log_transition(event: StateChanged) -> None:
    """Log a state change with its cause: as an error if the breaker rejects calls from now on, else as information."""
    line, values = event.log_line()
    log(logging.ERROR if event.rejects else logging.INFO, line, *values, extra=event.fields())


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
    if not callable(listener) or is_asynchronous(listener):
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
        self._buffer: deque[Event | Record] = deque(maxlen=checks.count("max_buffer", max_buffer))
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
        self._entry = Subscription(self._offer, self._kinds, takes_records=True)
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
        from anyio.lowlevel import checkpoint  # noqa: PLC0415 - a closed breaker does not need it

        if not self._entered:
            raise RuntimeError("enter the event stream first, with `async with breaker.events() as stream`")
        await checkpoint()
        while not self._buffer:
            if self._entry is None:
                raise StopAsyncIteration
            self._offered = offered = LoopEvent.here(self._offered)
            if not self._buffer:  # checked again: another thread may have offered an event in between
                await offered.wait()
        if self._lost:
            lost, self._lost = self._lost, 0
            following = self._buffer[0]
            first = following if isinstance(following, Event) else event_of(following)
            losses = EventsDropped(breaker=first.breaker, at=first.at, monotonic=first.monotonic, count=lost)
            return cast("E_co", losses)
        item = self._buffer.popleft()
        return cast("E_co", item if isinstance(item, Event) else event_of(item))

    def _offer(self, item: Event | Record) -> None:
        buffer = self._buffer
        if len(buffer) == buffer.maxlen:
            self._dropped += 1
            self._lost += self._reports_losses
        buffer.append(item)
        if self._offered is not None:
            self._wake()

    def _wake(self) -> None:
        offered, self._offered = self._offered, None
        if offered is not None:
            offered.set()
