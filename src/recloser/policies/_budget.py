"""The retry budget: what keeps retries and hedges from multiplying the load of a dependency that is down.

After Finagle's `RetryBudget` (https://twitter.github.io/finagle/guide/Clients.html#retries) and gRPC's retry throttling
(https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs): calls put
a fraction of a token into a bucket, further attempts take a whole one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from recloser._core import checks
from recloser.policies._bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable


class RetryBudget:
    """Bounds the further attempts of all calls that share it.

    Over any time, n calls make at most `burst + ratio * n + minimum_per_second * seconds` further attempts, however
    many of them fail. Hand the same budget to several policies to bound what they do together to one dependency.

    Args:
        ratio: Further attempts per call in the long run (finite, >= 0); 0.1 means one more call in ten.
        minimum_per_second: Further attempts per second that are allowed however few calls there are (finite, >= 0).
        burst: Most further attempts that can be saved up (finite, >= 1); there are as many at the beginning.
        clock: Monotonic seconds.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
    """

    __slots__ = ("_bucket", "_calls", "_minimum_per_second", "_ratio")

    def __init__(
        self,
        ratio: float = 0.1,
        *,
        minimum_per_second: float = 1.0,
        burst: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = 0
        """Calls whose share is not in the bucket yet: it is put in when somebody looks, a count costs a call less."""
        self._ratio = checks.number_at_least("ratio", ratio, 0)
        self._minimum_per_second = checks.number_at_least("minimum_per_second", minimum_per_second, 0)
        capacity = checks.number_at_least("burst", burst, 1)
        self._bucket = TokenBucket(capacity, self._minimum_per_second, clock)

    def deposit(self) -> None:
        """Note that a call was made."""
        self._calls += 1

    def withdraw(self) -> bool:
        """Take what one further attempt costs, if there is enough; say whether."""
        self._bucket.add(self._ratio * self._calls)
        self._calls = 0
        return self._bucket.take()

    def __str__(self) -> str:
        """Say the bound in words."""
        return f"budget {self._ratio:g} per call + {self._minimum_per_second:g} per s + {self._bucket.capacity:g}"


def budget_of(value: object) -> RetryBudget | None:
    """Return the budget that an argument means: a budget, a new one with a ratio, or none.

    Raises:
        TypeError: It is something else.
        ValueError: The ratio is out of its range.
    """
    if value is None or isinstance(value, RetryBudget):
        return value
    return RetryBudget(checks.number_at_least("budget", value, 0))
