"""aioresilience: counts failures in a row under an asyncio.Lock.

`call` is a tenth faster than the decorator. The library logs every failure to a handler that does nothing; here, the
level of its logger is above all messages, so that it makes none.
"""

# The library may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

import logging
from functools import partial

from aioresilience import CircuitBreaker, CircuitBreakerOpenError, CircuitConfig

from benchmarks.contender import Contender, Work

logging.getLogger("aioresilience").setLevel(logging.CRITICAL + 1)


def _make(name: str, *, failure_threshold: int, reset_timeout_seconds: float) -> CircuitBreaker:
    config = CircuitConfig(failure_threshold=failure_threshold, recovery_timeout=reset_timeout_seconds)
    return CircuitBreaker(name=name, config=config)


def _protect(breaker: CircuitBreaker, function: Work) -> Work:
    return partial(breaker.call, function)


CONTENDERS = (
    Contender(
        "aioresilience",
        make=_make,
        protect=_protect,
        rejection=CircuitBreakerOpenError,
        does="`call`, log off; counts failures in a row and totals under an asyncio.Lock, three times a call",
    ),
)
