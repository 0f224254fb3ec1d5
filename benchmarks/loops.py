"""The loops to time: each makes some calls and counts those that went as expected."""

from itertools import repeat

from benchmarks.contender import Work
from benchmarks.floor import FloorGuard
from benchmarks.harness import Run, with_own_code

FAILURE_EVERY = 20
"""In a mixed loop, one in this many calls fails, so a window of 100 always contains a few failures."""


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


def mixed_calls(succeeding: Work, failing: Work) -> Run:
    """Returns a loop in which one call in `FAILURE_EVERY` fails.

    Args:
        succeeding: The function to call most of the time.
        failing: A function of the same breaker that raises ConnectionError.
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
    """Returns an empty loop: a rejected call has no work to subtract."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            done += 1
        return done

    return with_own_code(run)
