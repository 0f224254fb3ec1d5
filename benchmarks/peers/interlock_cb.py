"""interlock-cb: uses a failure rate over the last 100 calls; it has no rule for failures in a row.

The threshold becomes the minimum number of calls, with a rate of 100 %.
"""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

from typing import Any

from interlock import CircuitBreaker, CircuitOpenError, Config

from benchmarks.contender import Contender, Work


def _make(name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> CircuitBreaker:
    config = Config(
        failure_rate_threshold=1.0,
        minimum_number_of_calls=failure_threshold,
        wait_duration_in_open=reset_timeout_seconds,
    )
    return CircuitBreaker(name=name, config=config)


def _protect(breaker: Any, function: Work) -> Work:  # noqa: ANN401 - it types what it returns as a plain Awaitable
    protected: Work = breaker(function)
    return protected


CONTENDER = Contender("interlock-cb", make=_make, protect=_protect, rejection=CircuitOpenError)
