"""Retry: repeats a call that failed, within a budget.

Rules:

1. A success, or a failure that is not retried, adds almost no overhead: tenacity runs the further attempts, and gets a
   call only when its first attempt has failed and is retried.
2. One method, `_delay_after`, decides after each failed attempt whether there is another one.
3. The budget is checked last, and only after attempts that reached the dependency: a rejection costs nothing.
4. Only an `Exception` is retried. Cancellations, KeyboardInterrupt, SystemExit and GeneratorExit are raised at once.
"""

from __future__ import annotations

import importlib
import logging
from random import Random, SystemRandom
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypedDict

import anyio

from recloser._core import checks
from recloser._core.backoff import ExponentialBackoff
from recloser._core.defaults import ConstantBackoff
from recloser._core.outcomes import Outcome
from recloser._core.wording import plural
from recloser._policies.budget import budget_of
from recloser._policies.condition import AttemptCondition
from recloser._policies.policy import Policy, is_awaitable, rejections

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tenacity import RetryCallState

    from recloser._core.backoff import Backoff
    from recloser._core.outcomes import ExceptionSpec
    from recloser._policies.budget import RetryBudget
    from recloser._policies.policy import Wrapped

DEFAULT_BACKOFF = ExponentialBackoff(initial_seconds=0.1, multiplier=2, maximum_seconds=10, jitter=0.5)

_RANDOM = SystemRandom()


class RetryHealth(TypedDict):
    """What `Retry.health()` returns.

    Attributes:
        kind: "retry".
        name: The name of the policy.
        succeeded_first_total: Calls whose first attempt succeeded.
        succeeded_retried_total: Calls whose later attempt succeeded.
        failed_total: Calls that ended with an exception that is not retried, at any attempt.
        exhausted_total: Calls that failed because they had used up their attempts, or the time for their waits.
        retries_total: Attempts after the first one of a call.
        budget_refused_total: Calls that failed because the budget was used up.
    """

    kind: str
    name: str
    succeeded_first_total: int
    succeeded_retried_total: int
    failed_total: int
    exhausted_total: int
    retries_total: int
    budget_refused_total: int


class Retry(Policy):
    """Repeats a call that fails, with increasing waits in between.

    Put it outside the breaker, so that the breaker sees each attempt. A rejection (an open breaker, a full bulkhead, a
    rate limit), or what was raised from one (see `rejection_of`), is never retried immediately. If it has a
    `retry_after`, the call waits that long plus the backoff, which spreads calls that wait for the same time. If that
    exceeds the rest of `max_wait_seconds`, or no time is known, the rejection is raised at once.

    When all attempts have failed, the exception of the last one is raised, the same object. Cancellations and other
    exceptions that are no `Exception` are raised at once. If a wait is cancelled, there is no further attempt.

    Args:
        attempts: How often the function is called at most, >= 1.
        backoff: Seconds to wait between two attempts (finite, >= 0), or an `ExponentialBackoff`. By default 0.1 s,
            doubled up to 10 s, plus or minus half of it at random.
        on: What is retried: an exception type, a tuple of types, or a predicate on the exception, for example
            `breaker.is_failure`. An exception group is retried if any of its leaves is. It does not apply to
            rejections, which follow the rule above. If a predicate raises, that is logged, and the call is not retried.
        budget: A `RetryBudget`, or its ratio; None means no limit. By default one further attempt per ten calls in the
            long run, and otherwise the defaults of `RetryBudget`, so that an outage does not multiply the load.
        max_wait_seconds: How long one call may wait between its attempts in total (finite, >= 0).
        name: Name in logs; `retry-<n>` if not given.
        random: The source of the backoff's jitter; None means that of the operating system.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
        ImportError: tenacity is not installed.
    """

    __slots__ = (
        "_attempts",
        "_backoff",
        "_budget",
        "_condition",
        "_counts",
        "_max_wait_seconds",
        "_random",
        "_retrying",
    )

    kind = "retry"
    _no_generators = "delivered items cannot be taken back; retry the function that opens the stream"

    def __init__(
        self,
        attempts: int = 3,
        backoff: float | Backoff = DEFAULT_BACKOFF,
        on: ExceptionSpec = Exception,
        budget: RetryBudget | float | None = 0.1,
        *,
        max_wait_seconds: float = 10.0,
        name: str | None = None,
        random: Random | None = None,
    ) -> None:
        super().__init__(name)
        self._attempts = checks.count("attempts", attempts)
        self._backoff = _backoff(backoff)
        self._condition = AttemptCondition(on, self._name)
        self._budget = budget_of(budget)
        self._max_wait_seconds = checks.seconds("max_wait_seconds", max_wait_seconds, zero=True)
        random = _RANDOM if random is None else random
        if not isinstance(random, Random):
            raise TypeError(f"random must be a random.Random, not {random!r}")
        self._random = random
        self._counts = _Counts()
        self._retrying = _tenacity().AsyncRetrying

    def health(self) -> RetryHealth:
        """Return the counts of all calls as a JSON-ready dictionary; safe from any thread.

        Each call counts once, at its end. A call that ends with an exception that is no `Exception`, for example a
        cancellation, only counts its retries.
        """
        counts = self._counts
        return {
            "kind": self.kind,
            "name": self._name,
            "succeeded_first_total": counts.succeeded_first,
            "succeeded_retried_total": counts.succeeded_retried,
            "failed_total": counts.failed,
            "exhausted_total": counts.exhausted,
            "retries_total": counts.retries,
            "budget_refused_total": counts.budget_refused,
        }

    def _around(self, fn: Callable[..., Any]) -> Wrapped:
        budget, counts = self._budget, self._counts

        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            if budget is not None:
                budget.pending_calls += 1  # deposit(), inlined on the hot path
            try:
                result = fn(*args, **kwargs)
                if type(result) is CoroutineType or is_awaitable(result):
                    result = await result
                counts.succeeded_first += 1
                return result  # noqa: TRY300 - an `else` would be one more jump on this path
            except Exception as exc:
                delay = self._delay_after(exc, 1, 0.0)
                if delay is None:
                    raise
                attempts = _Attempts(self._delay_after, counts, exc, delay)
            retrying = self._retrying(sleep=anyio.sleep, retry=attempts.goes_on, wait=attempts.wait)
            await retrying(attempts.make, fn, args, kwargs)
            return attempts.result()

        return protected

    def _delay_after(self, exc: Exception, attempt: int, waited: float) -> float | None:
        """Return the seconds to wait before the next attempt; None, and count why, if there is none.

        Args:
            exc: The exception of the latest attempt.
            attempt: The number of that attempt, from 1.
            waited: The seconds that this call has already waited.
        """
        counts = self._counts
        outcome = self._condition.classify(exc)
        after = _retry_after(exc)
        if outcome is Outcome.SUCCESS or after is None or (outcome is Outcome.IGNORED and not rejections(exc)):
            counts.failed += 1
            return None
        if attempt >= self._attempts:
            counts.exhausted += 1
            return None
        delay = after + self._backoff.open_seconds(attempt, self._random)
        if waited + delay > self._max_wait_seconds:
            counts.exhausted += 1
            return None
        if outcome is Outcome.FAILURE and self._budget is not None and not self._budget.withdraw():
            counts.budget_refused += 1
            self._condition.limit.log(logging.DEBUG, "%r does not retry: its budget is used up", self._name)
            return None
        message = "%r: attempt %d of %d failed, retrying in %.3g s: %s"
        values = (attempt, self._attempts, delay)
        self._condition.limit.log(logging.DEBUG, message, self._name, values=values, exc=exc)
        return delay

    def _settings(self) -> str:
        budget = "no budget" if self._budget is None else str(self._budget)
        attempts = f"{self._attempts} {plural(self._attempts, 'attempt')}"
        return f"{attempts}; waits {self._backoff}, together at most {self._max_wait_seconds:g} s; {budget}"


