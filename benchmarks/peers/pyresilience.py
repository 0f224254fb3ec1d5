"""pyresilience: counts failures in a row; each decorated function gets its own breaker."""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

from collections.abc import Callable

from pyresilience import CircuitBreakerConfig, CircuitOpenError, resilient

from benchmarks.contender import Contender, Work

Decorator = Callable[[Work], Work]


def _make(name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> Decorator:  # noqa: ARG001 - it has no names
    config = CircuitBreakerConfig(failure_threshold=failure_threshold, recovery_timeout=reset_timeout_seconds)
    decorator: Decorator = resilient(circuit_breaker=config)
    return decorator


def _protect(breaker: Decorator, function: Work) -> Work:
    protected: Work = breaker(function)
    return protected


CONTENDER = Contender("pyresilience", make=_make, protect=_protect, rejection=CircuitOpenError, bound_to_function=True)
