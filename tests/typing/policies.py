"""The types of the policies: each line must be accepted by mypy --strict and by pyright strict."""

# pyright: strict

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import assert_type

from recloser import (
    Bulkhead,
    CallTimeoutError,
    CircuitBreaker,
    ExponentialBackoff,
    Hedge,
    Pipeline,
    RateLimit,
    Retry,
    RetryBudget,
    Timeout,
)
from recloser.errors import BulkheadFullError, RateLimitedError

timeout = Timeout(2.5, name="slow")
bulkhead = Bulkhead(10, 5, 1.5)
rate_limit = RateLimit(10, 1, max_wait_seconds=3, clock=lambda: 0.0)
budget = RetryBudget(0.1, minimum_per_second=1, burst=10)
retry = Retry(3, ExponentialBackoff(), (OSError, LookupError), budget)
hedge = Hedge(0.2, 1, 0.05, on=(OSError, LookupError))
Hedge(0.2, on=lambda error: "again" in str(error))

Retry(on=lambda error: "again" in str(error), budget=None, backoff=1)


class Own:
    async def call(self, fn: Callable[..., Awaitable[object]], /, *args: object, **kwargs: object) -> object:
        return await fn(*args, **kwargs)


pipeline = Pipeline(Own(), retry, Pipeline(bulkhead, rate_limit), CircuitBreaker("orders"), timeout, name="orders")


@pipeline
@timeout
@retry
async def charge(amount: int, *, currency: str = "EUR") -> str:
    return f"{amount} {currency}"


@bulkhead
@rate_limit
@Pipeline(bulkhead)
async def pages(count: int) -> AsyncGenerator[bytes, None]:
    for _ in range(count):
        yield b""


class Client:
    @hedge
    async def fetch(self, key: str) -> bytes:
        return key.encode()


async def refund(amount: int) -> float:
    return -float(amount)


def total(amounts: list[int]) -> int:
    return sum(amounts)


async def called() -> None:
    assert_type(await charge(7, currency="SEK"), str)
    assert_type(await Client().fetch("key"), bytes)
    async for page in pages(3):
        assert_type(page, bytes)
    assert_type(await timeout.call(refund, 7), float)
    assert_type(await bulkhead.call(refund, amount=7), float)
    assert_type(await retry.call(total, [7]), int)
    assert_type(await pipeline.call(refund, 7), float)


async def read() -> None:
    assert_type(bulkhead.borrowed, int)
    assert_type(bulkhead.waiting, int)
    assert_type(bulkhead.may_wait or rate_limit.may_wait, bool)
    try:
        await charge(7)
    except BulkheadFullError as error:
        assert_type(error.max_concurrent, int)
    except RateLimitedError as error:
        assert_type(error.retry_after, float | None)
    except CallTimeoutError as error:
        assert_type(error.seconds, float)
