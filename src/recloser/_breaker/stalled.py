"""Calls that ran out of time while our own event loop stood still: nobody's fault, so they are ignored.

A deadline, a time limit of a policy or of a client, and a limit for slow calls all measure the time on the wall. After
a stall, whatever was under way is over its limit at once, and its answer may lie unread in a socket. So a call that ran
out of time right after a stall, and may have begun before its end, is no evidence. Time in which the loop stood still
is no time in which a dependency was awaited, either.

There is a bound, so that a process that stalls all the time still notices a dependency that hangs: what ends after a
stall is forgiven for so many stalls in a row only, if the breaker sees no success between them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from recloser._breaker.cancellation import is_cancellation
from recloser._breaker.error_text import FailureAt
from recloser._breaker.log import log_limit
from recloser._breaker.loop_watch import watch_loop
from recloser._core.stalls import STALL_SECONDS, is_about_time

if TYPE_CHECKING:
    from recloser._breaker.loop_watch import LoopWatch, WatchedEngine

FORGIVEN_IN_A_ROW = 10
"""After how many stalls without a success between them the calls of a breaker are judged as if there were no stalls."""


class _StalledCalls:
    """The calls of one breaker that were ignored because of a stall."""

    __slots__ = ("_run", "_stall", "_successes", "total")

    def __init__(self) -> None:
        self.total = 0
        self._run = 0
        self._stall: float | None = None
        self._successes = 0

    def forgive(self, stall: float | None, successes: int) -> bool:
        """Return whether a call is ignored because of a stall; count it if so."""
        if successes != self._successes:
            self._successes, self._run, self._stall = successes, 0, None
        if stall != self._stall:
            self._stall = stall
            self._run += 1
        if self._run > FORGIVEN_IN_A_ROW:
            return False
        self.total += 1
        return True


_stalled: WeakKeyDictionary[WatchedEngine, _StalledCalls] = WeakKeyDictionary()


def stalled_total(engine: WatchedEngine) -> int:
    """Return how many calls of a breaker were ignored because the event loop had stood still."""
    stalled = _stalled.get(engine)
    return 0 if stalled is None else stalled.total


def is_stalled(engine: WatchedEngine, exc: BaseException, started: float | None) -> bool:
    """Return whether a call that is about to count as a failure ran out of time because our loop stood still.

    Args:
        engine: The breaker's engine.
        exc: What ended the call.
        started: When it started, in monotonic seconds; None if that is not known.
    """
    error = exc.error if isinstance(exc, FailureAt) else exc
    if not is_about_time(error) and not is_cancellation(error):
        return False
    watch = watch_loop(engine)
    if watch is None:
        return False
    now = watch.look()
    if not watch.stalls.is_recent(now) or (started is not None and not watch.stalls.within(started, now)):
        return False
    stalled = _stalled.get(engine) or _stalled.setdefault(engine, _StalledCalls())
    if not stalled.forgive(watch.stalls.ended_at, engine.machine.epoch.successes):
        return False
    _tell(watch, engine.name)
    return True


def awaited(engine: WatchedEngine, seconds: float) -> float:
    """Return for how much of a time that ends now the event loop ran, in seconds."""
    if seconds < STALL_SECONDS:
        return seconds
    watch = watch_loop(engine)
    if watch is None:
        return seconds
    now = watch.look()
    return max(0.0, seconds - watch.stalls.within(now - seconds, now))


def is_start_after_stall(engine: WatchedEngine) -> bool:
    """Watch the event loop; return whether it has just stood still, so that the start of a call that begins is needed.

    A call on the closed path has no start, and so may have begun before the stall.
    """
    watch = watch_loop(engine)
    return watch is not None and watch.stalls.is_recent(watch.look())


def _tell(watch: LoopWatch, name: str) -> None:
    if watch.is_told:
        return
    watch.is_told = True
    message = (
        "The event loop stood still for %.3g s. Calls that ran out of time right after that are ignored, by circuit "
        "breaker %r first: it was this process, not a dependency. Look for functions that block the event loop, and "
        "for too little CPU time"
    )
    log_limit(watch).log(logging.WARNING, message, values=(watch.stalls.last_seconds, name))
