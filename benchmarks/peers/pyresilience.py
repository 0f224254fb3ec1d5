"""pyresilience: counts failures in a row, or has a window of calls; each decorated function has its own breaker."""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

from collections.abc import Callable
from functools import partial
from typing import Any

from pyresilience import CircuitBreakerConfig, CircuitOpenError, resilient

from benchmarks import contender as of
from benchmarks.contender import Contender, Work

Decorator = Callable[[Work], Work]


def _in_a_row(name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> Decorator:  # noqa: ARG001 - it has no names
    config = CircuitBreakerConfig(failure_threshold=failure_threshold, recovery_timeout=reset_timeout_seconds)
    decorator: Decorator = resilient(circuit_breaker=config)
    return decorator


def _rate(name: str, *, failure_threshold: int, reset_timeout_seconds: float, **slow: Any) -> Decorator:  # noqa: ANN401, ARG001 - settings
    config = CircuitBreakerConfig(
        sliding_window_size=of.WINDOW_CALLS,
        failure_rate_threshold=1.0,
        minimum_calls=of.minimum_calls(failure_threshold),
        recovery_timeout=reset_timeout_seconds,
        **slow,
    )
    decorator: Decorator = resilient(circuit_breaker=config)
    return decorator


def _protect(breaker: Decorator, function: Work) -> Work:
    protected: Work = breaker(function)
    return protected


_contender = partial(Contender, "pyresilience", protect=_protect, rejection=CircuitOpenError, bound_to_function=True)

CONTENDERS = (
    _contender(make=_in_a_row, does="decorator; counts failures in a row under a lock"),
    _contender(make=_rate, rules=of.COUNT, does="decorator; keeps the last 100 calls under a lock and counts them"),
    _contender(
        make=partial(_rate, slow_call_duration=of.SLOW_SECONDS, slow_call_rate_threshold=of.SLOW_RATE),
        rules=of.COUNT_SLOW,
        does="decorator; measures the call, keeps the last 100 calls under a lock and counts them twice",
    ),
)
