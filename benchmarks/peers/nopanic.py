"""nopanic: a failure rate over a time window, and slow calls if they are asked for.

The decorator is as fast as `acall`, and faster than a block.
"""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

from functools import partial
from typing import Any

from nopanic import CircuitBreaker, CircuitOpen

from benchmarks import contender as of
from benchmarks.contender import Contender, Work


def _make(name: str, *, failure_threshold: int, reset_timeout_seconds: float, **slow: Any) -> CircuitBreaker:  # noqa: ANN401 - settings
    return CircuitBreaker(
        name=name,
        failure_threshold=1.0,
        min_calls=of.minimum_calls(failure_threshold),
        window=of.WINDOW_SECONDS,
        window_buckets=of.BUCKETS,
        reset_timeout=reset_timeout_seconds,
        **slow,
    )


def _protect(breaker: CircuitBreaker, function: Work) -> Work:
    protected: Work = breaker(function)
    return protected


CONTENDERS = (
    Contender(
        "nopanic",
        make=_make,
        protect=_protect,
        rejection=CircuitOpen,
        rules=of.TIME,
        does="decorator; counts calls and failures in 10 buckets under a lock, with one clock reading",
    ),
    Contender(
        "nopanic",
        make=partial(_make, slow_call_duration=of.SLOW_SECONDS, slow_call_threshold=of.SLOW_RATE),
        protect=_protect,
        rejection=CircuitOpen,
        rules=of.TIME_SLOW,
        does="decorator; the same, and measures the call",
    ),
)
