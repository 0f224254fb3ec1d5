"""Measures memory: how large a breaker is, fresh and used, and what a rejected call leaves behind."""

import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.contender import LONG_SECONDS, NEVER, TRIP_AFTER, Contender, Dependency, Work, trip

BREAKERS = 10_000
CALLS_AROUND_FAILURE = 8

REJECTIONS = 20_000
WARM_UP_REJECTIONS = 1_000

B = TypeVar("B")


async def bytes_per_breaker(
    make: Callable[[str], B], use: Callable[[B], Awaitable[None]] | None = None, *, breakers: int = BREAKERS
) -> float:
    """Returns how much memory one of many breakers takes.

    The names are created before and do not count. What all breakers share comes with the first one and does not count
    either.

    Args:
        make: Creates a breaker with the given name.
        use: What to do with each breaker before it is measured.
        breakers: How many breakers to create.
    """
    first = make("first")
    if use is not None:
        await use(first)
    import tracemalloc  # noqa: PLC0415 - PyPy has none, and measures the times of calls all the same

    names = [f"breaker {number}" for number in range(breakers)]
    kept: list[B | None] = [None] * breakers
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number, name in enumerate(names):
            kept[number] = breaker = make(name)
            if use is not None:
                await use(breaker)
        del breaker
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / breakers


async def use_once(protected: Work, dependency: Dependency) -> None:
    """Makes some successful calls with a failing one in between.

    Args:
        protected: A function under a breaker.
        dependency: The dependency that it calls.
    """
    for _ in range(CALLS_AROUND_FAILURE):
        await protected(1)
    dependency.healthy = False
    try:
        await protected(1)
    except ConnectionError:
        dependency.healthy = True
    for _ in range(CALLS_AROUND_FAILURE):
        await protected(1)


async def weigh_used(contender: Contender, *, breakers: int) -> float:
    """Returns the bytes of one breaker of a library that has seen successes and a failure.

    Args:
        contender: The library.
        breakers: How many breakers to create.
    """
    dependency = Dependency()
    function = dependency.function()

    def make(name: str) -> Any:  # noqa: ANN401 - of any library
        breaker = contender.make(name, failure_threshold=NEVER, reset_timeout_seconds=LONG_SECONDS)
        return contender.protect(breaker, function) if contender.bound_to_function else breaker

    async def use(breaker: Any) -> None:  # noqa: ANN401 - of any library
        protected = breaker if contender.bound_to_function else contender.protect(breaker, function)
        await use_once(protected, dependency)

    return await bytes_per_breaker(make, use, breakers=breakers)


@dataclass(frozen=True, slots=True)
class Retained:
    """The bytes that a rejected call leaves behind.

    Args:
        at_once: Before the cyclic garbage collector has run.
        for_good: After it has run.
    """

    at_once: float
    for_good: float


async def retained_per_rejection(contender: Contender) -> Retained:
    """Makes many calls through an open breaker and returns what each leaves behind.

    Args:
        contender: The library.
    """
    import tracemalloc  # noqa: PLC0415 - as above

    dependency = Dependency()
    breaker = contender.make("retention", failure_threshold=TRIP_AFTER, reset_timeout_seconds=LONG_SECONDS)
    protected = contender.protect(breaker, dependency.function())
    await trip(contender, protected, dependency)
    await _reject(contender, protected, WARM_UP_REJECTIONS)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await _reject(contender, protected, REJECTIONS)
        at_once, _ = tracemalloc.get_traced_memory()
        gc.collect()
        for_good, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    return Retained((at_once - before) / REJECTIONS, (for_good - before) / REJECTIONS)


async def _reject(contender: Contender, protected: Work, times: int) -> None:
    for _ in range(times):
        try:
            await protected(1)
        except contender.rejection:
            continue
