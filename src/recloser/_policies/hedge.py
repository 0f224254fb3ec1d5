"""Hedge: starts another attempt when the answer is late, and returns the first one that arrives.

After Dean and Barroso, "The Tail at Scale" (https://doi.org/10.1145/2408776.2408794): a second request, sent after the
delay within which nearly all answers arrive, cuts the tail of the latency for a few per cent of additional load.

Rules:

1. Each attempt is a task of its own in one task group, and `call` returns only when all of them have ended.
2. The task of an attempt never fails: it records how the attempt ended. `_Race.result` decides what the caller gets
   when all attempts have ended, so the error of a loser cannot replace the result of the winner.
3. A success decides the race, and so does an exception after which no other attempt is worthwhile. A rejection does
   not: attempts that were admitted may still answer.
4. Losers are cancelled by their scope, without a deadline, so a breaker inside the hedge ignores them.
"""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypedDict

import anyio

from recloser._breaker.cancellation import is_cancellation
from recloser._breaker.cut_offs import has_lost
from recloser._core import checks
from recloser._core.outcomes import Outcome, leaves
from recloser._core.wording import plural
from recloser._policies.budget import budget_of
from recloser._policies.condition import AttemptCondition
from recloser._policies.policy import Policy, is_awaitable, rejections

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.abc import TaskGroup

    from recloser._core.outcomes import ExceptionSpec
    from recloser._policies.budget import RetryBudget
    from recloser._policies.policy import Wrapped


class HedgeHealth(TypedDict):
    """What `Hedge.health()` returns.

    Attributes:
        kind: "hedge".
        name: The name of the policy.
        calls_total: Calls that started.
        hedges_total: Attempts that started beside the first one of a call.
        won_by_hedge_total: Calls that were answered by an attempt that was not the first.
        failed_total: Calls that ended with an exception.
    """

    kind: str
    name: str
    calls_total: int
    hedges_total: int
    won_by_hedge_total: int
    failed_total: int


