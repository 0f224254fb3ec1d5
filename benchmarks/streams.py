"""Items of an async generator: bare, under the hand-written breaker, and under recloser.

One long stream shows what an item costs. Short streams show what the admission and the end of a stream add.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from itertools import repeat
from typing import Any

from benchmarks.contender import LONG_SECONDS, NEVER
from benchmarks.floor import FloorBreaker, FloorOpenError
from benchmarks.harness import Run, with_own_code
from benchmarks.own import COUNT_WINDOW, default, windowed
from recloser import Bulkhead, CircuitBreaker, CountWindow, SlowCallRate
from recloser.events import CallSucceeded

Source = Callable[[int], AsyncIterator[int]]
"""Yields as many items as it is asked for."""

SHORT = 20
"""The number of items of a short stream; batches are multiples of it."""

PLACES = 10
SLOW_CALLS = SlowCallRate(0.5, slow_call_seconds=LONG_SECONDS, window=CountWindow(100), minimum_calls=20)


async def items(count: int) -> AsyncGenerator[int, None]:
    """Yields items without waiting."""
    for item in repeat(1, count):
        yield item


class FloorStreams(FloorBreaker):
    """The hand-written breaker as a decorator for async generator functions."""

    def stream(self, function: Source) -> Source:
        """Protects an async generator function."""

        async def protected(*args: Any, **kwargs: Any) -> AsyncIterator[int]:  # noqa: ANN401 - any function's
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


def one_stream(source: Source) -> Run:
    """Returns a loop over the items of one long stream."""

    async def run(times: int) -> int:
        done = 0
        async for item in source(times):
            done += item
        return done

    return with_own_code(run)


def short_streams(source: Source) -> Run:
    """Returns a loop over the items of many short streams."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times // SHORT):
            async for item in source(SHORT):
                done += item
        return done

    return with_own_code(run)


def bare() -> Source:
    """Returns the async generator function itself."""
    return items


def floor() -> Source:
    """Returns the function under the hand-written breaker."""
    return FloorStreams("floor", NEVER, LONG_SECONDS).stream(items)


def default_rule() -> Source:
    """Returns the function under a breaker with the default rule."""
    return default("streams")(items)


def count_window() -> Source:
    """Returns the function under a breaker with a count window."""
    return windowed("streams in a window", COUNT_WINDOW)(items)


def overdue() -> Source:
    """Returns the function under a breaker that measures how long the reader waits for an item."""
    breaker = CircuitBreaker("overdue streams", failure_threshold=NEVER, overdue_after_seconds=LONG_SECONDS)
    return breaker(items)


def slow_calls() -> Source:
    """Returns the function under a breaker that measures durations for its rule."""
    return CircuitBreaker("slow streams", trip_when=SLOW_CALLS, reset_timeout_seconds=LONG_SECONDS)(items)


def listener() -> Source:
    """Returns the function under a breaker whose listener is told of each success and its duration."""
    breaker = default("streams with a listener")
    breaker.subscribe(_ignore, kinds=CallSucceeded)
    return breaker(items)


def bulkhead() -> Source:
    """Returns the function under a bulkhead: the policies that only admit calls share its loop."""
    return Bulkhead(PLACES)(items)


def _ignore(event: CallSucceeded) -> None:
    """Is told of a success."""


SUBJECTS: Mapping[str, Callable[[], Source]] = {
    "bare": bare,
    "floor": floor,
    "default rule": default_rule,
    "count window": count_window,
    "overdue_after_seconds": overdue,
    "SlowCallRate": slow_calls,
    "one listener": listener,
    "bulkhead": bulkhead,
}
"""What to compare in a run, with either loop; each subject is built afresh."""