class _Counts:
    """How the calls of a policy ended."""

    __slots__ = ("budget_refused", "exhausted", "failed", "retries", "succeeded_first", "succeeded_retried")

    def __init__(self) -> None:
        self.succeeded_first = self.succeeded_retried = self.failed = 0
        self.exhausted = self.retries = self.budget_refused = 0


class _Attempts:
    """The attempts of one call, which tenacity makes.

    A failed attempt does not raise. Otherwise tenacity would keep the exception, whose traceback refers to frames of
    tenacity.
    """

    __slots__ = ("_counts", "_delay", "_delay_after", "_error", "_number", "_value", "_waited")

    def __init__(
        self,
        delay_after: Callable[[Exception, int, float], float | None],
        counts: _Counts,
        first: Exception,
        delay: float,
    ) -> None:
        self._delay_after = delay_after
        self._counts = counts
        self._error: Exception | None = first
        self._value: Any = None
        self._number = 0
        self._waited = 0.0
        self._delay: float | None = delay

    async def make(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Make an attempt and, if it fails, decide whether there is another; the first one has already been made."""
        self._number += 1
        if self._number == 1:
            return
        self._waited += self._delay or 0.0
        self._delay = self._error = None
        self._counts.retries += 1
        try:
            result = fn(*args, **kwargs)
            if type(result) is CoroutineType or is_awaitable(result):
                result = await result
            self._value = result
            self._counts.succeeded_retried += 1
        except Exception as exc:  # noqa: BLE001 - result() raises it
            self._error = exc
            self._delay = self._delay_after(exc, self._number, self._waited)

    def goes_on(self, _state: RetryCallState) -> bool:
        """Return whether there is another attempt."""
        return self._delay is not None

    def wait(self, _state: RetryCallState) -> float:
        """Return the seconds to wait before the next attempt."""
        return self._delay or 0.0

    def result(self) -> Any:  # noqa: ANN401 - the function's result
        """Return the result of the last attempt, or raise its exception."""
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            del error  # its traceback refers to this frame


def _retry_after(exc: Exception) -> float | None:
    """Return the seconds to wait because of rejections, 0 if there are none; None if they are unknown."""
    longest = 0.0
    for rejection in rejections(exc):
        if rejection.retry_after is None:
            return None
        longest = max(longest, rejection.retry_after)
    return longest


def _backoff(value: object) -> Backoff:
    if isinstance(value, ConstantBackoff | ExponentialBackoff):
        return value
    return ConstantBackoff(checks.seconds("backoff", value, zero=True))


def _tenacity() -> ModuleType:
    try:
        return importlib.import_module("tenacity")
    except ImportError as missing:
        raise ImportError("Retry needs tenacity: pip install 'recloser[retry]'") from missing
