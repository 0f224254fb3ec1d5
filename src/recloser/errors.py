"""The exceptions that recloser raises.

    RecloserError
     +- RejectedError(name, retry_after)              the call was not started
         +- CircuitBreakerOpenError(state, ...)

Exceptions of the protected call are never wrapped or changed: they reach the caller as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recloser._core.states import CircuitState


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
    """A breaker was handed something that it cannot call; never counted as a failure of the dependency."""


class CircuitBreakerOpenError(RejectedError):
    """A circuit breaker did not let the call through.

    Args:
        name: Name of the breaker.
        retry_after: Seconds until a trial call may go through, >= 0; None if unknown (a trial call is running, or the
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
            return f"{start}. Service unavailable; a trial call is running"
        because = f" ({self.reason})" if self.state is CircuitState.FORCED_OPEN else ""
        return f"{start}{because}. Service unavailable; {_when(self.retry_after)}"


def _when(retry_after: float | None) -> str:
    return "no retry time is known" if retry_after is None else f"retry in {retry_after:.1f} s"
