"""Policies to combine with a circuit breaker: timeout, bulkhead, rate limit, retry, hedge, and pipelines of them.

Like a breaker, each policy has `await policy.call(fn, *args, **kwargs)` and is a decorator. Each runs on asyncio and
trio, can be created at import time, and can be used in one event loop after another. `Pipeline` puts several around a
call.
"""

from recloser._core.homes import publish as _publish
from recloser.errors import BulkheadFullError, CallTimeoutError, ConfigurationWarning, RateLimitedError
from recloser.policies._budget import RetryBudget
from recloser.policies.bulkhead import Bulkhead
from recloser.policies.hedge import Hedge
from recloser.policies.pipeline import Pipeline
from recloser.policies.rate_limit import RateLimit
from recloser.policies.retry import Retry
from recloser.policies.timeout import Timeout

__all__ = [
    "Bulkhead",
    "BulkheadFullError",
    "CallTimeoutError",
    "ConfigurationWarning",
    "Hedge",
    "Pipeline",
    "RateLimit",
    "RateLimitedError",
    "Retry",
    "RetryBudget",
    "Timeout",
]

_publish(globals())
