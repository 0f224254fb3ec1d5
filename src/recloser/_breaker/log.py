"""The library's log, and how often a line is repeated in it.

A dependency that fails makes every call fail, and a log that says so for every call tells nothing more. So what a call
can make us log goes through the `LogLimit` of what logs it. Of lines of one format, the first two with the same names
are logged, together at most four; then one after a thousand, one after a million, and one after an hour without any. A
line says how many like it were held back before. After ten quiet minutes the format is new again.

No line has an argument, a statement, a row or a URL of a call in it: exceptions are logged by type and facts. The
traceback of a user's function that raised is kept, without the messages in it.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from recloser._breaker.error_text import describe_kind

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("recloser")

FACTOR = 1000
"""By how much the number of occurrences grows from one line to the next."""
LONGEST_SILENCE_SECONDS = 3600.0
QUIET_SECONDS = 600.0
"""A format that was not due for so long is new again."""
MOST_ALIKE = 2
"""How many lines with the same names are logged at first."""
MOST_AT_FIRST = 4
"""How many lines of one format are logged at first."""


def log(
    level: int,
    message: str,
    *args: object,
    exc_info: Any = False,  # noqa: ANN401 - as logging takes it
    extra: dict[str, object] | None = None,
) -> None:
    """Log a message and ignore errors of filters and handlers, so that they can't keep a call from being settled."""
    with suppress(Exception):
        logger.log(level, message, *args, exc_info=exc_info, extra=extra)


class LogLimit:
    """Logs what calls cause, at most ten lines for a thousand calls.

    Args:
        read_clock: Returns monotonic seconds.
    """

    __slots__ = ("_read_clock", "_repeats")

    def __init__(self, read_clock: Callable[[], float] = time.monotonic) -> None:
        self._read_clock = read_clock
        self._repeats: dict[str, _Repeats] = {}

    def log(
        self,
        level: int,
        message: str,
        *names: object,
        exc: BaseException | None = None,
        fault: BaseException | None = None,
        values: tuple[object, ...] = (),
    ) -> None:
        """Log a message, unless it is held back.

        Args:
            level: The level of the message.
            message: A format for the names, the values and the description of the exception; of a fixed set, because
                something is remembered for each.
            *names: What a message is about. Messages with other names are other messages, as long as they are few.
            exc: An exception to describe; only done for a message that is logged.
            fault: What a user's function raised; its traceback is logged.
            values: Further values; messages that differ in them only are alike.
        """
        if not logger.isEnabledFor(level):
            return
        held_back = self._held_back(message, names)
        if held_back is None:
            return
        described = () if exc is None else (describe_kind(exc),)
        counted = (held_back,) if held_back else ()
        end = "; %d more like it were held back" if held_back else ""
        exc_info = False if fault is None else without_messages(fault)
        log(level, message + end, *names, *values, *described, *counted, exc_info=exc_info)

    def _held_back(self, message: str, names: tuple[object, ...]) -> int | None:
        """Return how many messages were held back since the last one that is like this; None to hold this one back."""
        now = self._read_clock()
        repeats = self._repeats.get(message)
        if repeats is None or now - repeats.seen_at > QUIET_SECONDS:
            held = 0 if repeats is None else repeats.held_back
            repeats = self._repeats[message] = _Repeats(now, held)
        repeats.seen_at = now
        repeats.count += 1
        is_new = len(repeats.at_first) < MOST_AT_FIRST and repeats.at_first.count(names) < MOST_ALIKE
        if is_new:
            repeats.at_first.append(names)
        elif repeats.count > repeats.next_count:
            repeats.next_count *= FACTOR
        elif now - repeats.logged_at < LONGEST_SILENCE_SECONDS:
            repeats.held_back += 1
            return None
        repeats.logged_at = now
        held, repeats.held_back = repeats.held_back, 0
        return held


class _Repeats:
    """What is remembered of one format."""

    __slots__ = ("at_first", "count", "held_back", "logged_at", "next_count", "seen_at")

    def __init__(self, now: float, held_back: int) -> None:
        self.count = 0
        self.held_back = held_back
        self.logged_at = self.seen_at = now
        self.next_count = FACTOR
        self.at_first: list[tuple[object, ...]] = []


_limits: WeakKeyDictionary[Any, LogLimit] = WeakKeyDictionary()


def log_limit(owner: object) -> LogLimit:
    """Return the limit for what an object logs, always the same one; safe from any thread.

    Args:
        owner: Any object with weak references; the limit lives as long as it does.
    """
    found = _limits.get(owner)
    return _limits.setdefault(owner, LogLimit()) if found is None else found


def without_messages(fault: BaseException) -> tuple[type[BaseException], BaseException, Any]:
    """Return the `exc_info` for what a user's function raised: where it was raised, without the messages in it."""
    error_type = type(fault)
    message = describe_kind(fault).removeprefix(error_type.__qualname__).removeprefix(": ")
    stand_in = _stand_in(error_type.__module__, error_type.__qualname__)
    shown = stand_in(message) if message else stand_in()
    return error_type, shown.with_traceback(fault.__traceback__), fault.__traceback__


@lru_cache(maxsize=64)
def _stand_in(module: str, name: str) -> type[Exception]:
    """Return an exception type with a name, to represent an exception in a traceback."""
    return type(name, (Exception,), {"__module__": module, "__qualname__": name})
