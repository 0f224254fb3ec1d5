"""Rate limit: a dependency must not see more calls than it allows."""

from __future__ import annotations

import time
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import anyio

from recloser._breaker.loop_bound import PerLoop
from recloser._core import checks
from recloser._core.wording import plural
from recloser.errors import RateLimitedError
from recloser.policies._bucket import TokenBucket
from recloser.policies._policy import AdmittingPolicy, is_awaitable

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser.policies._policy import Wrapped


class RateLimit(AdmittingPolicy):
    """Lets `calls` calls start in any `per_seconds`, in the long run; others are rejected with the time to come back.

    A token bucket (https://en.wikipedia.org/wiki/Token_bucket): it holds `calls` tokens, a call takes one, and they
    flow in evenly, one every `per_seconds / calls`. After an idle time `calls` calls may thus start in one instant;
    over any time t at most `calls + t * calls / per_seconds` do.

    A rejected call is ignored for every breaker around the rate limit. Calls that wait start in the order of arrival,
    and nobody overtakes; a waiter that is cancelled has taken no token. One rate limit serves one event loop at a time,
    and one process: the limit of a dependency is to be divided by the number of processes.

    Args:
        calls: Calls in `per_seconds`, >= 1; also how many may start at once.
        per_seconds: The time for so many calls (finite, > 0).
        max_wait_seconds: A call waits for its token if that takes at most so long (finite, >= 0), and is rejected at
            once if it would take longer.
        name: Name in errors; `rate_limit-<n>` if not given.
        clock: Monotonic seconds, of the same pace as the event loop's.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
    """

    __slots__ = ("_bucket", "_calls", "_line", "_lines", "_max_wait_seconds", "_per_seconds")

    kind = "rate_limit"

    def __init__(
        self,
        calls: int,
        per_seconds: float,
        *,
        max_wait_seconds: float = 0.0,
        name: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name)
        self._calls = checks.count("calls", calls)
        self._per_seconds = checks.seconds("per_seconds", per_seconds)
        self._max_wait_seconds = checks.seconds("max_wait_seconds", max_wait_seconds, zero=True)
        self._bucket = TokenBucket(self._calls, self._calls / self._per_seconds, clock)
        self._line = _Line()
        self._lines = PerLoop(_Line)

    @property
    def waiting(self) -> int:
        """Calls that wait for a token now."""
        return self._line.length

    def _around(self, fn: Callable[..., Any]) -> Wrapped:
        take = self._bucket.take

        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            if self._line.length or not take():
                await self._wait()
            result = fn(*args, **kwargs) if kwargs else fn(*args)
            if type(result) is CoroutineType or is_awaitable(result):
                return await result
            return result

        return protected

    async def _admit(self) -> Callable[[], object]:
        await self._wait()
        return _nothing_to_give_back

    async def _wait(self) -> None:
        """Take a token, as soon as all who came before have theirs.

        Raises:
            RateLimitedError: That would take too long.
        """
        self._line = line = self._lines.here()
        if not line.length and self._bucket.take():
            return
        seconds = self._bucket.wait_seconds(line.length + 1)
        if seconds > self._max_wait_seconds:
            raise RateLimitedError(self._name, seconds)
        line.length += 1
        try:
            async with line.lock:
                while not self._bucket.take():  # noqa: ASYNC110 - nobody else knows when time has passed
                    await anyio.sleep(self._bucket.wait_seconds())
        finally:
            line.length -= 1

    def _settings(self) -> str:
        rate = f"{self._calls} {plural(self._calls, 'call')} per {self._per_seconds:g} s"
        return f"{rate}, waiting at most {self._max_wait_seconds:g} s" if self._max_wait_seconds else rate


class _Line:
    """Those who wait for a token; the first of them holds the lock, and it alone watches the bucket."""

    __slots__ = ("length", "lock")

    def __init__(self) -> None:
        self.length = 0
        self.lock = anyio.Lock(fast_acquire=True)


def _nothing_to_give_back() -> None:
    """End an iteration: its token was used up when it began."""
