"""The exceptions that recloser raises.

::

    RecloserError
     +- RejectedError(name, retry_after)              the call was not started
     |   +- CircuitBreakerOpenError(state, ...)
     |   +- BulkheadFullError(max_concurrent, ...)
     |   +- RateLimitedError
     +- CallTimeoutError(name, seconds)               also a TimeoutError
     +- NoAnswer                                      a fallback link has nothing to say
     +- FallbackExhaustedError                        also an ExceptionGroup
     +- FleetError                                    never raised out of a protected call
         +- FleetStoreError(reason)                   the store of a fleet cannot be used now
    ConfigurationWarning                              a UserWarning

Exceptions of the protected call are never wrapped or changed: they reach the caller as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recloser._core.outcomes import leaves
from recloser._core.states import CircuitState
from recloser._core.wording import plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self


class RecloserError(Exception):
    """Root of all exceptions that recloser raises."""


class RejectedError(RecloserError):
    """The call was not started, because something stands before the dependency to protect it.

    The fields live in `args`, so that raising one costs little and pickling works by itself; they are given by
    position. A breaker around another never counts it as a failure.

    Args:
        name: Name of what rejected the call.
        retry_after: Seconds after which a call may go through, >= 0; None if that is not known.
    """

    if TYPE_CHECKING:

        def __init__(self, name: str, retry_after: float | None = None, /) -> None: ...

    @property
    def name(self) -> str:
        """Name of what rejected the call."""
        name: str = self._field(0, "")
        return name

    @property
    def retry_after(self) -> float | None:
        """Seconds after which a call may go through, >= 0; None if that is not known."""
        seconds: float | None = self._field(1, None)
        return seconds

    def _field(self, index: int, default: Any) -> Any:  # noqa: ANN401 - args holds fields of many types
        return self.args[index] if index < len(self.args) else default

    def __str__(self) -> str:
        """Say what rejected the call, and when to come back."""
        return f"{self.name!r} rejected the call; {_when(self.retry_after)}"


class MisuseError(TypeError):
    """A breaker or a chain was handed what it cannot use; never counted as a failure of the dependency."""


class CircuitBreakerOpenError(RejectedError):
    """A circuit breaker did not let the call through.

    Args:
        name: Name of the breaker.
        retry_after: Seconds until a probe may go through, >= 0; None if unknown (a probe is running, or the
            breaker was forced open without an end).
        state: The state that rejected the call.
        failure_count: Failures counted when the breaker opened.
        last_failure: Type and message of the failure that opened it, as text; None if none did.
        reason: Why it was forced open, None if it was not.
    """

    if TYPE_CHECKING:

        def __init__(  # noqa: PLR0917 - the fields of one error, described at the class
            self,
            name: str,
            retry_after: float | None = None,
            state: CircuitState = CircuitState.OPEN,
            failure_count: int = 0,
            last_failure: str | None = None,
            reason: str | None = None,
            /,
        ) -> None: ...

    @property
    def state(self) -> CircuitState:
        """The state that rejected the call."""
        state: CircuitState = self._field(2, CircuitState.OPEN)
        return state

    @property
    def failure_count(self) -> int:
        """Failures counted when the breaker opened."""
        count: int = self._field(3, 0)
        return count

    @property
    def last_failure(self) -> str | None:
        """Type and message of the failure that opened the breaker, as text; None if none did."""
        text: str | None = self._field(4, None)
        return text

    @property
    def reason(self) -> str | None:
        """Why the breaker was forced open, None if it was not."""
        text: str | None = self._field(5, None)
        return text

    def __str__(self) -> str:
        """Say which breaker rejected the call, why, and when to come back."""
        start = f"Circuit breaker {self.name!r} is {self.state.upper()}"
        if self.state is CircuitState.HALF_OPEN:
            return f"{start}. Service unavailable; a probe is running"
        because = f" ({self.reason})" if self.state is CircuitState.FORCED_OPEN else ""
        return f"{start}{because}. Service unavailable; {_when(self.retry_after)}"


class BulkheadFullError(RejectedError):
    """A bulkhead had no place for the call, and none in its queue either, or the wait in the queue took too long.

    Args:
        name: Name of the bulkhead.
        retry_after: Always None: nobody knows when a call will end.
        max_concurrent: Calls that may run at once.
        max_queue: Calls that may wait.
        waited_seconds: How long this call waited in the queue before it was given up; None if it did not wait.
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
        """Calls that may run at once."""
        count: int = self._field(2, 1)
        return count

    @property
    def max_queue(self) -> int:
        """Calls that may wait for a place."""
        count: int = self._field(3, 0)
        return count

    @property
    def waited_seconds(self) -> float | None:
        """How long this call waited in the queue before it was given up; None if it did not wait."""
        seconds: float | None = self._field(4, None)
        return seconds

    def __str__(self) -> str:
        """Say how full the bulkhead is, and what can be done."""
        start = f"Bulkhead {self.name!r} is full"
        running = f"{self.max_concurrent} {plural(self.max_concurrent, 'call')} at once"
        if self.waited_seconds is not None:
            return f"{start}: no place came free within {self.waited_seconds:g} s ({running}). Try again later"
        return f"{start} ({running}, {self.max_queue} waiting). Try again later, or call less at once"


