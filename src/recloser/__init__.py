"""Resilience for asyncio: a circuit breaker that lets exactly one probe through."""

import typing as _typing
from importlib import import_module as _import_module

from recloser._breaker.breaker import CircuitBreaker
from recloser._breaker.permits import Permit
from recloser._core.defaults import ConsecutiveFailures
from recloser._core.homes import publish as _publish
from recloser._core.states import CircuitState
from recloser._core.windows import CountWindow, TimeWindow
from recloser.errors import (
    CallTimeoutError,
    CircuitBreakerOpenError,
    NoAnswer,
    RecloserError,
    RejectedError,
    rejection_of,
)
from recloser.events import Event, StateChanged

if _typing.TYPE_CHECKING:  # pragma: no cover
    from recloser._core.backoff import ExponentialBackoff
    from recloser._core.trip import FailureCount, FailureRate, SlowCallRate
    from recloser._fallback import Answer, Constant, Fallback, LastKnownGood
    from recloser._policies import Bulkhead, Hedge, Pipeline, RateLimit, Retry, RetryBudget, Timeout
    from recloser._registry import BreakerRegistry

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "BreakerRegistry",
    "Bulkhead",
    "CallTimeoutError",
    "CircuitBreaker",
    "CircuitBreakerOpenError",
    "CircuitState",
    "ConsecutiveFailures",
    "Constant",
    "CountWindow",
    "Event",
    "ExponentialBackoff",
    "FailureCount",
    "FailureRate",
    "Fallback",
    "Hedge",
    "LastKnownGood",
    "NoAnswer",
    "Permit",
    "Pipeline",
    "RateLimit",
    "RecloserError",
    "RejectedError",
    "Retry",
    "RetryBudget",
    "SlowCallRate",
    "StateChanged",
    "TimeWindow",
    "Timeout",
    "rejection_of",
]

_PACKAGES = {
    "recloser._core.backoff": ("ExponentialBackoff",),
    "recloser._core.trip": ("FailureCount", "FailureRate", "SlowCallRate"),
    "recloser._fallback": ("Answer", "Constant", "Fallback", "LastKnownGood"),
    "recloser._policies": ("Bulkhead", "Hedge", "Pipeline", "RateLimit", "Retry", "RetryBudget", "Timeout"),
    "recloser._registry": ("BreakerRegistry",),
}
_PACKAGE_OF = {name: package for package, names in _PACKAGES.items() for name in names}
"""The packages and modules that are imported when one of their names is used first: few breakers need them."""


if not _typing.TYPE_CHECKING:  # pragma: no branch - a type checker that sees it accepts every misspelt name

    def __getattr__(name: str) -> object:
        if name not in _PACKAGE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(_import_module(_PACKAGE_OF[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_publish(globals())
