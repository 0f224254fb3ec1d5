"""Times getting one of very many breakers, and measures the memory of a breaker with its entry in a registry."""

import gc
import random
import time

from benchmarks import memory
from recloser import BreakerRegistry, CircuitBreaker

KEYS = 1_000_000
PASSES = 3
SEED = 1


async def nanoseconds_per_get(keys: int) -> float:
    """Returns the CPU time of one get in the fastest pass; each pass gets every key once, in random order.

    Args:
        keys: How many breakers there are.
    """
    registry = BreakerRegistry(max_breakers=keys)
    names = [f"host-{number}.example.com" for number in range(keys)]
    gc.disable()
    try:
        for name in names:
            registry.breaker(name)
        return min(_pass(registry, random.Random(SEED + turn).sample(names, keys)) for turn in range(PASSES))
    finally:
        gc.enable()


def _pass(registry: BreakerRegistry, names: list[str]) -> float:
    get = registry.breaker
    started = time.thread_time_ns()
    for name in names:
        get(name)
    return (time.thread_time_ns() - started) / len(names)


async def bytes_per_breaker(breakers: int) -> float:
    """Returns the bytes of one breaker that a registry has created and keeps.

    Args:
        breakers: How many breakers to create.
    """
    registry = BreakerRegistry(max_breakers=breakers + 1)

    def make(name: str) -> CircuitBreaker:
        return registry.breaker(name)

    return await memory.bytes_per_breaker(make, breakers=breakers)
