"""circuitbreaker: counts failures in a row; after the reset timeout, it lets every call through."""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

from circuitbreaker import CircuitBreaker, CircuitBreakerError

from benchmarks.contender import Contender, Work


def _make(name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> CircuitBreaker:
    return CircuitBreaker(name=name, failure_threshold=failure_threshold, recovery_timeout=reset_timeout_seconds)


def _protect(breaker: CircuitBreaker, function: Work) -> Work:
    protected: Work = breaker(function)
    return protected


CONTENDERS = (
    Contender(
        "circuitbreaker",
        make=_make,
        protect=_protect,
        rejection=CircuitBreakerError,
        does="decorator; counts failures in a row",
    ),
)
