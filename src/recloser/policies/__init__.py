"""Policies that stand beside a circuit breaker: timeout, bulkhead, rate limit, retry, hedge, and their composition.

Each has `await policy.call(fn, *args, **kwargs)` and is a decorator, as a breaker is; each runs on asyncio and trio,
may be made at import time, and serves one event loop after another. `Pipeline` puts several around a call.
"""

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
