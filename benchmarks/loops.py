"""The loops that are timed: each makes so many calls and counts those that went as they should."""

from itertools import repeat

from benchmarks.contender import Work
from benchmarks.floor import FloorGuard
from benchmarks.harness import Run, with_own_code

FAILURE_EVERY = 20
"""In a mixed loop one call in so many fails, so that a window of 100 always holds a few failures."""


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
        protected: What is called.
        failure: What it raises.
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


def mixed_calls(succeeding: Work, failing: Work) -> Run:
    """Returns a loop in which one call in `FAILURE_EVERY` fails.

    Args:
        succeeding: Called most of the time.
        failing: Raises ConnectionError; the same breaker's.
    """

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times // FAILURE_EVERY):
            try:
                await failing(1)
            except ConnectionError:
                done += 1
            for _ in repeat(None, FAILURE_EVERY - 1):
                done += await succeeding(1)
        return done

    return with_own_code(run)


def floor_blocks(breaker: FloorGuard, function: Work) -> Run:
    """Returns a loop of blocks under the hand-written breaker."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            async with breaker:
                done += await function(1)
        return done

    return with_own_code(run)


def nothing() -> Run:
    """Returns the loop alone: a rejected call has no work to subtract."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            done += 1
        return done

    return with_own_code(run)
