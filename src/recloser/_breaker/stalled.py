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

from recloser._breaker.error_text import FailureAt
from recloser._breaker.log import log_limit
from recloser._breaker.loop_watch import watch_loop
from recloser._core.outcomes import Outcome
from recloser._core.stalls import STALL_SECONDS
from recloser._core.time_limits import is_about_time

if TYPE_CHECKING:
    from recloser._breaker.cut_offs import CutOffs
    from recloser._breaker.loop_watch import LoopWatch, WatchedEngine
    from recloser._core.tickets import Ticket

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

    def may_forgive(self, stall: float | None, successes: int) -> bool:
        """Return whether a call may be ignored because of a stall.

        Args:
            stall: When the latest stall ended.
            successes: The running total of successes.
        """
        if successes != self._successes:
            self._successes, self._run, self._stall = successes, 0, None
        if stall != self._stall:
            self._stall = stall
            self._run += 1
        return self._run <= FORGIVEN_IN_A_ROW


_stalled: WeakKeyDictionary[WatchedEngine, _StalledCalls] = WeakKeyDictionary()


def stalled_total(engine: WatchedEngine) -> int:
    """Return how many calls of a breaker were ignored because the event loop had stood still."""
    stalled = _stalled.get(engine)
    return 0 if stalled is None else stalled.total


def is_time_limit(exc: BaseException) -> bool:
    """Return whether a call ended because a time limit in it has run out."""
    return is_about_time(exc.error if isinstance(exc, FailureAt) else exc)


def unless_stalled(
    engine: WatchedEngine, outcome: Outcome, exc: BaseException | None, started: float | None
) -> Outcome:
    """Return the outcome of a call; it is ignored if it failed because its time limit ran out by a stall.

    Args:
        engine: The breaker's engine.
        outcome: The outcome, if there was no stall.
        exc: What ended the call.
        started: When it started, in monotonic seconds; None if that is not known.
    """
    if outcome is not Outcome.FAILURE or exc is None or not is_time_limit(exc):
        return outcome
    watch = watch_loop(engine)
    if watch is None:
        return outcome
    now = watch.look()
    if not watch.stalls.is_recent(now) or (started is not None and not watch.stalls.within(started, now)):
        return outcome
    if not _forgive(engine, watch):
        return outcome
    if started is None:
        watch.need_starts(engine, now)
    return Outcome.IGNORED


def cut_off(
    engine: WatchedEngine, cut_offs: CutOffs, ticket: Ticket, exc: BaseException, since: float | None
) -> Outcome:
    """Return what it means that a call was cut off, the time left out in which the loop stood still.

    Args:
        engine: The breaker's engine.
        cut_offs: What classifies the breaker's calls that are cut off.
        ticket: The ticket of the call.
        exc: The cancellation.
        since: Since when the dependency had been awaited, in monotonic seconds; None if that is not known.
    """
    now: float = engine.now()
    watch = watch_loop(engine)
    if since is None or watch is None:
        return cut_offs.classify(ticket, exc, since, now)
    stood_still = watch.stalls.within(since, watch.look())
    if not stood_still or not _record_of(engine).may_forgive(watch.stalls.ended_at, engine.machine.epoch.successes):
        return cut_offs.classify(ticket, exc, since, now)
    outcome = cut_offs.classify(ticket, exc, since + stood_still, now)
    if outcome is Outcome.IGNORED:
        _forgive(engine, watch)
    return outcome


def awaited(engine: WatchedEngine, seconds: float) -> float:
    """Return for how much of a time that ends now the event loop ran, in seconds."""
    if seconds < STALL_SECONDS:
        return seconds
    watch = watch_loop(engine)
    if watch is None:
        return seconds
    now = watch.look()
    return max(0.0, seconds - watch.stalls.within(now - seconds, now))


def begin_watched(engine: WatchedEngine, ticket: Ticket) -> bool:
    """Have the event loop watched, and the closed path restored if a call was led past it for that.

    Args:
        engine: The breaker's engine.
        ticket: The ticket of a call that begins.

    Returns:
        Whether the start of the call is needed, because the loop has just stood still.
    """
    watch = watch_loop(engine)
    if watch is not None and watch.needs_starts():
        engine.is_in_watched_loop = False  # so that the next call gets here, too
        return True
    if ticket is engine.machine.epoch:
        engine.refresh()
    return False


def _record_of(engine: WatchedEngine) -> _StalledCalls:
    return _stalled.get(engine) or _stalled.setdefault(engine, _StalledCalls())


def _forgive(engine: WatchedEngine, watch: LoopWatch) -> bool:
    """Count a call that is ignored because of a stall, and tell about the stall; return False if it may not be."""
    calls = _record_of(engine)
    if not calls.may_forgive(watch.stalls.ended_at, engine.machine.epoch.successes):
        return False
    calls.total += 1
    if not watch.is_logged:
        watch.is_logged = True
        message = (
            "The event loop stood still for %.3g s. Calls that ran out of time right after it are ignored, by circuit "
            "breaker %r first: it was this process, not a dependency. Look for functions that block the event loop, "
            "and for too little CPU time"
        )
        log_limit(watch).log(logging.WARNING, message, values=(watch.stalls.last_seconds, engine.name))
    return True
