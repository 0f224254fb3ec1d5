"""Resilience for asyncio: a circuit breaker that lets exactly one probe through."""

from recloser._breaker.breaker import CircuitBreaker
from recloser._breaker.dispatch import EventStream
from recloser._breaker.permits import Permit
from recloser._core.backoff import ConstantBackoff, ExponentialBackoff
from recloser._core.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Cause,
    Event,
    EventsDropped,
    LateOutcome,
    ProbeAdmitted,
    Snapshot,
    StateChanged,
)
from recloser._core.homes import publish as _publish
from recloser._core.outcomes import Outcome
from recloser._core.states import CircuitState, Trigger
from recloser._core.trip import ConsecutiveFailures, FailureCount, FailureRate, SlowCallRate
from recloser._core.windows import CountWindow, TimeWindow
from recloser._fallback import Answer, Constant, Fallback, LastKnownGood, fallback
from recloser._registry import BreakerRegistry
from recloser.errors import (
    BulkheadFullError,
    CallTimeoutError,
    CircuitBreakerOpenError,
    ConfigurationWarning,
    FallbackExhaustedError,
    NoAnswer,
    RateLimitedError,
    RecloserError,
    RejectedError,
)

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "BreakerRegistry",
    "BulkheadFullError",
    "CallFailed",
    "CallIgnored",
    "CallRejected",
    "CallSucceeded",
    "CallTimeoutError",
    "Cause",
    "CircuitBreaker",
    "CircuitBreakerOpenError",
    "CircuitState",
    "ConfigurationWarning",
    "ConsecutiveFailures",
    "Constant",
    "ConstantBackoff",
    "CountWindow",
    "Event",
    "EventStream",
    "EventsDropped",
    "ExponentialBackoff",
    "FailureCount",
    "FailureRate",
    "Fallback",
    "FallbackExhaustedError",
    "LastKnownGood",
    "LateOutcome",
    "NoAnswer",
    "Outcome",
    "Permit",
    "ProbeAdmitted",
    "RateLimitedError",
    "RecloserError",
    "RejectedError",
    "SlowCallRate",
    "Snapshot",
    "StateChanged",
    "TimeWindow",
    "Trigger",
    "fallback",
]

_publish(globals())
