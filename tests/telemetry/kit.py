"""Short ways to make the breakers of a registry do everything that is told about them."""

from recloser import BreakerRegistry, CircuitBreakerOpenError, Permit
from recloser.testing import ManualClock
from tests.registry.kit import fail, succeed

RESET_SECONDS = 60.0


class DownError(Exception):
    """What a dependency raises that is down."""


async def answer() -> str:
    return "answer"


async def break_down() -> None:
    raise DownError("down")


def make(clock: ManualClock, **options: object) -> BreakerRegistry:
    return BreakerRegistry(clock=clock, **{"failure_threshold": 2, "reset_timeout_seconds": RESET_SECONDS, **options})


def take(registry: BreakerRegistry, name: str) -> Permit:
    permit = registry.breaker(name).try_acquire_nowait()
    assert permit is not None
    return permit


async def live(registry: BreakerRegistry, name: str, clock: ManualClock) -> None:
    """Leaves a closed breaker with 2 successes, 3 failures, 1 ignored, 1 late, 1 rejected, 2 probes."""
    succeed(registry, name)
    take(registry, name).ignore()
    late = take(registry, name)
    fail(registry, name, 2)
    breaker = registry.breaker(name)
    try:
        await breaker.call(answer)
    except CircuitBreakerOpenError:
        late.succeed()
    clock.advance(RESET_SECONDS)
    fail(registry, name)
    clock.advance(RESET_SECONDS)
    await breaker.call(answer)
