"""recloser and the floor as contenders, and the rules that recloser's own rows use."""

from functools import partial
from typing import Any

from benchmarks import contender as of
from benchmarks.contender import LONG_SECONDS, NEVER, Contender, Work
from benchmarks.floor import FloorBreaker, FloorOpenError
from benchmarks.lean import LeanBreaker
from recloser import (
    CircuitBreaker,
    CircuitBreakerOpenError,
    CountWindow,
    FailureRate,
    SlowCallRate,
    TimeWindow,
)

COUNT_WINDOW = CountWindow(of.WINDOW_CALLS)
TIME_WINDOW = TimeWindow(of.WINDOW_SECONDS, buckets=of.BUCKETS)
"""The windows of all rows."""


def rate(window: CountWindow | TimeWindow, share: float = 0.5, calls: int = 20) -> FailureRate:
    """Returns a failure rate over a window."""
    return FailureRate(share, window=window, minimum_calls=calls)


def slow(window: CountWindow | TimeWindow) -> SlowCallRate:
    """Returns a slow-call rate over a window; no call in the run is slow."""
    return SlowCallRate(of.SLOW_RATE, slow_call_seconds=of.SLOW_SECONDS, window=window)


def breaker(name: str, **settings: Any) -> CircuitBreaker:  # noqa: ANN401 - the settings of a breaker
    """Returns a breaker with the default rule and a threshold that is never reached, or with another rule."""
    if "trip_when" not in settings:
        settings.setdefault("failure_threshold", NEVER)
    return CircuitBreaker(name, reset_timeout_seconds=LONG_SECONDS, **settings)


def _decorate(breaker: Any, function: Work) -> Work:  # noqa: ANN401 - any of the three breakers
    protected: Work = breaker(function)
    return protected


def _rates(
    window: CountWindow | TimeWindow,
    *,
    slow_calls: bool,
    name: str,
    failure_threshold: int,
    reset_timeout_seconds: float,
) -> CircuitBreaker:
    rule = rate(window, 1.0, of.minimum_calls(failure_threshold))
    trip_when = rule | slow(window) if slow_calls else rule
    return CircuitBreaker(name, trip_when=trip_when, reset_timeout_seconds=reset_timeout_seconds)


def _setup(window: CountWindow | TimeWindow, rules: str, *, slow_calls: bool) -> Contender:
    def make(name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> CircuitBreaker:
        return _rates(
            window,
            slow_calls=slow_calls,
            name=name,
            failure_threshold=failure_threshold,
            reset_timeout_seconds=reset_timeout_seconds,
        )

    return _recloser(make=make, rules=rules, does=f"decorator; {rules}, and totals")


_recloser = partial(Contender, "recloser", protect=_decorate, rejection=CircuitBreakerOpenError)

FLOOR = Contender(
    "floor", make=FloorBreaker, protect=_decorate, rejection=FloorOpenError, does="decorator; failures in a row"
)
LEAN = Contender("lean floor", make=LeanBreaker, protect=_decorate, rejection=FloorOpenError)
RECLOSER = _recloser(make=CircuitBreaker, does="decorator; failures in a row, and totals")
SETUPS = {
    of.IN_A_ROW: RECLOSER,
    of.COUNT: _setup(COUNT_WINDOW, of.COUNT, slow_calls=False),
    of.COUNT_SLOW: _setup(COUNT_WINDOW, of.COUNT_SLOW, slow_calls=True),
    of.TIME: _setup(TIME_WINDOW, of.TIME, slow_calls=False),
    of.TIME_SLOW: _setup(TIME_WINDOW, of.TIME_SLOW, slow_calls=True),
}
"""recloser with the rules that the other libraries are measured with."""