class Hedge(Policy):
    """Starts another attempt when the earlier ones have not answered in time; the first success wins.

    Use it for idempotent functions only: the dependency may see one call several times. As in gRPC's hedging, an
    exception that `on` selects starts the next attempt immediately. Any other exception ends the call: the other
    attempts are cancelled, and the caller gets it, the same object. An attempt that is rejected (by an open breaker, a
    full bulkhead, a rate limit) ends the hedging: no more are started, but those that run may still answer. The losers
    are cancelled, which a breaker inside the hedge ignores. If all attempts fail, the exception of the first one is
    raised, the same object. A KeyboardInterrupt, and any other exception that is no `Exception`, ends all attempts.

    Cancelling the call cancels all attempts, and the call ends when they have ended. Each attempt runs in a task of its
    own, so the caller does not see context variables that the function sets.

    Args:
        delay_seconds: How long to wait for an answer before the next attempt (finite, >= 0). A good value is the time
            within which 95 % of the answers arrive.
        max_hedges: How many attempts are made besides the first one, >= 1.
        budget: A `RetryBudget`, or its ratio; None means no limit. By default one hedge per ten calls in the long run,
            because more load slows down a dependency that is already slow.
        on: After which exceptions of an attempt another one is worthwhile, as in `Retry`: an exception type, a tuple of
            types, or a predicate on the exception, for example `breaker.is_failure`. For an exception group, one
            matching leaf is enough. It does not apply to rejections. If a predicate raises, that is logged, and the
            call ends with the exception of the attempt.
        name: Name in descriptions; `hedge-<n>` if not given.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
    """

    __slots__ = (
        "_budget",
        "_calls",
        "_condition",
        "_delay_seconds",
        "_failed",
        "_hedges",
        "_max_hedges",
        "_won_by_hedge",
    )

    kind = "hedge"
    _no_generators = "two streams cannot be merged; hedge the function that fetches the first item"

    def __init__(
        self,
        delay_seconds: float,
        max_hedges: int = 1,
        budget: RetryBudget | float | None = 0.1,
        *,
        on: ExceptionSpec = Exception,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self._delay_seconds = checks.seconds("delay_seconds", delay_seconds, zero=True)
        self._max_hedges = checks.count("max_hedges", max_hedges)
        self._budget = budget_of(budget)
        self._condition = AttemptCondition(on, self._name)
        self._calls = self._hedges = self._won_by_hedge = self._failed = 0

    def health(self) -> HedgeHealth:
        """Return the counts of all calls as a JSON-ready dictionary; safe from any thread.

        A call that ends with an exception that is no `Exception`, for example a cancellation, has not failed.
        """
        return {
            "kind": self.kind,
            "name": self._name,
            "calls_total": self._calls,
            "hedges_total": self._hedges,
            "won_by_hedge_total": self._won_by_hedge,
            "failed_total": self._failed,
        }

    def _around(self, fn: Callable[..., Any]) -> Wrapped:
        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            self._calls += 1
            if self._budget is not None:
                self._budget.deposit()
            race = _Race(fn, args, kwargs, self._condition)
            async with anyio.create_task_group() as attempts:
                race.start(attempts)
                for _ in range(self._max_hedges):
                    await race.wait(self._delay_seconds)
                    if race.is_closed or not self._may_hedge():
                        break
                    self._hedges += 1
                    race.start(attempts)
                await race.wait_for_end()
                attempts.cancel_scope.cancel()
            try:
                result = race.result()
            except Exception:
                self._failed += 1
                raise
            self._won_by_hedge += race.winner > 0
            return result

        return protected

    def _may_hedge(self) -> bool:
        return self._budget is None or self._budget.withdraw()

    def _settings(self) -> str:
        budget = "no budget" if self._budget is None else str(self._budget)
        hedges = f"{self._max_hedges} further {plural(self._max_hedges, 'attempt')}"
        return f"{hedges} after {self._delay_seconds:g} s; {budget}"


class _Race:
    """The attempts of one call, and how each of them ended."""

    __slots__ = (
        "_args",
        "_condition",
        "_decisive",
        "_ended",
        "_errors",
        "_fn",
        "_is_over",
        "_is_won",
        "_kwargs",
        "_running",
        "_started",
        "_value",
        "is_closed",
        "winner",
    )

    def __init__(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], condition: AttemptCondition
    ) -> None:
        self._fn = fn
        self._args = args
        self._kwargs = kwargs
        self._condition = condition
        self._started = self._running = 0
        self._errors: dict[int, BaseException] = {}
        self._decisive: BaseException | None = None
        self._value: Any = None
        self._is_won = self._is_over = False
        self.winner: int = 0
        """The number of the attempt that has won, from 0."""
        self._ended = anyio.Event()
        self.is_closed = False
        """Whether no further attempts are started: one has decided the race, or was rejected."""

    def start(self, attempts: TaskGroup) -> None:
        """Start an attempt."""
        self._running += 1
        attempts.start_soon(self._run, self._started)
        self._started += 1

    async def wait(self, seconds: float | None) -> None:
        """Wait until an attempt ends, or the time has elapsed."""
        self._ended = anyio.Event()
        with anyio.move_on_after(seconds):
            await self._ended.wait()

    async def wait_for_end(self) -> None:
        """Wait until an attempt has decided the race or all have ended."""
        while self._running and not self._is_over:
            await self.wait(None)

    def result(self) -> Any:  # noqa: ANN401 - the function's result
        """Return the result of the winner, or raise an exception of an attempt."""
        error = self._error()
        self._decisive = None  # tracebacks refer to frames that refer to this object
        self._errors.clear()
        if error is None:
            return self._value
        try:
            raise error
        finally:
            del error

    def _error(self) -> BaseException | None:
        """Return the exception to raise, None if there is a result."""
        fatal = [error for error in self._errors.values() if _is_fatal(error)]
        if fatal:
            return fatal[0]
        if self._is_won:
            return None
        return self._errors[min(self._errors)] if self._decisive is None else self._decisive

    async def _run(self, number: int) -> None:
        has_lost_outside = has_lost.get()
        has_lost.set(lambda: self._is_over or has_lost_outside())
        try:
            result = self._fn(*self._args, **self._kwargs)
            if type(result) is CoroutineType or is_awaitable(result):
                result = await result
        except BaseException as exc:  # noqa: BLE001 - also a cancellation: the task ends here anyway
            self._errors[number] = exc
            if not self._is_over:
                self._decide(exc)
        else:
            if not self._is_won:
                self._value = result
                self.winner = number
            self._is_won = self._is_over = self.is_closed = True
        self._running -= 1
        self._ended.set()

    def _decide(self, exc: BaseException) -> None:
        """Decide whether the exception of an attempt decides the race, or at least closes it."""
        outcome = self._condition.classify(exc) if isinstance(exc, Exception) else Outcome.SUCCESS
        if outcome is Outcome.SUCCESS:
            self._decisive = exc
            self._is_over = self.is_closed = True
        else:
            self.is_closed |= outcome is Outcome.IGNORED or bool(rejections(exc))


def _is_fatal(exc: BaseException) -> bool:
    """Return whether an exception, or a leaf of it, is neither an `Exception` nor a cancellation."""
    return not all(isinstance(leaf, Exception) or is_cancellation(leaf) for leaf in leaves(exc))
