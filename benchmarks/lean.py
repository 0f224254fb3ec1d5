"""A second, leaner floor: it does the same as the first, with everything left out that can be.

Its functions take no keyword arguments and don't look like the original. A success stores nothing unless there was a
failure before. Few people write a breaker like this, but it shows what the smallest possible one costs.
"""

import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from types import TracebackType
from typing import Any, TypeVar, TypeVarTuple

from benchmarks.floor import FloorOpenError

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


class LeanBreaker:
    """A breaker for functions without keyword arguments."""

    __slots__ = ("failure_threshold", "failures", "name", "opened_at", "reset_timeout_seconds")

    def __init__(self, name: str, failure_threshold: int = 5, reset_timeout_seconds: float = 60.0) -> None:
        """Starts closed.

        Args:
            name: The name in the message of a rejection.
            failure_threshold: The number of failures in a row that opens the breaker.
            reset_timeout_seconds: How long it stays open.
        """
        self.name = name
        self.failure_threshold = failure_threshold
        self.reset_timeout_seconds = reset_timeout_seconds
        self.failures = 0
        self.opened_at: float | None = None

    def __call__(self, function: Callable[[*Ts], Coroutine[Any, Any, T]]) -> Callable[[*Ts], Coroutine[Any, Any, T]]:
        """Protects a coroutine function."""

        async def protected(*args: *Ts) -> T:
            if self.opened_at is not None and time.monotonic() - self.opened_at < self.reset_timeout_seconds:
                raise FloorOpenError(self.name)
            try:
                result = await function(*args)
            except Exception:
                self.failures += 1
                if self.failures >= self.failure_threshold:
                    self.opened_at = time.monotonic()
                raise
            if self.failures:
                self.failures = 0
                self.opened_at = None
            return result

        return protected

    def stream(self, function: Callable[[*Ts], AsyncGenerator[T]]) -> Callable[[*Ts], AsyncGenerator[T]]:
        """Protects an async generator function."""

        async def protected(*args: *Ts) -> AsyncGenerator[T]:
            if self.opened_at is not None and time.monotonic() - self.opened_at < self.reset_timeout_seconds:
                raise FloorOpenError(self.name)
            try:
                async for item in function(*args):
                    yield item
            except Exception:
                self.failures += 1
                if self.failures >= self.failure_threshold:
                    self.opened_at = time.monotonic()
                raise
            if self.failures:
                self.failures = 0
                self.opened_at = None

        return protected


class LeanGuard(LeanBreaker):
    """The same breaker as an `async with` block."""

    __slots__ = ()

    async def __aenter__(self) -> None:
        """Admits the block.

        Raises:
            FloorOpenError: The breaker is open.
        """
        if self.opened_at is not None and time.monotonic() - self.opened_at < self.reset_timeout_seconds:
            raise FloorOpenError(self.name)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Records how the block ended."""
        if kind is None:
            if self.failures:
                self.failures = 0
                self.opened_at = None
        elif issubclass(kind, Exception):
            self.failures += 1
            if self.failures >= self.failure_threshold:
                self.opened_at = time.monotonic()
