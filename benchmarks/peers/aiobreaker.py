"""aiobreaker: counts failures in a row; the failure that opens it raises the rejection instead of its own error."""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

from datetime import timedelta

from aiobreaker import CircuitBreaker, CircuitBreakerError

from benchmarks.contender import Contender, Work


def _make(name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> CircuitBreaker:
    return CircuitBreaker(
        name=name, fail_max=failure_threshold, timeout_duration=timedelta(seconds=reset_timeout_seconds)
    )


def _protect(breaker: CircuitBreaker, function: Work) -> Work:
    protected: Work = breaker(function)
    return protected


CONTENDER = Contender("aiobreaker", make=_make, protect=_protect, rejection=CircuitBreakerError)
