"""What belongs to one event loop: the semaphore of a half-open episode, a lock, an event, and `PerLoop` for the rest.

A breaker or a policy can be used in one event loop after another, on asyncio and trio. A lock held, or a permit taken,
in a loop that died would never come free. So whatever belongs to a loop is made anew when the loop has changed.
"""

from __future__ import annotations

from asyncio import get_running_loop
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import anyio
from anyio.lowlevel import EventLoopToken, current_token

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Post = Callable[[Callable[[], object]], object]

T = TypeVar("T")


def poster() -> Post:
    """Return a function by which any thread has the running event loop call something soon.

    The function raises RuntimeError once the loop is gone.
    """
    native: Any = current_token().native_token
    post: Post = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon
    return post


def running_token() -> EventLoopToken | None:
    """Return the token of the event loop that runs in this thread, None if none does."""
    try:
        return current_token()
    except RuntimeError:
        return None


class PerLoop(Generic[T]):
    """One object for the running event loop, made when it is first needed there.

    Args:
        make: Makes one; called within the event loop.
    """

    __slots__ = ("_make", "latest", "loop")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self.loop: object = None
        """What stands for the event loop of `latest`: on asyncio the loop itself, elsewhere anyio's token."""
        self.latest: Any = None
        """The object made last, None before the first; Any, for a path too short to ask which. For any thread."""

    def here(self) -> T:
        """Return the object of the running event loop.

        Raises:
            RuntimeError: No event loop runs in this thread.
        """
        loop: object
        try:
            loop = get_running_loop()  # takes a fifth of what current_token() takes, and is the same on asyncio
        except RuntimeError:
            loop = current_token()
        if loop != self.loop:
            self.latest = self._make()
            self.loop = loop
        latest: T = self.latest
        return latest

    def renew(self) -> None:
        """Forget the object, so that the next one who asks gets a new one, in whatever loop."""
        self.loop = None


class SemaphoreGate:
    """The permits of one half-open episode: an `anyio.Semaphore` that is taken and released without waiting.

    Args:
        permits: How many probes can run at once.

    Raises:
        RuntimeError: No event loop runs in this thread.
    """

    __slots__ = ("_semaphore", "token")

    def __init__(self, permits: int) -> None:
        self.token = current_token()
        self._semaphore = anyio.Semaphore(permits, max_value=permits)

    def take(self) -> bool:
        """Take a permit if one is free; return whether."""
        try:
            self._semaphore.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True

    def give(self) -> None:
        """Give a permit back."""
        self._semaphore.release()


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
        """Wake all tasks that wait. Those of an event loop that is gone can't be woken."""
        if running_token() == self._token:
            self._event.set()
        else:
            self.set_soon()

    def set_soon(self) -> None:
        """Have the event loop wake all tasks that wait; for any thread, and for finalisers."""
        with suppress(RuntimeError):
            self._post(self._event.set)


class LoopLock:
    """An `anyio.Lock` per event loop, made when it is first needed.

    Nothing waits while the lock is held. So a task that finds it held is a part of the very step that holds it, or an
    exception from outside tore that step apart before it released the lock. Either way there is nothing to wait for,
    and the next task gets a new lock.
    """

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        self._locks = PerLoop(partial(anyio.Lock, fast_acquire=True))

    def current(self) -> anyio.Lock:
        """Return the lock of the running event loop.

        Raises:
            RuntimeError: No event loop runs in this thread.
        """
        return self._locks.here()

    def take(self) -> anyio.Lock | None:
        """Take the lock without waiting; return it, or None if anybody holds it, this task included."""
        lock = self._locks.here()
        try:
            lock.acquire_nowait()
        except (anyio.WouldBlock, RuntimeError):
            self._locks.renew()
            return None
        return lock

    @contextmanager
    def held(self) -> Generator[None]:
        """Hold the lock for one step: a new one if somebody holds the old one."""
        if self._locks.here().locked():
            self._locks.renew()
        lock = self._locks.here()
        lock.acquire_nowait()
        try:
            yield
        finally:
            lock.release()
