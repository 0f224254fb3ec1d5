"""Short ways to bring the breakers of a registry into each state, without a reference to them."""

from recloser import BreakerRegistry


def fail(registry: BreakerRegistry, name: str, times: int = 1) -> None:
    for _ in range(times):
        registry.breaker(name).try_acquire_nowait().fail()


def succeed(registry: BreakerRegistry, name: str) -> None:
    registry.breaker(name).try_acquire_nowait().succeed()


def names(registry: BreakerRegistry) -> set[str]:
    return {breaker.name for breaker in registry}
