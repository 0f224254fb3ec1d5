"""The service's dependencies, as values: the phases of each, and the breaker that protects it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

from recloser import BreakerRegistry, CircuitBreaker, CountWindow, FailureRate, SlowCallRate
from recloser.cli.demo.plan import Fault, Phase

__all__ = ["Dependency", "dependencies"]

_OK, _DOWN, _BUSY = HTTPStatus.OK, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE
_TIMES_FASTER = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One thing that the service calls.

    Attributes:
        name: Its name and its breaker's.
        phases: What it goes through, again and again.
        protect: Makes its breaker in a registry; the number is a reset timeout in seconds.
        callers: How many tasks call it.
        pause_seconds: The mean time between two calls of each of them.
        timeout_seconds: The HTTP client's timeout.
        reset_timeout_seconds: How long the breaker stays open before a probe.
    """

    name: str
    phases: tuple[Phase, ...]
    protect: Callable[[BreakerRegistry, str, float], CircuitBreaker]
    callers: int = 10
    pause_seconds: float = 0.5
    timeout_seconds: float = 1.5
    reset_timeout_seconds: float = 8.0

    def faster(self, times: float) -> "Dependency":
        """Return the same dependency with shorter phases and timeouts; the rate of calls stays."""
        return replace(
            self,
            phases=tuple(replace(phase, seconds=phase.seconds / times) for phase in self.phases),
            timeout_seconds=self.timeout_seconds / times,
            reset_timeout_seconds=self.reset_timeout_seconds / times,
        )


def dependencies(*, fast: bool) -> list[Dependency]:
    """Return the service's dependencies; with `fast` they fail within seconds."""
    return [each.faster(_TIMES_FASTER) for each in _DEPENDENCIES] if fast else list(_DEPENDENCIES)


def _by_failures(registry: BreakerRegistry, name: str, reset_timeout_seconds: float) -> CircuitBreaker:
    return registry.breaker(name, failure_threshold=5, reset_timeout_seconds=reset_timeout_seconds)


def _by_rates(registry: BreakerRegistry, name: str, reset_timeout_seconds: float) -> CircuitBreaker:
    window = CountWindow(50)
    rule = FailureRate(0.5, window=window, minimum_calls=20) | SlowCallRate(
        0.6, slow_call_seconds=0.25, window=window, minimum_calls=20
    )
    return registry.breaker(name, trip_when=rule, reset_timeout_seconds=reset_timeout_seconds)


def _in_shadow(registry: BreakerRegistry, name: str, reset_timeout_seconds: float) -> CircuitBreaker:
    return registry.breaker(name, failure_threshold=3, reset_timeout_seconds=reset_timeout_seconds, shadow=True)


_DEPENDENCIES = (
    Dependency(
        name="orders",
        phases=(
            Phase(name="healthy", seconds=12.0),
            Phase(name="failing", seconds=14.0, replies=(_DOWN, _BUSY, Fault.RESET)),
            Phase(name="hanging", seconds=14.0, replies=(Fault.HANG,)),
            Phase(name="recovering", seconds=6.0, latency_seconds=0.1),
            Phase(name="healthy", seconds=14.0),
        ),
        protect=_by_failures,
        callers=20,
    ),
    Dependency(
        name="search",
        phases=(
            Phase(name="healthy", seconds=36.0),
            Phase(name="slow", seconds=18.0, latency_seconds=0.5),
            Phase(name="healthy", seconds=26.0),
        ),
        protect=_by_rates,
        callers=15,
        timeout_seconds=10.0,
    ),
    Dependency(
        name="payments",
        phases=(Phase(name="healthy", seconds=60.0, replies=(*[_OK] * 49, _DOWN), latency_seconds=0.06),),
        protect=_by_failures,
    ),
    Dependency(
        name="recommendations",
        phases=(
            Phase(name="healthy", seconds=24.0),
            Phase(name="failing", seconds=10.0, replies=(_DOWN,)),
            Phase(name="healthy", seconds=36.0),
        ),
        protect=_in_shadow,
        callers=5,
    ),
)
