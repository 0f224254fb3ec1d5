"""Reads a user's clock; a clock that fails never breaks a call."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from recloser._breaker.dispatch import log

if TYPE_CHECKING:
    from collections.abc import Callable


class CheckedClock:
    """A user's clock whose readings are checked; calling it never raises.

    Args:
        raw: Returns monotonic seconds.
        breaker: The name of the breaker, for the log.

    Raises:
        ValueError: The clock does not return a finite number.
    """

    __slots__ = ("_breaker", "_failed", "last", "raw")

    def __init__(self, raw: Callable[[], float], breaker: str) -> None:
        self.raw: Callable[[], float] = raw
        self._breaker = breaker
        self._failed = False
        self.last: float = _checked(raw())

    def __call__(self) -> float:
        """Read the clock; if it fails, log that once and return the last good reading."""
        try:
            self.last = now = _checked(self.raw())
        except Exception as fault:  # noqa: BLE001 - logged
            if not self._failed:
                self._failed = True
                message = "The clock of circuit breaker %r failed; its last reading is used"
                log(logging.ERROR, message, self._breaker, exc_info=fault)
            return self.last
        self._failed = False
        return now  # not the last reading, which may be another thread's by now


def _checked(now: float) -> float:
    if not math.isfinite(now):
        raise ValueError(f"the clock must return a finite number of seconds, not {now!r}")
    return now


def clock_of(breaker: str, clock: Callable[[], float]) -> tuple[Callable[[], float], float]:
    """Return the clock of one breaker, which never raises, and its first reading; `time.monotonic` needs no checks.

    Raises:
        ValueError: The clock does not return a finite number.
    """
    if clock is time.monotonic:
        return clock, clock()
    checked = CheckedClock(clock, breaker)
    return checked, checked.last


def checked_clock(clock: Callable[[], float] | None) -> Callable[[], float]:
    """Return the clock that a user has chosen; None means `time.monotonic`.

    Raises:
        TypeError: The clock is not callable.
    """
    if clock is None:
        return time.monotonic
    if not callable(clock):
        raise TypeError(f"clock must be a function that returns monotonic seconds, not {clock!r}")
    return clock
