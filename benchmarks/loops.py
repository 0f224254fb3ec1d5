"""The loops to time: each makes some calls and counts those that went as expected."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from itertools import repeat

from benchmarks.contender import Work
from benchmarks.harness import Run, with_own_code

MIXED_EVERY = 20
"""In a mixed loop, one in this many calls ends differently, so a window of 100 always contains a few of them."""

Items = Callable[[int], AsyncGenerator[int]]
"""An async generator function: the argument is the number of items."""


def calls(protected: Work) -> Run:
    """Returns a loop of calls that succeed."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            done += await protected(1)
        return done

    return with_own_code(run)


def failing_calls(protected: Work, failure: type[Exception]) -> Run:
    """Returns a loop of calls that raise.

    Args:
        protected: The function to call.
        failure: The exception that it raises.
    """

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            try:
                await protected(1)
            except failure:
                done += 1
        return done

    return with_own_code(run)


def mostly_succeeding_calls(protected: Work) -> Run:
    """Returns a loop in which one call in `MIXED_EVERY` fails.

    Args:
        protected: The function to call: `contender.either` under a breaker.
    """

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times // MIXED_EVERY):
            try:
                await protected(0)
            except ConnectionError:
                done += 1
            for _ in repeat(None, MIXED_EVERY - 1):
                done += await protected(1)
        return done

    return with_own_code(run)


def mostly_failing_calls(protected: Work) -> Run:
    """Returns a loop in which one call in `MIXED_EVERY` succeeds, so that a rate of 100 % is never reached.

    Args:
        protected: The function to call: `contender.either` under a breaker.
    """

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times // MIXED_EVERY):
            done += await protected(1)
            for _ in repeat(None, MIXED_EVERY - 1):
                try:
                    await protected(0)
                except ConnectionError:
                    done += 1
        return done

    return with_own_code(run)


def blocks(breaker: AbstractAsyncContextManager[object, None], function: Work) -> Run:
    """Returns a loop of blocks under a hand-written breaker."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            async with breaker:
                done += await function(1)
        return done

    return with_own_code(run)


def items(stream: Items) -> Run:
    """Returns a loop over the items of one long stream."""

    async def run(times: int) -> int:
        done = 0
        async for item in stream(times):
            done += item
        return done

    return with_own_code(run)


def short_streams(stream: Items) -> Run:
    """Returns a loop of streams with one item each."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            async for item in stream(1):
                done += item
        return done

    return with_own_code(run)


def nothing() -> Run:
    """Returns an empty loop: a rejected call has no work to subtract."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            done += 1
        return done

    return with_own_code(run)
