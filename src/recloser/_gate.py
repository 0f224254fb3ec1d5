"""The anyio primitives of a breaker, each bound to the event loop that it was made in.

A breaker may be used in one event loop after another, asyncio and trio. A lock held, or a permit taken, in a loop that
died would never come back; so both are made anew when the loop has changed.
"""

from __future__ import annotations

from contextlib import suppress

import anyio
from anyio.lowlevel import EventLoopToken, current_token


class SemaphoreGate:
    """The permits of one half-open episode: an `anyio.Semaphore` that is taken and released without waiting.

    Args:
        permits: How many trial calls may run at once.

    Raises:
        anyio.NoEventLoopError: No event loop runs in this thread.
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

    __slots__ = ("event", "token")

    def __init__(self) -> None:
        self.token = current_token()
        self.event = anyio.Event()

    @classmethod
    def here(cls, bell: Bell | None) -> Bell:
        """Return the bell if it belongs to the running event loop, else a new one that does."""
        return cls() if bell is None or bell.token != current_token() else bell

    def ring(self) -> None:
        """Wake all who wait; those of an event loop that is gone are beyond waking."""
        with suppress(RuntimeError):
            self.event.set()


class LoopLock:
    """An `anyio.Lock` per event loop, made when it is first needed."""

    __slots__ = ("_lock", "_token")

    def __init__(self) -> None:
        self._token: EventLoopToken | None = None
        self._lock: anyio.Lock | None = None

    def current(self) -> anyio.Lock:
        """Return the lock of the running event loop.

        Raises:
            anyio.NoEventLoopError: No event loop runs in this thread.
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
            return None
        return lock
