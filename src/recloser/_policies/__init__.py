"""Policies to combine with a circuit breaker: timeout, bulkhead, rate limit, retry, hedge, and pipelines of them.

Like a breaker, each policy has `await policy.call(fn, *args, **kwargs)` and is a decorator. Each runs on asyncio and
trio, can be created at import time, and serves any number of event loops and threads. `Pipeline` puts several around a
call.
"""

from recloser._core.homes import publish
from recloser._policies.budget import RetryBudget
from recloser._policies.bulkhead import Bulkhead
from recloser._policies.hedge import Hedge
from recloser._policies.pipeline import Pipeline
from recloser._policies.rate_limit import RateLimit
from recloser._policies.retry import Retry
from recloser._policies.timeout import Timeout

__all__ = ["Bulkhead", "Hedge", "Pipeline", "RateLimit", "Retry", "RetryBudget", "Timeout"]

publish(globals(), home="recloser")
