"""Structured log lines: one for each transition, and one at most every few seconds for rejections.

The library itself logs transitions with the same fields, through the logger `recloser`. So a listener without a logger
of its own only adds the lines for rejections. A listener with one, such as a logger of structlog, writes both.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

from recloser import StateChanged
from recloser.events import CallRejected
from recloser.lowlevel import checks, slots

if TYPE_CHECKING:
    from recloser import Event

__all__ = ["KeyValueLogger", "LogListener", "is_no_transition"]

LIBRARY = "recloser"
MOST_BREAKERS = 1000
"""For how many breakers rejections are counted at a time."""


class KeyValueLogger(Protocol):
    """A logger that takes fields as keyword arguments, as the loggers of structlog do."""

    def info(self, event: str, /, **fields: Any) -> object:  # noqa: ANN401 - values of many types
        """Log a line at level INFO."""
        ...

    def warning(self, event: str, /, **fields: Any) -> object:  # noqa: ANN401 - as above
        """Log a line at level WARNING."""
        ...

    def error(self, event: str, /, **fields: Any) -> object:  # noqa: ANN401 - as above
        """Log a line at level ERROR."""
        ...


class LogListener:
    """Logs what breakers do: `registry.subscribe(listener, kinds=listener.kinds)`.

    The first rejection of a breaker is logged immediately. Later ones are counted, and logged with the first rejection
    after `rejections_every_seconds`, or when the breaker changes its state. The time is that of the breaker's clock.

    Args:
        logger: A logger of the standard library, which gets the fields as `extra=`; or a logger that takes them as
            keyword arguments, such as one of structlog. By default the logger `recloser`, which gets rejections only,
            because the library logs transitions there itself.
        rejections_every_seconds: The shortest time between two lines about the rejections of a breaker (finite, > 0);
            None to log none.

    Raises:
        TypeError: The logger is of neither kind, or a `LoggerAdapter`, which would replace the fields; or the interval
            is no number.
        ValueError: The interval is out of its range.

    Attributes:
        kinds: The types of events to subscribe to, for `subscribe()`.
    """

    def __init__(
        self,
        logger: logging.Logger | KeyValueLogger | None = None,
        *,
        rejections_every_seconds: float | None = 10.0,
    ) -> None:
        self._logger = logging.getLogger(LIBRARY) if logger is None else _checked_logger(logger)
        self._logs_transitions = not isinstance(self._logger, logging.Logger) or self._logger.name != LIBRARY
        self._interval = checks.seconds_or_none("rejections_every_seconds", rejections_every_seconds)
        self._rejections: OrderedDict[str, _Rejections] = OrderedDict()
        self.kinds: tuple[type[Event], ...] = (
            (StateChanged,) if self._interval is None else (StateChanged, CallRejected)
        )

    def __call__(self, event: Event) -> None:
        """Write a line, or count a rejection for a later line; other events are ignored."""
        if isinstance(event, CallRejected):
            if self._interval is not None:
                self._count(event, self._interval)
        elif isinstance(event, StateChanged):
            rejections = self._rejections.pop(event.breaker, None)
            if rejections is not None:
                self._log_rejections(rejections)
            if self._logs_transitions:
                line, values = event.log_line()
                self._log("error" if event.rejects else "info", line, values, event.fields())

    def _count(self, event: CallRejected, interval: float) -> None:
        rejections = self._rejections.get(event.breaker)
        if rejections is None:
            if len(self._rejections) >= MOST_BREAKERS:
                self._log_rejections(self._rejections.popitem(last=False)[1])
            rejections = self._rejections[event.breaker] = _Rejections(event, event.monotonic - interval)
        rejections.count += 1
        rejections.latest = event
        if event.monotonic - rejections.logged_at >= interval:
            self._log_rejections(rejections)

    def _log_rejections(self, rejections: _Rejections) -> None:
        count, event = rejections.count, rejections.latest
        if not count:
            return
        rejections.count, rejections.logged_at = 0, event.monotonic
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

    def _log(self, level: str, line: str, values: tuple[object, ...], fields: dict[str, object]) -> None:
        """Write a line; a logger of the standard library gets the values separately, for tools that group lines."""
        write = getattr(self._logger, level)
        if isinstance(self._logger, logging.Logger):
            write(line, *values, extra=fields)
        else:
            slots.check_unused("logger", write(line % values, **fields))


class _Rejections:
    """The rejections of a breaker that have not been logged, and when earlier ones were."""

    __slots__ = ("count", "latest", "logged_at")

    def __init__(self, event: CallRejected, logged_at: float) -> None:
        self.count = 0
        self.latest = event
        self.logged_at = logged_at


def is_no_transition(record: logging.LogRecord) -> bool:
    """Return whether a log record is about anything but a transition.

    `logging.getLogger("recloser").addFilter(is_no_transition)` drops the library's own lines about transitions, if a
    `LogListener` writes them to another logger.
    """
    return not hasattr(record, "new_state")


def _checked_logger(logger: object) -> Any:  # noqa: ANN401 - either kind
    methods = ("info", "warning", "error")
    if isinstance(logger, logging.LoggerAdapter) or not all(callable(getattr(logger, name, None)) for name in methods):
        raise TypeError(f"logger must be a logging.Logger, or one that takes fields as keywords, not {logger!r}")
    for name in methods:
        slots.check_synchronous("logger", getattr(logger, name), "logger")
    return logger
