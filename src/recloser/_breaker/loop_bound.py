"""The anyio primitives of a breaker, each bound to the event loop that it was made in.

A breaker may be used in one event loop after another, asyncio and trio. A lock held, or a permit taken, in a loop that
died would never come back; so both are made anew when the loop has changed.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import anyio
from anyio.lowlevel import EventLoopToken, current_token

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Post = Callable[[Callable[[], object]], object]


def poster() -> Post:
    """Return a function by which any thread has the running event loop call something soon.

    What it returns raises RuntimeError once the loop is gone.
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


class SemaphoreGate:
    """The permits of one half-open episode: an `anyio.Semaphore` that is taken and released without waiting.

    Args:
        permits: How many probes may run at once.

    Raises:
        RuntimeError: No event loop runs in this thread.
    """

    __slots__ = ("_semaphore", "token")

    def __init__(self, permits: int) -> None:
        self.token = current_token()
        self._semaphore = anyio.Semaphore(permits, max_value=permits)

    def take(self) -> bool:
        """Take a permit if one is free; say whether."""
        try:
            self._semaphore.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True

    def give(self) -> None:
        """Give a permit back."""
        self._semaphore.release()


class Bell:
    """An `anyio.Event` that those wait for who want to know of a change, and the event loop that it belongs to."""

    __slots__ = ("_post", "event", "token")

    def __init__(self) -> None:
        self.token = current_token()
        self.event = anyio.Event()
        self._post = poster()

    @classmethod
    def here(cls, bell: Bell | None) -> Bell:
        """Return the bell if it is of the running event loop and still to be rung, else a new one."""
        return cls() if bell is None or bell.event.is_set() or bell.token != current_token() else bell

    def ring(self) -> None:
        """Wake all who wait; those of an event loop that is gone are beyond waking."""
        if running_token() == self.token:
            self.event.set()
        else:
            self.ring_soon()

    def ring_soon(self) -> None:
        """Have the event loop wake all who wait; for any thread, and for finalisers."""
        with suppress(RuntimeError):
            self._post(self.event.set)


class LoopLock:
    """An `anyio.Lock` per event loop, made when it is first needed.

    What it guards never waits. So whoever finds it held is a part of the very step that holds it, or an exception from
    outside tore that step apart before the lock was released. Either way there is nothing to wait for, and the next one
    gets a fresh lock.
    """

    __slots__ = ("_lock", "_token")

    def __init__(self) -> None:
        self._token: EventLoopToken | None = None
        self._lock: anyio.Lock | None = None

    def current(self) -> anyio.Lock:
        """Return the lock of the running event loop.

        Raises:
            RuntimeError: No event loop runs in this thread.
        """
        token = current_token()
        if self._lock is None or token != self._token:
            self._token = token
            self._lock = anyio.Lock(fast_acquire=True)
        return self._lock

    def take(self) -> anyio.Lock | None:
        """Take the lock without waiting; return it, or None if anybody holds it, this task included."""
        lock = self.current()
        try:
            lock.acquire_nowait()
        except (anyio.WouldBlock, RuntimeError):
            self._lock = None
            return None
        return lock

    @contextmanager
    def held(self) -> Generator[None]:
        """Hold the lock for one step, a fresh one if somebody holds the old one."""
        if self.current().locked():
            self._lock = None
        lock = self.current()
        lock.acquire_nowait()
        try:
            yield
        finally:
            lock.release()
