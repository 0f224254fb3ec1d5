"""fluxgate: rules over a window of calls or of seconds; it always measures calls, whatever the rules.

The decorator is as fast as `call`.
"""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

from collections.abc import Callable
from functools import partial

from fluxgate import AsyncCircuitBreaker
from fluxgate.errors import CallNotPermittedError
from fluxgate.retries import Cooldown
from fluxgate.trippers import FailureRate, MinRequests, SlowRate
from fluxgate.windows import CountWindow, TimeWindow, Window

from benchmarks import contender as of
from benchmarks.contender import Contender, Work


def _make(
    window: Callable[[], Window],
    name: str,  # noqa: ARG001 - it has no names
    *,
    failure_threshold: int,
    reset_timeout_seconds: float,
) -> AsyncCircuitBreaker:
    rates = FailureRate(1.0) | SlowRate(of.SLOW_RATE, threshold=of.SLOW_SECONDS)
    return AsyncCircuitBreaker(
        window=window(),
        tripper=MinRequests(of.minimum_calls(failure_threshold)) & rates,
        retry=Cooldown(reset_timeout_seconds),
    )


def _protect(breaker: AsyncCircuitBreaker, function: Work) -> Work:
    protected: Work = breaker(function)
    return protected


CONTENDERS = (
    Contender(
        "fluxgate",
        make=partial(_make, partial(CountWindow, of.WINDOW_CALLS)),
        protect=_protect,
        rejection=CallNotPermittedError,
        rules=of.COUNT_SLOW,
        does="decorator; measures the call, keeps the last 100 under an asyncio.Lock, evaluates both rates",
    ),
    Contender(
        "fluxgate",
        make=partial(_make, partial(TimeWindow, of.WINDOW_SECONDS)),
        protect=_protect,
        rejection=CallNotPermittedError,
        rules=of.TIME_SLOW,
        does="decorator; measures the call, keeps sums of 60 seconds under an asyncio.Lock, evaluates both rates",
    ),
)
