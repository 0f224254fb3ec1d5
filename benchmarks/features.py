"""Loops over what only recloser has: blocks, permits, and breakers by key."""

from itertools import repeat

from benchmarks.contender import Work
from benchmarks.harness import Run, with_own_code
from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError


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


def failing_guard(breaker: CircuitBreaker, function: Work) -> Run:
    """Returns a loop over blocks that raise ConnectionError."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            try:
                async with breaker.guard():
                    await function(1)
            except ConnectionError:
                done += 1
        return done

    return with_own_code(run)


def acquired_permits(breaker: CircuitBreaker, function: Work) -> Run:
    """Returns a loop that acquires a permit for each call and settles it."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            permit = await breaker.acquire()
            done += await function(1)
            permit.succeed()
        return done

    return with_own_code(run)


def tried_permits(breaker: CircuitBreaker, function: Work) -> Run:
    """Returns a loop that gets each permit with `try_acquire_nowait`."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            permit = breaker.try_acquire_nowait()
            if permit is not None:
                done += await function(1)
                permit.succeed()
        return done

    return with_own_code(run)


def rejected_permits(breaker: CircuitBreaker) -> Run:
    """Returns a loop over `try_acquire` of an open breaker."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            if await breaker.try_acquire() is None:
                done += 1
        return done

    return with_own_code(run)


def rejected_permits_nowait(breaker: CircuitBreaker) -> Run:
    """Returns a loop over `try_acquire_nowait` of an open breaker."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            if breaker.try_acquire_nowait() is None:
                done += 1
        return done

    return with_own_code(run)


def rejected_guards(breaker: CircuitBreaker, function: Work) -> Run:
    """Returns a loop over blocks of an open breaker."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            try:
                async with breaker.guard():
                    await function(1)
            except CircuitBreakerOpenError:
                done += 1
        return done

    return with_own_code(run)


def by_item(registry: BreakerRegistry, function: Work) -> Run:
    """Returns a loop that looks the breaker up by `registry[name]`."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            done += await registry["api.example.com"].call(function, 1)
        return done

    return with_own_code(run)


def by_name(registry: BreakerRegistry, function: Work) -> Run:
    """Returns a loop that looks the breaker up by `registry.breaker(name)`."""

    async def run(times: int) -> int:
        done = 0
        for _ in repeat(None, times):
            done += await registry.breaker("api.example.com").call(function, 1)
        return done

    return with_own_code(run)
