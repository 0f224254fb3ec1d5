"""Why a transition happened, as a value; `causes` makes it."""

from __future__ import annotations

from dataclasses import dataclass

from recloser._core.states import Trigger  # noqa: TC001 - here and below: for tools that evaluate the annotations
from recloser._core.values import Value
from recloser._core.windows import CountWindow, TimeWindow


class ErrorFacts(Value):
    """A value that tells of an error, `last_error`: facts about it that are no secret."""

    __slots__ = ()

    last_error: str | None

    @property
    def error_type(self) -> str | None:
        """The qualified name of the type of the last error; None if it was no exception."""
        name: str | None = getattr(self.last_error, "error_type", None)
        return name

    @property
    def error_status(self) -> int | None:
        """The HTTP status of the last error; None if it has none."""
        status: int | None = getattr(self.last_error, "status", None)
        return status

    @property
    def peer(self) -> str | None:
        """The host and the port that the failed call was made to, if an integration knows them."""
        peer: str | None = getattr(self.last_error, "peer", None)
        return peer


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cause(ErrorFacts):
    """Why a transition happened, in numbers.

    Attributes:
        trigger: The trigger in the transition table.
        text: The cause as a part of a sentence.
        rule: The trip rule as text; None if no rule was involved.
        observed: The value that the rule has measured, or the number of successful probes.
        threshold: The value that it has reached.
        last_error: Type and message of the failure that opened the breaker; None if none did.
        reason: The reason that was passed to `force_open()`, `disable()` or `reset()`.
        author: Who called it, if that was passed.
        kind: The kind of rule that tripped: `consecutive_failures`, `failure_count`, `failure_rate` or
            `slow_call_rate`; None if no rule was involved. Of several rules, the first one that was met.
        calls: The number of calls that a rate was measured on; None if the rule has no rate.
        counted: The number of these calls that failed, or were slow.
        window: The window of the rule; None if it has none.
        slow_call_seconds: The duration above which a call was slow; None if the rule has no such limit.
        for_seconds: How long the breaker stays forced open or disabled; None if that has no limit, or it is neither.
    """

    trigger: Trigger
    text: str
    rule: str | None = None
    observed: float | None = None
    threshold: float | None = None
    last_error: str | None = None
    reason: str | None = None
    author: str | None = None
    kind: str | None = None
    calls: int | None = None
    counted: int | None = None
    window: CountWindow | TimeWindow | None = None
    slow_call_seconds: float | None = None
    for_seconds: float | None = None

    def __str__(self) -> str:
        """Return the cause as a part of a sentence."""
        return self.text if self.last_error is None else f"{self.text}; last error {self.last_error}"

    def fields(self) -> dict[str, object]:
        """Return the cause as a JSON-ready dictionary, for programs that say it in words of their own."""
        return {
            "trigger": self.trigger.value,
            "kind": self.kind,
            "rule": self.rule,
            "observed": self.observed,
            "threshold": self.threshold,
            "calls": self.calls,
            "counted": self.counted,
            "window": None if self.window is None else _window_fields(self.window),
            "slow_call_seconds": self.slow_call_seconds,
            "last_error": None if self.last_error is None else str(self.last_error),
            "error_type": self.error_type,
            "error_status": self.error_status,
            "peer": self.peer,
            "reason": self.reason,
            "author": self.author,
            "for_seconds": self.for_seconds,
        }


def _window_fields(window: CountWindow | TimeWindow) -> dict[str, float]:
    return {"seconds": window.seconds} if isinstance(window, TimeWindow) else {"calls": window.size}
