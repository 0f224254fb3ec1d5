"""The waits for the parts of one call: the items of a stream, or the chunks of a response's body.

A call that delivers parts may run for hours. Whether it was overdue when it was cut off depends on the wait for the
part under way, and what it tells about the dependency are its waits, not its duration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recloser._breaker.sampling import is_sample
from recloser._breaker.stalled import awaited

if TYPE_CHECKING:
    from recloser._core.tickets import Ticket


class Waits:
    """The waits of one call whose start is known.

    Args:
        engine: The engine of the breaker.
        ticket: The ticket of the call; when a probe passes, it becomes that of the generation which that begins.
        began_at: When the first wait began.
    """

    __slots__ = ("_began_at", "_engine", "_has_delivered", "_is_sample", "_longest", "ticket")

    def __init__(self, engine: Any, ticket: Ticket, began_at: float) -> None:  # noqa: ANN401 - an Engine
        self._engine = engine
        self.ticket: Ticket = ticket
        self._began_at = began_at
        self._longest = 0.0
        self._has_delivered = self._is_sample = False

    def begin(self) -> float:
        """Note that the next part is awaited; return the time."""
        now: float = self._engine.now()
        self._began_at = now
        return now

    def end(self) -> float:
        """Note that a part has come, and learn how long it was awaited if the call is a sample; return the time."""
        now: float = self._engine.now()
        self._learn(awaited(self._engine, now - self._began_at))
        return now

    @property
    def awaited_from(self) -> float | None:
        """When the wait for the part under way began; None if that is when the call did."""
        return self._began_at if self._has_delivered else None

    def is_sample(self) -> bool:
        """Return whether the duration of the call is a sample of how long successes take: there were no parts."""
        return not self._has_delivered and is_sample(self._engine, self.ticket)

    def _learn(self, seconds: float) -> None:
        machine = self._engine.machine
        if not self._has_delivered:
            self._has_delivered = True
            self._longest = seconds
            self._is_sample = is_sample(self._engine, self.ticket)
            if self._is_sample:
                machine.learn(seconds)
        elif seconds > self._longest:
            self._longest = seconds
            if self._is_sample:
                machine.learn_more(seconds)
