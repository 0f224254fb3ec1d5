"""Rate limit: keeps the calls to a dependency within the rate that it allows."""

from __future__ import annotations

from collections import deque
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypedDict

import anyio

from recloser._breaker.loop_bound import LoopEvent, is_gone, running_loop
from recloser._breaker.steps import STEP
from recloser._core import checks
from recloser._core.wording import plural
from recloser._policies.bucket import TokenBucket
from recloser._policies.policy import AdmittingPolicy, is_awaitable
from recloser.errors import RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._policies.policy import Wrapped


LOST_AFTER_SECONDS = 1.0
"""A call that waits in line looks so long after its turn whether the event loop of one before it is gone."""


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
    any number of event loops and threads of one process: divide the limit of the dependency by the number of processes.

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
        self._line: deque[_Waiter] = deque()
        self._admitted = self._delayed = self._rejected = 0

    @property
    def may_wait(self) -> bool:
        """Whether a call may wait for a token, which needs `max_wait_seconds`."""
        return self._max_wait_seconds > 0

    @property
    def waiting(self) -> int:
        """How many calls are waiting for a token."""
        return len(self._line)

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
            if self._line or not take():
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
        waiter = self._join()
        if waiter is None:
            return
        try:
            while (seconds := self._advance(waiter)) is not None:
                if self._line[0] is waiter:
                    await anyio.sleep(seconds)
                else:
                    with anyio.move_on_after(seconds + LOST_AFTER_SECONDS):
                        await waiter.event.wait()
        finally:
            self._leave(waiter)
        self._delayed += 1

    def _join(self) -> _Waiter | None:
        """Take a token if there is one and nobody waits, else join the line.

        Raises:
            RateLimitedError: The wait would be too long.
        """
        with STEP:
            if not self._line and self._bucket.take():
                return None
            seconds = self._bucket.wait_seconds(len(self._line) + 1)
            if seconds <= self._max_wait_seconds:
                waiter = _Waiter()
                self._line.append(waiter)
                return waiter
            self._rejected += 1
        raise RateLimitedError(self._name, seconds)

    def _advance(self, waiter: _Waiter) -> float | None:
        """Take a token for the first one in line; return None if that is done, else the seconds to wait for it."""
        with STEP:
            while self._line[0] is not waiter and is_gone(self._line[0].loop):
                self._line.popleft()
            place = self._line.index(waiter)
            if place == 0 and self._bucket.take():
                return None
            return self._bucket.wait_seconds(place + 1)

    def _leave(self, waiter: _Waiter) -> None:
        """Leave the line, and wake the one who is first then."""
        with STEP:
            if waiter not in self._line:  # its event loop was gone, and now its task is closed
                return
            is_first = self._line[0] is waiter
            self._line.remove(waiter)
            while is_first and self._line and not self._line[0].wake():
                self._line.popleft()

    def _settings(self) -> str:
        rate = f"{self._calls} {plural(self._calls, 'call')} per {self._per_seconds:g} s"
        return f"{rate}, waiting at most {self._max_wait_seconds:g} s" if self._max_wait_seconds else rate


class _Waiter:
    """A call that waits for a token. Only the first one in line watches the bucket; the event says that it is first."""

    __slots__ = ("event", "loop")

    def __init__(self) -> None:
        self.event = LoopEvent()
        self.loop = running_loop()

    def wake(self) -> bool:
        """Say that it is first; return whether its event loop is there."""
        return not is_gone(self.loop) and self.event.wake()


def _end() -> None:
    """End an iteration: there is nothing to return, because its token was used up when it began."""
