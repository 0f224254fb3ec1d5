"""Rate limit: keeps the calls to a dependency within the rate that it allows."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypedDict

import anyio

from recloser._breaker.loop_bound import PerLoop
from recloser._core import checks
from recloser._core.wording import plural
from recloser._policies.bucket import TokenBucket
from recloser._policies.policy import AdmittingPolicy, is_awaitable
from recloser.errors import RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._policies.policy import Wrapped


class RateLimitHealth(TypedDict):
    """What `RateLimit.health()` returns.

    Attributes:
        kind: "rate_limit".
        name: The name of the policy.
        admitted_total: Calls that got a token, at once or after a wait.
        delayed_total: Those of them that had to wait for it.
        rejected_total: Calls that would have had to wait too long.
    """

    kind: str
    name: str
    admitted_total: int
    delayed_total: int
    rejected_total: int


class RateLimit(AdmittingPolicy):
    """Lets `calls` calls start per `per_seconds` on average; further calls are rejected with the time to retry.

    It is a token bucket (https://en.wikipedia.org/wiki/Token_bucket) of `calls` tokens. A call takes one token, and one
    flows in every `per_seconds / calls` seconds. So after an idle period `calls` calls may start at the same time, and
    in any period of t seconds at most `calls + t * calls / per_seconds` calls start.

    Put it outside the breaker if calls wait in it: inside, they have passed the breaker before it opens, and reach the
    dependency afterwards. A breaker around the rate limit ignores a rejected call.

    Waiting calls start in the order of arrival. A waiting call that is cancelled takes no token. A rate limit serves
    one event loop at a time, in one process: divide the limit of the dependency by the number of processes.

    Args:
        calls: How many calls may start per `per_seconds`, >= 1; also how many may start at once.
        per_seconds: The period for so many calls (finite, > 0).
        max_wait_seconds: How long a call may wait for its token (finite, >= 0); a call that would have to wait longer
            is rejected immediately.
        name: Name in errors; `rate_limit-<n>` if not given.
        clock: Returns monotonic seconds, which pass as fast as those of the event loop; None means `time.monotonic`.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
    """

    __slots__ = (
        "_admitted",
        "_bucket",
        "_calls",
        "_delayed",
        "_line",
        "_lines",
        "_max_wait_seconds",
        "_per_seconds",
        "_rejected",
    )

    kind = "rate_limit"

    def __init__(
        self,
        calls: int,
        per_seconds: float,
        *,
        max_wait_seconds: float = 0.0,
        name: str | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(name)
        self._calls = checks.count("calls", calls)
        self._per_seconds = checks.seconds("per_seconds", per_seconds)
        self._max_wait_seconds = checks.seconds("max_wait_seconds", max_wait_seconds, zero=True)
        self._bucket = TokenBucket(self._calls, self._calls / self._per_seconds, clock, self._name, "rate limit")
        self._line = _Line()
        self._lines = PerLoop(_Line)
        self._admitted = self._delayed = self._rejected = 0

    @property
    def may_wait(self) -> bool:
        """Whether a call may wait for a token, which needs `max_wait_seconds`."""
        return self._max_wait_seconds > 0

    @property
    def waiting(self) -> int:
        """How many calls are waiting for a token."""
        return self._line.length

    def health(self) -> RateLimitHealth:
        """Return the counts as a JSON-ready dictionary; safe from any thread.

        An iteration of a decorated async generator function counts as a call. A call that is cancelled while it waits
        is neither admitted nor rejected.
        """
        return {
            "kind": self.kind,
            "name": self._name,
            "admitted_total": self._admitted,
            "delayed_total": self._delayed,
            "rejected_total": self._rejected,
        }

    def _around(self, fn: Callable[..., Any]) -> Wrapped:
        take = self._bucket.take

        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            if self._line.length or not take():
                await self._wait()
            self._admitted += 1
            result = fn(*args, **kwargs) if kwargs else fn(*args)
            if type(result) is CoroutineType or is_awaitable(result):
                return await result
            return result

        return protected

    async def _admit(self) -> Callable[[], object]:
        await self._wait()
        self._admitted += 1
        return _end

    async def _wait(self) -> None:
        """Take a token, after all calls that arrived earlier.

        Raises:
            RateLimitedError: The wait would be too long.
        """
        self._line = line = self._lines.here()
        if not line.length and self._bucket.take():
            return
        seconds = self._bucket.wait_seconds(line.length + 1)
        if seconds > self._max_wait_seconds:
            self._rejected += 1
            raise RateLimitedError(self._name, seconds)
        line.length += 1
        try:
            async with line.lock:
                while not self._bucket.take():  # noqa: ASYNC110 - there is no event to wait for
                    await anyio.sleep(self._bucket.wait_seconds())
                self._delayed += 1
        finally:
            line.length -= 1

    def _settings(self) -> str:
        rate = f"{self._calls} {plural(self._calls, 'call')} per {self._per_seconds:g} s"
        return f"{rate}, waiting at most {self._max_wait_seconds:g} s" if self._max_wait_seconds else rate


class _Line:
    """The calls that wait for a token. The first one holds the lock, and only that one watches the bucket."""

    __slots__ = ("length", "lock")

    def __init__(self) -> None:
        self.length = 0
        self.lock = anyio.Lock(fast_acquire=True)


def _end() -> None:
    """End an iteration: there is nothing to return, because its token was used up when it began."""
