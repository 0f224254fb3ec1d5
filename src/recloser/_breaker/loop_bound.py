"""Objects that belong to one event loop: a half-open episode's semaphore, a lock, an event, and `PerLoop` for others.

A breaker or a policy can be used in one event loop after another, on asyncio and trio. If a loop ends while a lock is
held or a permit is taken, nobody releases them. So these objects are made anew for each loop.
"""

from __future__ import annotations

from asyncio import get_running_loop
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio

from recloser._core.tickets import Probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.lowlevel import EventLoopToken

    from recloser._core.tickets import Ticket

    Post = Callable[[Callable[[], object]], object]

T = TypeVar("T")


def current_token() -> EventLoopToken:
    """Return the token of the event loop that runs in this thread.

    Raises:
        RuntimeError: No event loop runs in this thread.
    """
    from anyio.lowlevel import current_token as find  # noqa: PLC0415 - a closed breaker does not need it

    return find()


def poster() -> Post:
    """Return a function with which any thread can schedule a callback in the running event loop.

    The function raises RuntimeError once the loop is gone.
    """
    native: Any = current_token().native_token
    post: Post = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon
    return post


def running_token() -> EventLoopToken | None:
    """Return the token of the event loop that runs in this thread; None if there is none."""
    try:
        return current_token()
    except RuntimeError:
        return None


def _running_loop() -> object:
    try:
        return get_running_loop()  # the same on asyncio as current_token(), in a fifth of the time
    except RuntimeError:
        return current_token()


class PerLoop(Generic[T]):
    """One object per event loop, made on first use in the loop; only the latest is kept.

    Args:
        make: Makes the object; called in the event loop.
        find: Returns what stands for the running event loop. The default is fast, but in trio's guest mode it takes
            the host loop of asyncio for the running one.
    """

    __slots__ = ("_find", "_make", "latest", "loop")

    def __init__(self, make: Callable[[], T], find: Callable[[], object] | None = None) -> None:
        self._make = make
        self._find = _running_loop if find is None else find
        self.loop: object = None
        """The event loop of `latest`: on asyncio the loop itself, elsewhere anyio's token."""
        self.latest: Any = None
        """The latest object, or None, for any thread; typed as Any, to spare fast paths a check."""

    def here(self) -> T:
        """Return the object of the running event loop.

        Raises:
            RuntimeError: No event loop runs in this thread.
        """
        loop = self._find()
        if loop != self.loop:
            self.latest = self._make()
            self.loop = loop
        latest: T = self.latest
        return latest

    def renew(self) -> None:
        """Forget the object, so that the next use makes a new one in any loop."""
        self.loop = None


class SemaphoreGate:
    """The permits of one half-open episode: an `anyio.Semaphore` that is acquired and released without waiting.

    Args:
        permits: How many probes can run at once (>= 1).

    Raises:
        RuntimeError: No event loop runs in this thread.
    """

    __slots__ = ("_semaphore", "token")

    def __init__(self, permits: int) -> None:
        self.token = current_token()
        self._semaphore = anyio.Semaphore(permits, max_value=permits)

    def take(self) -> bool:
        """Take a permit if one is free; return whether one was."""
        try:
            self._semaphore.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True

    def give(self) -> None:
        """Give a permit back."""
        self._semaphore.release()


def is_in_own_loop(ticket: Ticket) -> bool:
    """Return whether an event loop runs in this thread; for a probe, whether it is the loop that admitted it."""
    token = running_token()
    if isinstance(ticket, Probe) and isinstance(ticket.gate, SemaphoreGate):
        return token == ticket.gate.token
    return token is not None


class LoopEvent:
    """An `anyio.Event` that can be set from any thread."""

    __slots__ = ("_event", "_post", "_token")

    def __init__(self) -> None:
        self._token = current_token()
        self._event = anyio.Event()
        self._post = poster()

    @classmethod
    def here(cls, event: LoopEvent | None) -> LoopEvent:
        """Return the event if it belongs to the running event loop and is not set yet, else a new one."""
        return event if event is not None and event.can_be_awaited() else cls()

    def can_be_awaited(self) -> bool:
        """Return whether the event belongs to the running event loop and is not set yet."""
        return not self._event.is_set() and self._token == current_token()

    async def wait(self) -> None:
        """Wait until the event is set."""
        await self._event.wait()

    def set(self) -> None:
        """Wake all waiting tasks. If their event loop is gone, nothing happens."""
        if running_token() == self._token:
            self._event.set()
        else:
            self.set_soon()

    def set_soon(self) -> None:
        """Have the event loop wake all waiting tasks; for other threads and for finalisers."""
        with suppress(RuntimeError):
            self._post(self._event.set)


class LoopLock:
    """An `anyio.Lock` per event loop, made on first use.

    The lock is held for one synchronous step. So a task that finds it held is either inside that step, or an exception
    from outside interrupted the step before it released the lock. Waiting helps in neither case: the next task gets a
    new lock.
    """

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        self._locks = PerLoop(partial(anyio.Lock, fast_acquire=True), current_token)

    def take(self) -> anyio.Lock | None:
        """Take the lock without waiting; return it, or None if it is held, be it by this task.

        Raises:
            RuntimeError: No event loop runs in this thread.
        """
        lock = self._locks.here()
        try:
            lock.acquire_nowait()
        except (anyio.WouldBlock, RuntimeError):
            self._locks.renew()
            return None
        return lock
