"""The exceptions that recloser raises.

::

    RecloserError
     +- RejectedError(name, retry_after)              the call was not started
     |   +- CircuitBreakerOpenError(state, ...)
     |   +- BulkheadFullError(max_concurrent, ...)
     |   +- RateLimitedError
     +- CallTimeoutError(name, seconds)               also a TimeoutError
     +- NoAnswer                                      a fallback link has no answer
     +- FallbackExhaustedError                        also an ExceptionGroup
     +- FleetError                                    never raised out of a protected call
         +- FleetStoreError(reason)                   the store of a fleet can't be used now
    ConfigurationWarning                              a UserWarning

Exceptions of the protected call are never wrapped or changed. They reach the caller as they are.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from recloser._core.outcomes import leaves, stands_alone
from recloser._core.states import CircuitState
from recloser._core.wording import plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


__all__ = [
    "BulkheadFullError",
    "CallTimeoutError",
    "CircuitBreakerOpenError",
    "ConfigurationWarning",
    "FallbackExhaustedError",
    "FleetError",
    "FleetStoreError",
    "MisuseError",
    "NoAnswer",
    "RateLimitedError",
    "RecloserError",
    "RejectedError",
    "rejection_of",
]


class RecloserError(Exception):
    """The base class of all exceptions that recloser raises."""


class RejectedError(RecloserError):
    """The call was rejected and not started, to protect the dependency.

    The fields are positional and stored in `args`, so raising the error is cheap. It can be pickled, and made again
    from JSON: `type(error)(*json.loads(json.dumps(error.args)))`. A breaker around another one never counts it.

    Args:
        name: The name of the breaker, bulkhead or rate limit that rejected the call.
        retry_after: Seconds until a call has a chance, >= 0; None if that is not known.
    """

    if TYPE_CHECKING:

        def __init__(self, name: str, retry_after: float | None = None, /) -> None: ...

    @property
    def name(self) -> str:
        """The name of the breaker, bulkhead or rate limit that rejected the call."""
        name: str = self._field(0, "")
        return name

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call has a chance, >= 0; None if that is not known."""
        seconds: float | None = self._field(1, None)
        return seconds

    def _field(self, index: int, default: Any) -> Any:  # noqa: ANN401 - the fields in args have many types
        return self.args[index] if index < len(self.args) else default

    def __str__(self) -> str:
        """Return what rejected the call, and when to come back."""
        return f"{self.name!r} rejected the call; {_when(self.retry_after)}"


class MisuseError(TypeError):
    """A breaker, policy or fallback got an argument that it can't use; never counts as a failure of the dependency."""


class CircuitBreakerOpenError(RejectedError):
    """A circuit breaker rejected the call.

    Args:
        name: The name of the breaker.
        retry_after: Seconds until a probe can go through, >= 0; None if unknown, because a probe is running or the
            breaker was forced open without an end.
        state: The state that rejected the call.
        failure_count: The number of failures that counted when the breaker opened.
        last_error: Type and message of the failure that opened the breaker, as text; None if none did.
        reason: Why the breaker was forced open; None if it was not.
    """

    if TYPE_CHECKING:

        def __init__(  # noqa: PLR0917 - the fields of one error, described at the class
            self,
            name: str,
            retry_after: float | None = None,
            state: CircuitState = CircuitState.OPEN,
            failure_count: int = 0,
            last_error: str | None = None,
            reason: str | None = None,
            /,
        ) -> None: ...

    @property
    def state(self) -> CircuitState:
        """The state that rejected the call."""
        return CircuitState(self._field(2, CircuitState.OPEN))  # which JSON has made a string

    @property
    def failure_count(self) -> int:
        """The number of failures that counted when the breaker opened."""
        count: int = self._field(3, 0)
        return count

    @property
    def last_error(self) -> str | None:
        """Type and message of the failure that opened the breaker, as text; None if none did."""
        text: str | None = self._field(4, None)
        return text

    @property
    def reason(self) -> str | None:
        """Why the breaker was forced open; None if it was not."""
        text: str | None = self._field(5, None)
        return text

    def __str__(self) -> str:
        """Return which breaker rejected the call, why, and when to come back."""
        start = f"Circuit breaker {self.name!r} is {self.state.upper()}"
        if self.state is CircuitState.HALF_OPEN:
            return f"{start}. Service unavailable; a probe is running"
        because = f" ({self.reason})" if self.state is CircuitState.FORCED_OPEN else ""
        return f"{start}{because}. Service unavailable; {_when(self.retry_after)}"


