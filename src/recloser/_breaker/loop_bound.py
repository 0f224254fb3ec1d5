"""What a breaker and the policies need to know of event loops: locks, semaphores and events, and where a call runs.

A breaker serves any number of event loops, of asyncio and trio, and threads without one, at the same time. What must
not happen twice at once happens under `STEP`. If a loop ends while one of its calls is a probe, nobody settles that:
`is_gone()` tells.
"""

from __future__ import annotations

from asyncio import get_running_loop
from functools import partial
from threading import BoundedSemaphore, Event
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


def running_loop() -> object | None:
    """Return the event loop that runs in this thread, asyncio's own or trio's token; None if there is none."""
    try:
        return get_running_loop()
    except RuntimeError:
        token = running_token()
        return None if token is None else token.native_token


def is_gone(loop: Any) -> bool:  # noqa: ANN401 - what `running_loop()` has returned
    """Return whether an event loop is closed or no longer runs; in any thread. The place without a loop never goes."""
    if loop is None:
        return False
    is_running = getattr(loop, "is_running", None)
    if is_running is not None:
        return not is_running()
    try:
        loop.run_sync_soon(int, idempotent=True)  # does nothing; trio has no other way to ask
    except RuntimeError:
        return True
    return False


class PerLoop(Generic[T]):
    """One object per event loop, made on first use in the loop; only the latest is kept.

    Args:
        make: Makes the object; called in the event loop.
    """

    __slots__ = ("_latest", "_make")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._latest: tuple[object, T] | None = None  # one value, so that another thread sees both or none

    def here(self) -> T:
        """Return the object of the running event loop.

        Raises:
            RuntimeError: No event loop runs in this thread.
        """
        loop, latest = current_token(), self._latest
        if latest is None or latest[0] != loop:
            self._latest = latest = loop, self._make()
        return latest[1]

    def renew(self) -> None:
        """Forget the object, so that the next use makes a new one in any loop."""
        self._latest = None


class SemaphoreGate:
    """The permits of one half-open episode: a semaphore that is acquired and released without waiting, under `STEP`.

    It is one of anyio, in whose event loop a probe begins the episode; without a loop, one of a thread.

    Args:
        permits: How many probes can run at once (>= 1).
    """

    __slots__ = ("_semaphore",)

    def __init__(self, permits: int) -> None:
        self._semaphore: Any = None
        if running_token() is None:
            self._semaphore = BoundedSemaphore(permits)
        else:
            self._semaphore = anyio.Semaphore(permits, max_value=permits)

    def take(self) -> bool:
        """Take a permit if one is free; return whether one was."""
        if isinstance(self._semaphore, BoundedSemaphore):
            return self._semaphore.acquire(blocking=False)
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
    loop = running_loop()
    return loop is not None and (not isinstance(ticket, Probe) or loop is ticket.loop)


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
        self.wake()

    def wake(self) -> bool:
        """Wake all waiting tasks; return whether their event loop is there."""
        if running_token() == self._token:
            self._event.set()
            return True
        return self.post(self._event.set)

    def post(self, callback: Callable[[], object]) -> bool:
        """Have the event loop call something; return whether it is there."""
        try:
            self._post(callback)
        except RuntimeError:
            return False
        return True

    def set_soon(self) -> None:
        """Have the event loop wake all waiting tasks; for other threads and for finalisers."""
        self.post(self._event.set)


class ThreadEvent:
    """What `LoopEvent` is to a task, to a thread without an event loop."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = Event()

    def set(self) -> None:
        """Wake the waiting thread."""
        self._event.set()

    def set_soon(self) -> None:
        """As `set()`; for finalisers."""
        self._event.set()

    def wait(self, seconds: float | None) -> None:
        """Wait until the event is set, for so long at most."""
        self._event.wait(seconds)


class NoLock:
    """Stands for a lock in a thread without an event loop."""

    __slots__ = ()

    def release(self) -> None:
        """Do nothing."""


class LoopLock:
    """An `anyio.Lock` per event loop, made on first use; in a thread without a loop, `STEP` alone does.

    The lock is held for one synchronous step. So a task that finds it held is either inside that step, or an exception
    from outside interrupted the step before it released the lock. Waiting helps in neither case: the next task gets a
    new lock.
    """

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        self._locks = PerLoop(partial(anyio.Lock, fast_acquire=True))

    def take(self) -> anyio.Lock | NoLock | None:
        """Take the lock without waiting; return it, or None if it is held, be it by this task."""
        try:
            lock = self._locks.here()
        except RuntimeError:
            return NoLock()
        try:
            lock.acquire_nowait()
        except (anyio.WouldBlock, RuntimeError):
            self._locks.renew()
            return None
        return lock
