"""circuitbreaker: counts failures in a row; an open breaker whose time is over lets every call through."""

# The library need not be installed and need not have types.
# mypy: disable-error-code="import-not-found, import-untyped"

from circuitbreaker import CircuitBreaker, CircuitBreakerError

from benchmarks.contender import Contender, Work


def _make(name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> CircuitBreaker:
    return CircuitBreaker(name=name, failure_threshold=failure_threshold, recovery_timeout=reset_timeout_seconds)


def _protect(breaker: CircuitBreaker, function: Work) -> Work:
    protected: Work = breaker(function)
    return protected


CONTENDER = Contender("circuitbreaker", make=_make, protect=_protect, rejection=CircuitBreakerError)
