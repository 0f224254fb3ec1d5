"""What the tests of the ten rules share: every style of a protected call, and a clock that can fail."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from recloser import CircuitBreaker, CircuitState
from recloser.testing import ManualClock

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN

Style = Callable[..., Awaitable[object]]


class FragileClock(ManualClock):
    """A manual clock that can fail: while `fault` is set, reading the clock calls that function instead."""

    def __init__(self, start: float) -> None:
        super().__init__(start)
        self.fault: Callable[[], object] | None = None

    def __call__(self) -> object:
        return super().__call__() if self.fault is None else self.fault()


async def by_call(breaker: CircuitBreaker, fn: Callable[..., Awaitable[object]], *args: object) -> object:
    return await breaker.call(fn, *args)


async def by_decorator(breaker: CircuitBreaker, fn: Callable[..., Awaitable[object]], *args: object) -> object:
    return await breaker(fn)(*args)


async def by_guard(breaker: CircuitBreaker, fn: Callable[..., Awaitable[object]], *args: object) -> object:
    async with breaker.guard():
        return await fn(*args)


async def by_permit(breaker: CircuitBreaker, fn: Callable[..., Awaitable[object]], *args: object) -> object:
    with await breaker.acquire():
        return await fn(*args)


async def by_generator(breaker: CircuitBreaker, fn: Callable[..., Awaitable[object]], *args: object) -> object:
    @breaker
    async def stream() -> AsyncIterator[object]:
        yield await fn(*args)

    results = [result async for result in stream()]
    return results[0]


STYLES = [by_call, by_decorator, by_guard, by_permit, by_generator]
each_style = pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
