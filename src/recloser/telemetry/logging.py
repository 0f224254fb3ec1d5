"""Structured lines for a log: one for each transition, and one now and then for many rejections.

The library logs transitions by itself, through the logger `recloser`, with the fields that are told here. So a
listener that is made without a logger adds only the lines for rejections; one that is made with a logger of its own,
of structlog for example, tells both.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

from recloser import CallRejected, CircuitState, StateChanged
from recloser.lowlevel import checks

if TYPE_CHECKING:
    from recloser import Event

__all__ = ["KeyValueLogger", "LogListener", "is_no_transition"]

LIBRARY = "recloser"
MOST_BREAKERS = 1000
"""Of so many breakers rejections are counted at a time."""
_OPENED = (CircuitState.OPEN, CircuitState.FORCED_OPEN)


class KeyValueLogger(Protocol):
    """A logger that takes fields as keyword arguments, as those of structlog do."""

    def info(self, event: str, /, **fields: Any) -> object:  # noqa: ANN401 - any plain value
        """Tell what is normal."""
        ...

    def warning(self, event: str, /, **fields: Any) -> object:  # noqa: ANN401 - as above
        """Tell what somebody may have to look at."""
        ...

    def error(self, event: str, /, **fields: Any) -> object:  # noqa: ANN401 - as above
        """Tell what is wrong."""
        ...


class LogListener:
    """Writes what breakers do into a log: `registry.subscribe(listener, kinds=listener.kinds)`.

    The first rejection is told at once. Those that follow are counted, and told together with the first one after
    `rejections_every_seconds`, or when the breaker changes its state. Time is that of the breaker's clock.

    Args:
        logger: A logger of the standard library, which gets the fields as `extra=`; or one that takes them as keyword
            arguments, of structlog for example. Without one, only rejections are told, by the logger `recloser`,
            because that one tells transitions already.
        rejections_every_seconds: How often a breaker's rejections are told at most (finite, > 0); None: never.

    Raises:
        TypeError: The logger is none, or a `LoggerAdapter`, which would replace the fields; or the interval no number.
        ValueError: The interval is out of its range.

    Attributes:
        kinds: The events that it wants to be told, for `subscribe()`.
    """

    def __init__(
        self,
        logger: logging.Logger | KeyValueLogger | None = None,
        *,
        rejections_every_seconds: float | None = 10.0,
    ) -> None:
        self._logger = logging.getLogger(LIBRARY) if logger is None else _checked_logger(logger)
        self._tells_transitions = not isinstance(self._logger, logging.Logger) or self._logger.name != LIBRARY
        self._interval = checks.seconds_or_none("rejections_every_seconds", rejections_every_seconds)
        self._rejections: OrderedDict[str, _Rejections] = OrderedDict()
        self.kinds: tuple[type[Event], ...] = (
            (StateChanged,) if self._interval is None else (StateChanged, CallRejected)
        )

    def __call__(self, event: Event) -> None:
        """Write a line, or count a rejection to be told later; events of other kinds are passed over."""
        if isinstance(event, CallRejected):
            if self._interval is not None:
                self._note(event, self._interval)
        elif isinstance(event, StateChanged):
            rejections = self._rejections.pop(event.breaker, None)
            if rejections is not None:
                self._tell_rejections(rejections)
            if self._tells_transitions:
                level = "error" if event.new in _OPENED else "info"
                line = "Circuit breaker %r went from %s to %s: %s"
                self._log(level, line, (event.breaker, event.old, event.new, event.cause), event.fields())

    def _note(self, event: CallRejected, interval: float) -> None:
        rejections = self._rejections.get(event.breaker)
        if rejections is None:
            if len(self._rejections) >= MOST_BREAKERS:
                self._tell_rejections(self._rejections.popitem(last=False)[1])
            rejections = self._rejections[event.breaker] = _Rejections(event, event.monotonic - interval)
        rejections.count += 1
        rejections.latest = event
        if event.monotonic - rejections.told_at >= interval:
            self._tell_rejections(rejections)

    def _tell_rejections(self, rejections: _Rejections) -> None:
        count, event = rejections.count, rejections.latest
        if not count:
            return
        rejections.count, rejections.told_at = 0, event.monotonic
        what = "would have rejected" if event.shadow else "rejected"
        line = f"Circuit breaker %r {what} %d {'call' if count == 1 else 'calls'}: it is %s"
        fields: dict[str, object] = {
            "circuit_breaker": event.breaker,
            "state": event.state.value,
            "rejections": count,
            "retry_after_seconds": event.retry_after,
            "shadow": event.shadow,
        }
        self._log("warning", line, (event.breaker, count, event.state), fields)

    def _log(self, level: str, line: str, words: tuple[object, ...], fields: dict[str, object]) -> None:
        """Write a line; a logger of the standard library gets its words apart, for what groups lines."""
        write = getattr(self._logger, level)
        if isinstance(self._logger, logging.Logger):
            write(line, *words, extra=fields)
        else:
            write(line % words, **fields)


class _Rejections:
    """The rejections of a breaker that have not been told, and when others were."""

    __slots__ = ("count", "latest", "told_at")

    def __init__(self, event: CallRejected, told_at: float) -> None:
        self.count = 0
        self.latest = event
        self.told_at = told_at


def is_no_transition(record: logging.LogRecord) -> bool:
    """Return whether a record is anything but a transition; for who tells them through a logger of their own.

    `logging.getLogger("recloser").addFilter(is_no_transition)` leaves the library's own lines for transitions out.
    """
    return not hasattr(record, "new_state")


def _checked_logger(logger: object) -> Any:  # noqa: ANN401 - either kind
    methods = ("info", "warning", "error")
    if isinstance(logger, logging.LoggerAdapter) or not all(callable(getattr(logger, name, None)) for name in methods):
        raise TypeError(f"logger must be a logging.Logger, or one that takes fields as keywords, not {logger!r}")
    return logger
