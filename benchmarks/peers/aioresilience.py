"""aioresilience: counts failures in a row under an asyncio.Lock, and logs every failure."""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

from aioresilience import CircuitBreaker, CircuitBreakerOpenError, CircuitConfig, with_circuit_breaker

from benchmarks.contender import Contender, Work


def _make(name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> CircuitBreaker:
    config = CircuitConfig(failure_threshold=failure_threshold, recovery_timeout=reset_timeout_seconds)
    return CircuitBreaker(name=name, config=config)


def _protect(breaker: CircuitBreaker, function: Work) -> Work:
    protected: Work = with_circuit_breaker(breaker)(function)
    return protected


CONTENDER = Contender("aioresilience", make=_make, protect=_protect, rejection=CircuitBreakerOpenError)