class RateLimitedError(RejectedError):
    """A rate limit was reached; `retry_after` says in how many seconds there is room for this call.

    Args:
        name: Name of the rate limit.
        retry_after: Seconds until there is a token for a call, >= 0.
    """

    def __str__(self) -> str:
        """Say which rate limit was reached, and when to come back."""
        return f"Rate limit {self.name!r} is reached; {_when(self.retry_after)}"


class CallTimeoutError(RecloserError, TimeoutError):
    """A call took longer than its `Timeout` allows, and was cancelled.

    It is no rejection: the dependency was called and was too slow, so that a breaker around it counts a failure.

    Args:
        name: Name of the timeout.
        seconds: How long the call was allowed to take.
    """

    def __init__(self, name: str, seconds: float) -> None:
        super().__init__(f"Timeout {name!r}: the call did not end within {seconds:g} s and was cancelled")
        self.name = name
        self.seconds = seconds

    def __reduce__(self) -> tuple[type[CallTimeoutError], tuple[str, float]]:
        """Pickle by the fields: an OSError, which every TimeoutError is, would be made from the message."""
        return type(self), (self.name, self.seconds)


class NoAnswer(RecloserError):  # noqa: N818 - no failure: a cache that misses has done its work
    """A link of a fallback chain has no answer, as a cache that misses; the chain goes on with the next link.

    Raised by the link: `raise NoAnswer("user 7 is not in the cache")`. A breaker around the link never counts it as a
    failure: whatever could say so is there.
    """


class FallbackExhaustedError(RecloserError, ExceptionGroup[Exception]):
    """No link of a fallback chain had an answer.

    As an `ExceptionGroup` it holds what each link raised, in the links' order, for `except*`, `split()` and breakers,
    which judge a group by its leaves.

    Args:
        message: What the links said, in one line.
        exceptions: What each link raised, in order; at least one.
        name: Name of the chain.
        sources: Name of the link that raised each of the exceptions.
    """

    name: str
    sources: tuple[str, ...]

    if TYPE_CHECKING:  # at run time the base class keeps the four arguments in `args`, which is what pickling needs

        def __init__(
            self, message: str, exceptions: Sequence[Exception], name: str, sources: Sequence[str], /
        ) -> None: ...

    def __new__(cls, message: str, exceptions: Sequence[Exception], name: str, sources: Sequence[str], /) -> Self:
        """Make the group and set its fields."""
        self = super().__new__(cls, message, exceptions)
        self.name = name
        self.sources = tuple(sources)
        return self

    @property
    def errors(self) -> tuple[tuple[str, Exception], ...]:
        """What each link raised, with the link's name, in order."""
        return tuple(zip(self.sources, self.exceptions, strict=True))

    # Only exceptions can be left of a group of exceptions: the overload for others has nothing to apply to.
    def derive(self, excs: Sequence[Any], /) -> FallbackExhaustedError:  # type: ignore[override]
        """Return a group of some of the errors, as `split()` and `except*` do."""
        return FallbackExhaustedError(self.message, excs, self.name, [self._source_of(exc) for exc in excs])

    def _source_of(self, part: Exception) -> str:
        """Return the name of the link that raised an exception, or the group of which it is a part."""
        wanted = _identities(part)
        return next(source for source, error in self.errors if wanted <= _identities(error))


def _identities(exc: BaseException) -> set[int]:
    return {id(leaf) for leaf in leaves(exc)}


class FleetError(RecloserError):
    """Something about a fleet of breakers went wrong; never raised out of a protected call."""


class FleetStoreError(FleetError):
    """The store of a fleet cannot be used now: it is down, slow, refuses, or is not connected.

    Whether the operations that were under way took effect is not known.

    Args:
        reason: What went wrong, in one line, without credentials.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ConfigurationWarning(UserWarning):
    """Settings that are valid, and that the field warns against; the message says what happens."""


def _when(retry_after: float | None) -> str:
    return "no retry time is known" if retry_after is None else f"retry in {retry_after:.1f} s"
