"""The floor: the smallest breakers that a good engineer would write by hand, for functions, streams and blocks.

They count consecutive failures, open, fail fast with a message that names them, and let calls through again when the
reset timeout has elapsed. They do nothing else: no totals, no events, no late outcomes, no limit on probes. The cost of
a breaker is measured against them.
"""

import functools
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class FloorOpenError(Exception):
    """The hand-written breaker is open."""


class FloorBreaker:
    """A breaker as a decorator, with try and except."""

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

    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Protects a coroutine function."""

        @functools.wraps(function)
        async def protected(*args: P.args, **kwargs: P.kwargs) -> T:
            if self.opened_at is not None and time.monotonic() - self.opened_at < self.reset_timeout_seconds:
                raise FloorOpenError(f"circuit breaker {self.name!r} is open")
            try:
                result = await function(*args, **kwargs)
            except Exception:
                self.failures += 1
                if self.failures >= self.failure_threshold:
                    self.opened_at = time.monotonic()
                raise
            self.failures = 0
            self.opened_at = None
            return result

        return protected


class FloorStream(FloorBreaker):
    """The same breaker around async generators."""

    def stream(self, function: Callable[P, AsyncGenerator[T]]) -> Callable[P, AsyncGenerator[T]]:
        """Protects an async generator function."""

        @functools.wraps(function)
        async def protected(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T]:
            if self.opened_at is not None and time.monotonic() - self.opened_at < self.reset_timeout_seconds:
                raise FloorOpenError(f"circuit breaker {self.name!r} is open")
            try:
                async for item in function(*args, **kwargs):
                    yield item
            except Exception:
                self.failures += 1
                if self.failures >= self.failure_threshold:
                    self.opened_at = time.monotonic()
                raise
            self.failures = 0
            self.opened_at = None

        return protected


class FloorGuard(FloorBreaker):
    """The same breaker as an `async with` block."""

    async def __aenter__(self) -> Self:
        """Admits the block.

        Raises:
            FloorOpenError: The breaker is open.
        """
        if self.opened_at is not None and time.monotonic() - self.opened_at < self.reset_timeout_seconds:
            raise FloorOpenError(f"circuit breaker {self.name!r} is open")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Records how the block ended."""
        if kind is None:
            self.failures = 0
            self.opened_at = None
        elif issubclass(kind, Exception):
            self.failures += 1
            if self.failures >= self.failure_threshold:
                self.opened_at = time.monotonic()
