"""Hedge: when an answer is late, ask once more and take what comes first.

After Dean and Barroso, "The Tail at Scale" (https://doi.org/10.1145/2408776.2408794): a second request after the delay
within which nearly all answers come takes the tail off the latency for a few per cent of load.

Rules:

1. Every attempt is a task of its own in one task group, and `call` returns only when all of them have ended.
2. An attempt's task never fails: it writes down how the attempt ended. What the caller gets is decided in one place,
   `_Race.verdict`, when all have ended; no loser's error on its way out can displace the winner's result.
3. Losers are cancelled by their scope, without a deadline: ignored for a breaker around the function.
"""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any

import anyio

from recloser._breaker.cancellation import is_cancellation
from recloser._core import checks
from recloser._core.outcomes import leaves
from recloser._core.wording import plural
from recloser.errors import MisuseError
from recloser.policies._budget import budget_of
from recloser.policies._policy import Policy, is_awaitable, rejections

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from recloser.policies._budget import RetryBudget
    from recloser.policies._policy import Wrapped


class Hedge(Policy):
    """Starts a further attempt when the earlier ones have not answered in time; the first success wins.

    For idempotent functions only: the dependency may see one call several times. An attempt that fails starts the next
    one at once, as in gRPC's hedging, unless it was rejected (by an open breaker, a full bulkhead, a rate limit): then
    no more are started. The losers are cancelled, which is ignored for a breaker inside. If all attempts fail, the
    caller gets the first one's exception, the same object. A KeyboardInterrupt or the like ends them all.

    Cancelling the call cancels all attempts; the call ends when they have ended. Each attempt runs in a task of its
    own, so that context variables that the function sets are not seen by the caller.

    Args:
        delay_seconds: How long to wait for an answer before the next attempt (finite, >= 0); about the time within
            which 95 % of the answers come.
        max_hedges: Attempts besides the first one, >= 1.
        budget: A `RetryBudget`, or its ratio; None means no bound. By default one hedge per ten calls in the long run:
            when everything is slow, more load makes it slower.
        name: Name in descriptions; `hedge-<n>` if not given.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
    """

    __slots__ = ("_budget", "_delay_seconds", "_max_hedges")

    kind = "hedge"
    _no_generators = "two streams cannot be merged into one; hedge the function that fetches the first item"

    def __init__(
        self,
        delay_seconds: float,
        max_hedges: int = 1,
        budget: RetryBudget | float | None = 0.1,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._delay_seconds = checks.seconds("delay_seconds", delay_seconds, zero=True)
        self._max_hedges = checks.count("max_hedges", max_hedges)
        self._budget = budget_of(budget)

    def _around(self, fn: Callable[..., Any]) -> Wrapped:
        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            if self._budget is not None:
                self._budget.deposit()
            race = _Race(fn, args, kwargs)
            async with anyio.create_task_group() as attempts:
                race.start(attempts)
                for _ in range(self._max_hedges):
                    await race.news(self._delay_seconds)
                    if race.is_closed or not self._may_hedge():
                        break
                    race.start(attempts)
                await race.end()
                attempts.cancel_scope.cancel()
            return race.verdict()

        return protected

    def _may_hedge(self) -> bool:
        return self._budget is None or self._budget.withdraw()

    def _settings(self) -> str:
        budget = "no budget" if self._budget is None else str(self._budget)
        hedges = f"{self._max_hedges} further {plural(self._max_hedges, 'attempt')}"
        return f"{hedges} after {self._delay_seconds:g} s; {budget}"


class _Race:
    """The attempts of one call, and how they ended."""

    __slots__ = (
        "_args",
        "_errors",
        "_fn",
        "_is_over",
        "_is_won",
        "_kwargs",
        "_news",
        "_running",
        "_started",
        "_value",
        "is_closed",
    )

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._fn = fn
        self._args = args
        self._kwargs = kwargs
        self._started = self._running = 0
        self._errors: dict[int, BaseException] = {}
        self._value: Any = None
        self._is_won = self._is_over = False
        self._news = anyio.Event()
        self.is_closed = False
        """Whether further attempts make no sense: one has won, was rejected, or ended the program."""

    def start(self, attempts: TaskGroup) -> None:
        """Start an attempt."""
        self._running += 1
        attempts.start_soon(self._run, self._started)
        self._started += 1

    async def news(self, seconds: float | None) -> None:
        """Wait until an attempt has ended, or the time is over."""
        self._news = anyio.Event()
        with anyio.move_on_after(seconds):
            await self._news.wait()

    async def end(self) -> None:
        """Wait until there is nothing more to wait for."""
        while self._running and not self._is_over:
            await self.news(None)

    def verdict(self) -> Any:  # noqa: ANN401 - the function's result
        """Return the winner's result, or raise what the caller is to see."""
        error = self._error()
        self._errors.clear()  # their tracebacks hold frames that hold this object
        if error is None:
            return self._value
        try:
            raise error
        finally:
            del error

    def _error(self) -> BaseException | None:
        """Return the error that the caller is to see, None if there is a result."""
        fatal = [error for error in self._errors.values() if _is_fatal(error)]
        if fatal:
            return fatal[0]
        return None if self._is_won else self._errors[min(self._errors)]

    async def _run(self, number: int) -> None:
        try:
            result = self._fn(*self._args, **self._kwargs)
            if type(result) is CoroutineType or is_awaitable(result):
                result = await result
        except BaseException as exc:  # noqa: BLE001 - a cancellation too: the task ends here anyway
            self._errors[number] = exc
            self._is_over |= _is_fatal(exc)
            self.is_closed |= self._is_over or isinstance(exc, MisuseError) or bool(rejections(exc))
        else:
            if not self._is_won:
                self._value = result
            self._is_won = self._is_over = self.is_closed = True
        self._running -= 1
        self._news.set()


def _is_fatal(exc: BaseException) -> bool:
    """Return whether an error is neither an `Exception` nor a cancellation, or holds one that isn't."""
    return not all(isinstance(leaf, Exception) or is_cancellation(leaf) for leaf in leaves(exc))
