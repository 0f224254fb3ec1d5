"""Reads a user's clock; a clock that fails never breaks a call."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, SupportsFloat

from recloser._breaker.log import LogLimit
from recloser._core.slots import check_synchronous, checked

if TYPE_CHECKING:
    from collections.abc import Callable


class CheckedClock:
    """A user's clock whose readings are checked; calling it never raises.

    Args:
        raw: Returns monotonic seconds.
        name: The name of what reads the clock, for the log; None if it has none.
        kind: What reads the clock.
        last: The reading that is used until there is a good one; None to read the clock at once.

    Raises:
        TypeError: The first reading is no number.
        ValueError: The first reading is not finite.
    """

    __slots__ = ("_failed", "_kind", "_limit", "_name", "last", "raw")

    def __init__(
        self,
        raw: Callable[[], float],
        name: str | None = None,
        *,
        kind: str = "circuit breaker",
        last: float | None = None,
    ) -> None:
        self.raw: Callable[[], float] = raw
        self._name = name
        self._kind = kind
        self._failed = False
        self._limit: LogLimit | None = None
        self.last: float = _checked(raw()) if last is None else last

    def __call__(self) -> float:
        """Read the clock; if it fails, log that once and return the last good reading."""
        try:
            self.last = now = _checked(self.raw())
        except Exception as fault:  # noqa: BLE001 - logged
            if not self._failed:
                self._failed = True
                owner, names = (f"a {self._kind}", ()) if self._name is None else (f"{self._kind} %r", (self._name,))
                message = f"The clock of {owner} failed; its last reading is used"
                limit = self._limit = self._limit or LogLimit()
                limit.log(logging.ERROR, message, *names, fault=fault)
            return self.last
        self._failed = False
        return now  # not the last reading, which may be another thread's by now


def _checked(now: float) -> float:
    if type(now) is not float and (isinstance(now, bool) or not isinstance(checked("clock", now), SupportsFloat)):
        raise TypeError(f"the clock must return a finite number of seconds, not {now!r}")
    if not math.isfinite(now):
        raise ValueError(f"the clock must return a finite number of seconds, not {now!r}")
    return now


def clock_of(
    name: str | None, clock: Callable[[], float], kind: str = "circuit breaker"
) -> tuple[Callable[[], float], float]:
    """Return the clock of one reader, which never raises, and its first reading; `time.monotonic` needs no checks.

    Args:
        name: The name of the reader; None if it has none.
        clock: The clock that a user has chosen; one that is checked already stays as it is.
        kind: What the reader is.

    Raises:
        TypeError: The clock does not return a number.
        ValueError: The clock does not return a finite number.
    """
    if clock is time.monotonic or isinstance(clock, CheckedClock):
        return clock, clock()
    own = CheckedClock(clock, name, kind=kind)
    return own, own.last


def checked_clock(clock: Callable[[], float] | None) -> Callable[[], float]:
    """Return the clock that a user has chosen; None means `time.monotonic`.

    Raises:
        TypeError: The clock is not callable, or is asynchronous.
    """
    if clock is None:
        return time.monotonic
    if not callable(clock):
        raise TypeError(f"clock must be a function that returns monotonic seconds, not {clock!r}")
    check_synchronous("clock", clock, "function that returns monotonic seconds")
    return clock


def shared_clock(clock: Callable[[], float] | None) -> Callable[[], float]:
    """Return the clock that the breakers of a registry share, for what a user has chosen.

    A call may make a breaker, so a new breaker with this clock never fails: while the clock does, its last reading is
    used, or 0 if there is none.

    Raises:
        TypeError: The clock is not callable, or is asynchronous.
    """
    raw = checked_clock(clock)
    return raw if raw is time.monotonic else CheckedClock(raw, kind="registry", last=0.0)
