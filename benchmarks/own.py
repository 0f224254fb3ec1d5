"""recloser and the floor as contenders, and the loops over features that only recloser has."""

from dataclasses import dataclass
from itertools import repeat
from typing import Any

from benchmarks.contender import LONG_SECONDS, NEVER, Contender, Dependency, Work
from benchmarks.floor import FloorBreaker, FloorOpenError
from benchmarks.harness import Run, with_own_code
from benchmarks.memory import bytes_per_breaker, use_once
from recloser import CircuitBreaker, CircuitBreakerOpenError, CountWindow, FailureRate, TimeWindow

BUCKETS = 10
COUNT_WINDOW = FailureRate(0.5, window=CountWindow(100), minimum_calls=20)
TIME_WINDOW = FailureRate(0.5, window=TimeWindow(60, buckets=BUCKETS), minimum_calls=20)


def _decorate(breaker: Any, function: Work) -> Work:  # noqa: ANN401 - either breaker
    protected: Work = breaker(function)
    return protected


FLOOR = Contender(distribution="floor", make=FloorBreaker, protect=_decorate, rejection=FloorOpenError)
RECLOSER = Contender(distribution="recloser", make=CircuitBreaker, protect=_decorate, rejection=CircuitBreakerOpenError)


def windowed(name: str, rule: FailureRate) -> CircuitBreaker:
    """Returns a breaker with a rule over a window."""
    return CircuitBreaker(name, trip_when=rule, reset_timeout_seconds=LONG_SECONDS)


def default(name: str) -> CircuitBreaker:
    """Returns a breaker with the default rule that never trips."""
    return CircuitBreaker(name, failure_threshold=NEVER, reset_timeout_seconds=LONG_SECONDS)


def through_call(breaker: CircuitBreaker, function: Work) -> Run:
    """Returns a loop over `breaker.call`."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            done += await breaker.call(function, 1)
        return done

    return with_own_code(run)


def through_guard(breaker: CircuitBreaker, function: Work) -> Run:
    """Returns a loop over `breaker.guard`."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            async with breaker.guard():
                done += await function(1)
        return done

    return with_own_code(run)


def rejected_permits(breaker: CircuitBreaker) -> Run:
    """Returns a loop over `breaker.try_acquire` of an open breaker."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            if await breaker.try_acquire() is None:
                done += 1
        return done

    return with_own_code(run)


@dataclass(frozen=True, slots=True)
class Kind:
    """A setup of a breaker whose memory is measured.

    Args:
        what: The name in the table.
        bar: The most bytes that it can take.
        rule: The trip rule; None for the default.
    """

    what: str
    bar: float
    rule: FailureRate | None


KINDS = (
    Kind("default rule", 1024, None),
    Kind("count window 100", 1280, COUNT_WINDOW),
    Kind("time window of 10 buckets", 1536, TIME_WINDOW),
)

BUCKET_SECONDS = 6.0


async def weigh(kind: Kind, *, used: bool, breakers: int) -> float:
    """Returns the bytes of one breaker.

    A used breaker has seen successes and one failure in every bucket of its window.

    Args:
        kind: The setup.
        used: Whether to make calls through each breaker before it is measured.
        breakers: How many breakers to create.
    """
    now = 0.0
    dependency = Dependency()
    function = dependency.function()

    def clock() -> float:
        return now

    def make(name: str) -> CircuitBreaker:
        if kind.rule is None:
            return CircuitBreaker(name, failure_threshold=NEVER, clock=clock)
        return CircuitBreaker(name, trip_when=kind.rule, clock=clock)

    async def use(breaker: CircuitBreaker) -> None:
        nonlocal now
        protected = breaker(function)
        for _ in range(BUCKETS):
            now += BUCKET_SECONDS
            await use_once(protected, dependency)

    return await bytes_per_breaker(make, use if used else None, breakers=breakers)
