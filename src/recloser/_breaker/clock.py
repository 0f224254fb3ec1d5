"""Reads a user's clock; a clock that fails never breaks a call."""

from __future__ import annotations

import logging
import math
import time
from functools import partial
from typing import TYPE_CHECKING

from recloser._breaker.dispatch import log

if TYPE_CHECKING:
    from collections.abc import Callable


class CheckedClock:
    """A clock whose readings are checked; many breakers can share one.

    Args:
        raw: Returns monotonic seconds.
    """

    __slots__ = ("_failed", "_last", "raw")

    def __init__(self, raw: Callable[[], float]) -> None:
        self.raw: Callable[[], float] = raw
        self._failed = False
        self._last = 0.0

    def first(self) -> float:
        """Read the clock for a new breaker.

        Raises:
            ValueError: The clock does not return a finite number.
        """
        self._last = now = _checked(self.raw())
        self._failed = False
        return now

    def reader(self, breaker: str) -> Callable[[], float]:
        """Return a function that reads the clock for a breaker and never raises; `time.monotonic` needs no checks."""
        return self.raw if self.raw is time.monotonic else partial(self.read, breaker)

    def read(self, breaker: str) -> float:
        """Read the clock; if it fails, log that once and return the last good reading.

        Args:
            breaker: The name of the breaker, for the log.
        """
        try:
            self._last = now = _checked(self.raw())
        except Exception as fault:  # noqa: BLE001 - logged
            if not self._failed:
                self._failed = True
                message = "The clock of circuit breaker %r failed; its last reading is used"
                log(logging.ERROR, message, breaker, exc_info=fault)
            return self._last
        self._failed = False
        return now  # not the last reading, which may be another thread's by now


def _checked(now: float) -> float:
    if not math.isfinite(now):
        raise ValueError(f"the clock must return a finite number of seconds, not {now!r}")
    return now


MONOTONIC = CheckedClock(time.monotonic)
"""The default clock."""


def checked_clock(clock: Callable[[], float] | None) -> CheckedClock:
    """Return a user's clock made safe; None means `time.monotonic`, and breakers on that share one.

    Raises:
        TypeError: The clock is not callable.
    """
    if clock is None or clock is time.monotonic:
        return MONOTONIC
    if not callable(clock):
        raise TypeError(f"clock must be a function that returns monotonic seconds, not {clock!r}")
    return CheckedClock(clock)
