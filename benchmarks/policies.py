"""Each policy and its hand-written equivalent: the fewest lines that a good engineer would write for the same purpose.

Like the hand-written breaker, the equivalents are decorators for any coroutine function. They do one thing each,
without names, reuse in another event loop, plain functions or a retry budget.
"""

import time
from collections.abc import Awaitable, Callable, Mapping

import anyio

from benchmarks.contender import LONG_SECONDS, NEVER, Work, work
from benchmarks.floor import FloorBreaker
from benchmarks.harness import Run
from benchmarks.loops import calls
from recloser import (
    Bulkhead,
    CircuitBreaker,
    Constant,
    Fallback,
    Hedge,
    Pipeline,
    RateLimit,
    RejectedError,
    Retry,
    Timeout,
)

PLACES = 10
ATTEMPTS = 3


class FullError(Exception):
    """There is no free place, or no token."""


def floor_timeout(function: Work) -> Work:
    """Returns the function with a deadline."""

    async def protected(*args: int, **kwargs: int) -> int:
        with anyio.fail_after(LONG_SECONDS):
            return await function(*args, **kwargs)

    return protected


def floor_bulkhead(function: Work) -> Work:
    """Returns the function with a limited number of places."""
    limiter = anyio.CapacityLimiter(PLACES)

    async def protected(*args: int, **kwargs: int) -> int:
        place = object()
        try:
            limiter.acquire_on_behalf_of_nowait(place)
        except anyio.WouldBlock:
            raise FullError from None
        try:
            return await function(*args, **kwargs)
        finally:
            limiter.release_on_behalf_of(place)

    return protected


def floor_rate_limit(function: Work) -> Work:
    """Returns the function behind a token bucket."""
    tokens, seen = float(NEVER), time.monotonic()

    async def protected(*args: int, **kwargs: int) -> int:
        nonlocal tokens, seen
        now = time.monotonic()
        tokens = min(float(NEVER), tokens + (now - seen) * NEVER)
        seen = now
        if tokens < 1:
            raise FullError
        tokens -= 1
        return await function(*args, **kwargs)

    return protected


def floor_retry(function: Work) -> Work:
    """Returns the function with retries."""

    async def protected(*args: int, **kwargs: int) -> int:
        for attempt in range(ATTEMPTS):
            try:
                return await function(*args, **kwargs)
            except Exception:
                if attempt + 1 == ATTEMPTS:
                    raise
            await anyio.sleep(0.1 * 2**attempt)
        raise AssertionError

    return protected


def floor_hedge(function: Work) -> Work:
    """Returns the function with a second attempt after a delay."""

    async def protected(*args: int, **kwargs: int) -> int:
        answers: list[int] = []
        errors: list[Exception] = []
        ended = anyio.Event()

        async def attempt() -> None:
            try:
                answers.append(await function(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - raised below if nothing answers
                errors.append(error)
            ended.set()

        async with anyio.create_task_group() as group:
            group.start_soon(attempt)
            with anyio.move_on_after(LONG_SECONDS):
                await ended.wait()
            if not answers:
                group.start_soon(attempt)
                while not answers and len(errors) <= 1:
                    ended = anyio.Event()
                    await ended.wait()
            group.cancel_scope.cancel()
        if not answers:
            raise errors[0]
        return answers[0]

    return protected


def floor_fallback(function: Work) -> Work:
    """Returns the function with a default for rejected calls, and a counter."""
    answers = 0

    async def protected(*args: int, **kwargs: int) -> int:
        nonlocal answers
        try:
            result = await function(*args, **kwargs)
        except RejectedError:
            return 0
        answers += 1
        return result

    return protected


def floor_pipeline(function: Work) -> Work:
    """Returns the function with a hand-written retry, bulkhead, breaker and timeout."""
    inner = FloorBreaker("floor", NEVER, LONG_SECONDS)(floor_timeout(function))
    return floor_retry(floor_bulkhead(inner))


def pipeline(function: Work) -> Work:
    """Returns the function with the same four policies of recloser."""
    breaker = CircuitBreaker("timed pipeline", failure_threshold=NEVER, reset_timeout_seconds=LONG_SECONDS)
    return Pipeline(Retry(ATTEMPTS), Bulkhead(PLACES), breaker, Timeout(LONG_SECONDS))(function)


def _loop(decorate: Callable[[Work], Work]) -> Callable[[], Awaitable[Run]]:
    protected = decorate(work)  # here and not in an event loop: functions are decorated when their module is imported

    async def build() -> Run:
        return calls(protected)

    return build


POLICIES: Mapping[str, Callable[[], Awaitable[Run]]] = {
    "timeout": _loop(Timeout(LONG_SECONDS)),
    "bulkhead": _loop(Bulkhead(PLACES)),
    "rate limit": _loop(RateLimit(NEVER, 1.0)),
    "retry": _loop(Retry(ATTEMPTS)),
    "hedge": _loop(Hedge(LONG_SECONDS)),
    "fallback": _loop(Fallback(Constant(0))),
    "pipeline of four": _loop(pipeline),
}

FLOORS: Mapping[str, Callable[[], Awaitable[Run]]] = {
    "timeout": _loop(floor_timeout),
    "bulkhead": _loop(floor_bulkhead),
    "rate limit": _loop(floor_rate_limit),
    "retry": _loop(floor_retry),
    "hedge": _loop(floor_hedge),
    "fallback": _loop(floor_fallback),
    "pipeline of four": _loop(floor_pipeline),
}
