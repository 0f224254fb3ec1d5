"""interlock-cb: a failure rate over a window; it always measures slow calls and has no rule for failures in a row.

`call_async` is as fast as the decorator, and faster than a block.
"""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

from functools import partial
from typing import Any

from interlock import CircuitBreaker, CircuitOpenError, Config
from interlock.window import WindowType

from benchmarks import contender as of
from benchmarks.contender import Contender, Work


def _make(
    window: WindowType, size: int, name: str, *, failure_threshold: int, reset_timeout_seconds: float
) -> CircuitBreaker:
    config = Config(
        failure_rate_threshold=1.0,
        minimum_number_of_calls=of.minimum_calls(failure_threshold),
        slow_call_duration_threshold=of.SLOW_SECONDS,
        slow_call_rate_threshold=of.SLOW_RATE,
        wait_duration_in_open=reset_timeout_seconds,
        window_type=window,
        window_size=size,
    )
    return CircuitBreaker(name=name, config=config)


def _protect(breaker: Any, function: Work) -> Work:  # noqa: ANN401 - it types what it returns as a plain Awaitable
    return partial(breaker.call_async, function)


CONTENDERS = (
    Contender(
        "interlock-cb",
        make=partial(_make, WindowType.COUNT_BASED, of.WINDOW_CALLS),
        protect=_protect,
        rejection=CircuitOpenError,
        rules=of.COUNT_SLOW,
        does="`call_async`; measures the call, keeps a window of the last 100, evaluates both rates",
    ),
    Contender(
        "interlock-cb",
        make=partial(_make, WindowType.TIME_BASED, of.WINDOW_SECONDS),
        protect=_protect,
        rejection=CircuitOpenError,
        rules=of.TIME_SLOW,
        does="`call_async`; measures the call, keeps a window of 60 s, evaluates both rates",
    ),
)
