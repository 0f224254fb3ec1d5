"""hyx: counts failures in a row; it closes after three successes and admits every call until then."""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

from hyx.circuitbreaker import consecutive_breaker
from hyx.circuitbreaker.exceptions import BreakerFailing

from benchmarks.contender import Contender, Work


def _make(name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> consecutive_breaker:  # noqa: ARG001 - it has no names
    return consecutive_breaker(failure_threshold=failure_threshold, recovery_time_secs=reset_timeout_seconds)


def _protect(breaker: consecutive_breaker, function: Work) -> Work:
    protected: Work = breaker(function)
    return protected


CONTENDERS = (
    Contender(
        "hyx",
        make=_make,
        protect=_protect,
        rejection=BreakerFailing,
        does="decorator; counts failures in a row in a state object",
    ),
)
