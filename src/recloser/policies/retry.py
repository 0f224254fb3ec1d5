"""Retry: a failure that may pass is tried again, without a storm.

Rules:

1. A success, and a failure that is not tried again, cost next to nothing: tenacity, which runs the further attempts, is
   given a call only after its first attempt has failed in a way that is.
2. Whether to try again is decided in one place, `_delay_after`, right after each failed attempt.
3. The budget is asked last, and only after attempts that have reached the dependency: a rejection costs it nothing.
4. Only an `Exception` is tried again; cancellations, KeyboardInterrupt, SystemExit and GeneratorExit pass at once.
"""

from __future__ import annotations

import importlib
import logging
from random import Random, SystemRandom
from types import CoroutineType
from typing import TYPE_CHECKING, Any

import anyio

from recloser._breaker.cancellation import is_cancellation
from recloser._breaker.dispatch import describe, log
from recloser._core import checks
from recloser._core.backoff import ConstantBackoff, ExponentialBackoff
from recloser._core.outcomes import Classifier, Outcome
from recloser._core.settings import check_exceptions
from recloser._core.wording import plural
from recloser.errors import MisuseError, RejectedError
from recloser.policies._budget import budget_of
from recloser.policies._policy import Policy, is_awaitable, rejections

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from tenacity import RetryCallState

    from recloser._core.backoff import Backoff
    from recloser._core.outcomes import ExceptionSpec
    from recloser.policies._budget import RetryBudget
    from recloser.policies._policy import Wrapped

DEFAULT_BACKOFF = ExponentialBackoff(initial_seconds=0.1, multiplier=2, maximum_seconds=10, jitter=0.5)

_RANDOM = SystemRandom()