class BulkheadFullError(RejectedError):
    """A bulkhead and its queue were full, or the call waited too long in the queue.

    Args:
        name: The name of the bulkhead.
        retry_after: Always None, because nobody knows when a running call will end.
        max_concurrent: The number of calls that can run at once.
        max_queue: The number of calls that can wait.
        waited_seconds: How long this call waited in the queue before it gave up; None if it did not wait.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            name: str,
            retry_after: float | None = None,
            max_concurrent: int = 1,
            max_queue: int = 0,
            waited_seconds: float | None = None,
            /,
        ) -> None: ...

    @property
    def max_concurrent(self) -> int:
        """The number of calls that can run at once."""
        count: int = self._field(2, 1)
        return count

    @property
    def max_queue(self) -> int:
        """The number of calls that can wait for a place."""
        count: int = self._field(3, 0)
        return count

    @property
    def waited_seconds(self) -> float | None:
        """How long this call waited in the queue before it gave up; None if it did not wait."""
        seconds: float | None = self._field(4, None)
        return seconds

    def __str__(self) -> str:
        """Return how full the bulkhead is, and what the caller can do."""
        start = f"Bulkhead {self.name!r} is full"
        running = f"{self.max_concurrent} {plural(self.max_concurrent, 'call')} at once"
        if self.waited_seconds is not None:
            return f"{start}: no place came free within {self.waited_seconds:g} s ({running}). Try again later"
        return f"{start} ({running}, {self.max_queue} waiting). Try again later, or call less at once"


class RateLimitedError(RejectedError):
    """A rate limit was reached.

    Args:
        name: The name of the rate limit.
        retry_after: Seconds until there is a token for a call, >= 0.
    """

    def __str__(self) -> str:
        """Return which rate limit was reached, and when to come back."""
        return f"Rate limit {self.name!r} is reached; {_when(self.retry_after)}"


class CallTimeoutError(RecloserError, TimeoutError):
    """A call took longer than its `Timeout` allows and was cancelled.

    This is not a rejection: the dependency was called and was too slow, so a breaker around it counts a failure.

    Args:
        name: The name of the timeout.
        seconds: How long the call was allowed to take.
    """

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__()  # an OSError would take the fields for an errno and a text
        self.args: tuple[Any, ...] = (name, seconds)
        self.name = name
        self.seconds = seconds

    def __str__(self) -> str:
        """Return which timeout it was, and how long the call was allowed to take."""
        return f"Timeout {self.name!r}: the call did not end within {self.seconds:g} s and was cancelled"


class NoAnswer(RecloserError):  # noqa: N818 - not a failure: a cache that misses has done its job
    """A link of a fallback has no answer, such as a cache that misses; the fallback moves on to the next link.

    Raise it in the link: `raise NoAnswer("user 7 is not in the cache")`. A breaker around the link never counts it as a
    failure, because the dependency has answered.
    """


class FallbackExhaustedError(RecloserError, ExceptionGroup[Exception]):
    """Neither a function nor any link of its fallback had an answer.

    It is an `ExceptionGroup` of their exceptions, in the order of the calls. You can use it with `except*` and
    `split()`, and breakers classify it by its leaves.

    Args:
        message: The errors in one line.
        exceptions: The exceptions of the function and the links, in order; at least one.
        name: The name of the fallback.
        sources: For each exception, the name of the function or link that raised it.
    """

    name: str
    sources: tuple[str, ...]

    if TYPE_CHECKING:  # at run time, the base class keeps the four arguments in `args`, as pickling needs

        def __init__(
            self, message: str, exceptions: Sequence[Exception], name: str, sources: Sequence[str], /
        ) -> None: ...

    def __new__(cls, message: str, exceptions: Sequence[Exception], name: str, sources: Sequence[str], /) -> Self:
        """Create the group and set its fields."""
        self = super().__new__(cls, message, exceptions)
        self.name = name
        self.sources = tuple(sources)
        return self

    @property
    def errors(self) -> tuple[tuple[str, Exception], ...]:
        """The names of the function and the links, each with its exception, in order."""
        return tuple(zip(self.sources, self.exceptions, strict=True))

    # Every part of an ExceptionGroup is an Exception, so the overload for other exceptions does not apply.
    def derive(self, excs: Sequence[Any], /) -> FallbackExhaustedError:  # type: ignore[override]
        """Return a group of some of the errors; `split()` and `except*` use this."""
        return FallbackExhaustedError(self.message, excs, self.name, [self._source_of(exc) for exc in excs])

    def _source_of(self, part: Exception) -> str:
        """Return the name of the link that raised an exception, or raised the group that it is a part of."""
        wanted = _identities(part)
        return next(source for source, error in self.errors if wanted <= _identities(error))


def _identities(exc: BaseException) -> set[int]:
    return {id(leaf) for leaf in leaves(exc)}


class FleetError(RecloserError):
    """An operation of a fleet failed; a protected call never raises this."""


class FleetStoreError(FleetError):
    """The store of a fleet can't be used now: it is down or slow, refuses operations, or is not connected.

    It is not known whether the running operations took effect.

    Args:
        reason: What went wrong, in one line, without credentials.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ConfigurationWarning(UserWarning):
    """A setting is valid but known to be harmful; the message says what happens."""


