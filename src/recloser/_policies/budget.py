"""The retry budget: it keeps retries and hedges from multiplying the load of a dependency that is down.

After Finagle's `RetryBudget` (https://twitter.github.io/finagle/guide/Clients.html#retries) and gRPC's retry throttling
(https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs): each
call puts a fraction of a token into a bucket, and each further attempt takes a whole token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser._breaker.steps import STEP
from recloser._core import checks
from recloser._policies.bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable


class RetryBudget:
    """Limits the further attempts of all calls that share it.

    In any period, n calls make at most `burst + ratio * n + minimum_per_second * seconds` further attempts, however
    many of them fail. Give several policies the same budget to limit their total load on one dependency.

    Args:
        ratio: Further attempts per call in the long run (finite, >= 0); 0.1 means one for every ten calls.
        minimum_per_second: Further attempts per second that are allowed however few calls there are (finite, >= 0).
        burst: The most further attempts that can be saved up (finite, >= 1); a new budget starts with as many.
        clock: Returns monotonic seconds; None means `time.monotonic`.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
    """

    __slots__ = ("_bucket", "_minimum_per_second", "_ratio", "pending_calls")

    def __init__(
        self,
        ratio: float = 0.1,
        *,
        minimum_per_second: float = 1.0,
        burst: float = 10.0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        # Calls that have not been added to the bucket yet: counting them here costs a call less than adding them there.
        self.pending_calls: int = 0
        self._ratio = checks.number_at_least("ratio", ratio, 0)
        self._minimum_per_second = checks.number_at_least("minimum_per_second", minimum_per_second, 0)
        capacity = checks.number_at_least("burst", burst, 1)
        self._bucket = TokenBucket(capacity, self._minimum_per_second, clock)

    def deposit(self) -> None:
        """Count a call."""
        self.pending_calls += 1

    def withdraw(self) -> bool:
        """Pay for one further attempt; return False if the budget is used up."""
        with STEP:
            pending = self.pending_calls
            self.pending_calls -= pending  # another thread may have counted calls in the meantime
        self._bucket.add(self._ratio * pending)
        return self._bucket.take()

    def __str__(self) -> str:
        """Describe the limit."""
        return f"budget {self._ratio:g} per call + {self._minimum_per_second:g} per s + {self._bucket.capacity:g}"


def budget_of(value: object) -> RetryBudget | None:
    """Return the budget for an argument: a budget as it is, a new one for a ratio, or None.

    Raises:
        TypeError: The argument is something else.
        ValueError: The ratio is out of its range.
    """
    if value is None or isinstance(value, RetryBudget):
        return value
    return RetryBudget(checks.number_at_least("budget", value, 0))