class Retry(Policy):
    """Tries a call again, after a growing wait, while it fails in a way that may pass.

    Put it outside the breaker, so that each attempt is an outcome of its own. A rejection (an open breaker, a full
    bulkhead, a rate limit) is never tried again at once: if it tells a `retry_after`, the call waits so long and the
    backoff on top, which spreads those who wait for the same instant; if that is more than what is left of
    `max_wait_seconds`, or no time is known, the rejection reaches the caller at once.

    When all attempts have failed, the caller gets the last one's exception, the same object. Cancellations and whatever
    else is no `Exception` pass at once. A cancelled wait makes no further attempt.

    Args:
        attempts: Most calls of the function, the first one included, >= 1.
        backoff: Seconds to wait between two attempts (finite, >= 0), or an `ExponentialBackoff`; by default 0.1 s,
            doubled up to 10 s, spread by half to both sides.
        on: What is tried again: an exception type, a tuple of types, or a predicate on the exception. An exception
            group is tried again if any of its leaves is. Rejections go by the rule above, whatever is given here.
        budget: A `RetryBudget`, or its ratio; None means no bound. By default one further attempt per ten calls in the
            long run, with its other defaults: an outage does not see its load multiplied.
        max_wait_seconds: How long one call may wait between its attempts altogether (finite, >= 0).
        name: Name in logs; `retry-<n>` if not given.
        random: Source of the jitter of the backoff.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
        ImportError: tenacity is not installed.
    """

    __slots__ = ("_attempts", "_backoff", "_budget", "_classifier", "_max_wait_seconds", "_random", "_retrying")

    kind = "retry"
    _no_generators = "items that were delivered cannot be taken back; retry the function that opens the stream"

    def __init__(
        self,
        attempts: int = 3,
        backoff: float | Backoff = DEFAULT_BACKOFF,
        on: ExceptionSpec = Exception,
        budget: RetryBudget | float | None = 0.1,
        *,
        max_wait_seconds: float = 10.0,
        name: str | None = None,
        random: Random = _RANDOM,
    ) -> None:
        super().__init__(name)
        self._attempts = checks.count("attempts", attempts)
        self._backoff = _backoff(backoff)
        _check_retryable(on)
        self._classifier = Classifier(
            on, (), always_ignored=(RejectedError, MisuseError), is_cancellation=is_cancellation
        )
        self._budget = budget_of(budget)
        self._max_wait_seconds = checks.seconds("max_wait_seconds", max_wait_seconds, zero=True)
        if not isinstance(random, Random):
            raise TypeError(f"random must be a random.Random, not {random!r}")
        self._random = random
        self._retrying = _tenacity().AsyncRetrying

    def _around(self, fn: Callable[..., Any]) -> Wrapped:
        budget = self._budget

        async def protected(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the signature is the function's
            if budget is not None:
                budget._calls += 1  # deposit(), written out: this path is to be short
            try:
                result = fn(*args, **kwargs)
                if type(result) is CoroutineType or is_awaitable(result):
                    return await result
                return result  # noqa: TRY300 - an `else` would be one more jump on this path
            except Exception as exc:
                delay = self._delay_after(exc, 1, 0.0)
                if delay is None:
                    raise
                course = _Course(self, exc, delay)
            retrying = self._retrying(sleep=anyio.sleep, retry=course.goes_on, wait=course.wait)
            await retrying(course.attempt, fn, args, kwargs)
            return course.verdict()

        return protected

    def _delay_after(self, exc: Exception, attempt: int, waited: float) -> float | None:
        """Return how long to wait before the next attempt; None if there is to be none.

        Args:
            exc: What the latest attempt raised.
            attempt: Its number, from 1.
            waited: Seconds that this call has waited already.
        """
        if attempt >= self._attempts:
            return None
        try:
            verdict = self._classifier.classify(exc)
        except Exception as fault:  # noqa: BLE001 - logged; the caller gets the call's own error
            log(logging.ERROR, "The predicate of %r raised; the call is not tried again", self._name, exc_info=fault)
            return None
        after = _retry_after(exc)
        if verdict is Outcome.SUCCESS or after is None or (verdict is Outcome.IGNORED and not rejections(exc)):
            return None
        delay = after + self._backoff.open_seconds(attempt, self._random)
        if waited + delay > self._max_wait_seconds:
            return None
        if verdict is Outcome.FAILURE and self._budget is not None and not self._budget.withdraw():
            log(logging.DEBUG, "%r does not try again: its budget is used up", self._name)
            return None
        log(
            logging.DEBUG,
            "%r: attempt %d of %d failed; the next one in %.3g s; %s",
            self._name,
            attempt,
            self._attempts,
            delay,
            describe(exc),
        )
        return delay

    def _settings(self) -> str:
        budget = "no budget" if self._budget is None else str(self._budget)
        attempts = f"{self._attempts} {plural(self._attempts, 'attempt')}"
        return f"{attempts}; waits {self._backoff}, together at most {self._max_wait_seconds:g} s; {budget}"


class _Course:
    """The attempts of one call, as tenacity makes them.

    An attempt that fails does not raise: tenacity would hold on to the error, whose traceback holds tenacity's frames.
    """

    __slots__ = ("_delay", "_error", "_number", "_policy", "_value", "_waited")

    def __init__(self, policy: Retry, first: Exception, delay: float) -> None:
        self._policy = policy
        self._error: Exception | None = first
        self._value: Any = None
        self._number = 0
        self._waited = 0.0
        self._delay: float | None = delay

    async def attempt(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Make an attempt, and decide about the next one if it fails; the first one has been made already."""
        self._number += 1
        if self._number == 1:
            return
        self._waited += self._delay or 0.0
        self._delay = self._error = None
        try:
            result = fn(*args, **kwargs)
            if type(result) is CoroutineType or is_awaitable(result):
                result = await result
            self._value = result
        except Exception as exc:  # noqa: BLE001 - verdict() raises it
            self._error = exc
            self._delay = self._policy._delay_after(exc, self._number, self._waited)

    def goes_on(self, _state: RetryCallState) -> bool:
        """Return whether there is to be another attempt."""
        return self._delay is not None

    def wait(self, _state: RetryCallState) -> float:
        """Return the seconds until the next attempt."""
        return self._delay or 0.0

    def verdict(self) -> Any:  # noqa: ANN401 - the function's result
        """Return the result, or raise the last attempt's error."""
        error, self._error = self._error, None
        if error is None:
            return self._value
        try:
            raise error
        finally:
            del error  # its traceback holds this frame


def _retry_after(exc: Exception) -> float | None:
    """Return the seconds before which no attempt makes sense, 0 if nothing was rejected; None if they are unknown."""
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


def _check_retryable(on: ExceptionSpec) -> None:
    check_exceptions("on", on)
    for kind in on if isinstance(on, tuple) else (on,):
        if isinstance(kind, type) and not issubclass(kind, Exception):
            raise TypeError(f"on must name subclasses of Exception: {kind.__name__} ends a program or a task")


def _tenacity() -> ModuleType:
    try:
        return importlib.import_module("tenacity")
    except ImportError as missing:
        raise ImportError("Retry needs tenacity: pip install 'recloser[retry]'") from missing