def rejection_of(exc: BaseException) -> RejectedError | None:
    """Return the rejection behind an exception, or None if there is none.

    Clients and retry libraries often raise an exception of their own from the one that ended the call. This function
    follows explicit causes (`raise ... from ...`) and looks into exception groups, into the arguments of exceptions,
    into the last attempt of tenacity's `RetryError`, and into the response of an HTTP error, which may be that of
    `answer_503`. It does not follow `__context__`: an exception raised while a rejection was handled is not that
    rejection.

    Args:
        exc: Any exception. A rejection is its own rejection.

    Raises:
        TypeError: It is not an exception.
    """
    if not isinstance(exc, BaseException):
        raise TypeError(f"exc must be an exception, not {exc!r}")
    pending, seen = [exc], set[int]()
    while pending:
        found = pending.pop()
        if isinstance(found, RejectedError):
            return found
        if id(found) in seen:
            continue
        seen.add(id(found))
        parts = found.exceptions if isinstance(found, BaseExceptionGroup) else found.args
        behind = [found.__cause__, _answered(found), _last_attempt(found), *reversed(parts)]
        pending += [other for other in behind if isinstance(other, BaseException)]
    return None


_EXEMPT = (RejectedError, MisuseError)


def is_exempt(exc: BaseException) -> bool:
    """Return whether an exception never counts: a rejection, what was raised from one, or misuse."""
    return isinstance(exc, _EXEMPT) or (not stands_alone(exc) and rejection_of(exc) is not None)


def _last_attempt(exc: BaseException) -> BaseException | None:
    """Return the exception of the last attempt that tenacity's `RetryError` holds."""
    attempt: Any = getattr(exc, "last_attempt", None)
    if type(exc).__name__ != "RetryError" or not getattr(attempt, "failed", False):
        return None
    error: BaseException | None = attempt.exception()
    return error


def _answered(exc: BaseException) -> RejectedError | None:
    """Return the rejection in whose place a transport has made the response of an HTTP error."""
    with suppress(Exception):  # a property may raise anything
        extensions: Any = getattr(getattr(exc, "response", None), "extensions", None)
        rejection = extensions.get("rejection") if isinstance(extensions, dict) else None
        return rejection if isinstance(rejection, RejectedError) else None
    return None


def _when(retry_after: float | None) -> str:
    return "no retry time is known" if retry_after is None else f"retry in {retry_after:.1f} s"
