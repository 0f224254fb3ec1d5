"""Watches event loops: notices when one stood still, so that no dependency is blamed for it.

While breakers are used in an event loop, a beat is due in it ten times a second. If a beat is late, the loop stood
still since the beat before: a function blocked it, or the process was stopped or starved. On asyncio the beat is a
timer. On trio it is a system task; there is none if trio runs with another clock than its own, such as the autojump
clock of tests.

The closed path knows nothing of this. A breaker joins the watch with any call that is off the closed path. Once it has
not been used for a while, it leaves; and after a stall, the calls that begin have to show that they do. In both cases
the next call is led past the closed path, by clearing `engine.live`.
"""

from __future__ import annotations

import math
from contextvars import Context
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary, ref

from recloser._breaker.loop_bound import running_loop
from recloser._core.stalls import AFTERMATH_SECONDS, STALL_SECONDS, Stalls

if TYPE_CHECKING:
    from collections.abc import Callable


BEAT_SECONDS = 0.1
BEATS_OF_A_LOOK = 10
"""After how many beats the watch looks which breakers are still used."""
LOOKS_UNUSED = 30
"""A breaker leaves the watch after so many looks at which it was unused: after half a minute."""


WatchedEngine: TypeAlias = Any
"""A breaker's engine, which imports this module."""


class LoopWatch:
    """Notices when one event loop stands still, while breakers are used in it.

    Args:
        start: Starts the beats: has `beat()` called after each `BEAT_SECONDS`, until `is_beating` is false.
        is_running: Returns whether the loop runs; from any thread.
        read_clock: Returns real monotonic seconds.

    Attributes:
        stalls: The stalls so far.
        is_beating: Whether a beat is due.
        is_logged: Whether the log has told of the latest stall.
    """

    __slots__ = (
        "__weakref__",
        "_beat_at",
        "_beats",
        "_is_running",
        "_lag",
        "_read_clock",
        "_stalls_seen",
        "_start",
        "_starts_until",
        "_uses",
        "is_beating",
        "is_logged",
        "stalls",
    )

    def __init__(
        self,
        start: Callable[[LoopWatch], None],
        is_running: Callable[[], bool],
        read_clock: Callable[[], float] = monotonic,
    ) -> None:
        self._start = start
        self._is_running = is_running
        self._read_clock = read_clock
        self._beat_at = math.inf
        self._beats = 0
        self._lag = 0.0
        self._stalls_seen = 0
        self._starts_until = -math.inf
        self._uses: WeakKeyDictionary[WatchedEngine, _Use] = WeakKeyDictionary()
        self.stalls = Stalls()
        self.is_beating = self.is_logged = False

    def join(self, engine: WatchedEngine) -> None:
        """Watch the loop on behalf of a breaker, until it has not been used for a while."""
        if engine not in self._uses:
            self._uses[engine] = _Use(_calls_of(engine))
        if not self.is_beating:
            self.is_beating = True
            self._beat_at, self._beats = self._read_clock(), 0
            self._start(self)

    def stop(self) -> None:
        """Stop watching; breakers that join start it again."""
        self.is_beating, self._beat_at, self._lag = False, math.inf, 0.0

    def lateness(self) -> float:
        """Return how late the beat is that is due, or how late the one before it was, in seconds; from any thread."""
        return max(self._lag, self._read_clock() - self._beat_at - BEAT_SECONDS) if self._is_running() else 0.0

    def look(self) -> float:
        """Note the stall that has lasted until now, if there is one; return the time."""
        now = self._read_clock()
        if now - self._beat_at - BEAT_SECONDS >= STALL_SECONDS:
            began, self._beat_at, self.is_logged = self._beat_at, now, False
            self.stalls.add(began, now)
            _totals.add(began, now)
        return now

    def beat(self) -> None:
        """Note that the loop runs."""
        due_at = self._beat_at + BEAT_SECONDS
        now = self._beat_at = self.look()
        self._lag = max(0.0, now - due_at)
        if self.stalls.count != self._stalls_seen:
            self._stalls_seen = self.stalls.count
            for engine in list(self._uses):
                self.need_starts(engine, now)
        self._beats += 1
        if self._beats % BEATS_OF_A_LOOK == 0:
            self._look_for_use()
        if not self._uses:
            self.stop()

    def need_starts(self, engine: WatchedEngine, now: float) -> None:
        """Have the starts of calls read for a moment, because a stall has just ended.

        What is without a start may have begun before the stall.
        """
        self._starts_until = now + AFTERMATH_SECONDS
        _lead_past_closed_path(engine)

    def needs_starts(self) -> bool:
        """Return whether the starts of calls are read, because a stall has just ended."""
        return self._read_clock() < self._starts_until

    def _look_for_use(self) -> None:
        for engine, use in list(self._uses.items()):
            if not use.goes_on(_calls_of(engine)):
                del self._uses[engine]
                _lead_past_closed_path(engine)


class _Use:
    """How a breaker was used between two looks."""

    __slots__ = ("_calls", "_unused")

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._unused = 0

    def goes_on(self, calls: int) -> bool:
        self._unused = self._unused + 1 if calls == self._calls else 0
        self._calls = calls
        return self._unused < LOOKS_UNUSED


def _calls_of(engine: WatchedEngine) -> int:
    machine = engine.machine
    calls: int = (
        machine.epoch.successes + machine.epoch.failures + machine.ignored + machine.cancelled + machine.rejected
    )
    return calls


def _lead_past_closed_path(engine: WatchedEngine) -> None:
    """Have the next call of a closed breaker use `admit()` and `start()`, which restores the closed path."""
    engine.is_in_watched_loop = False
    engine.live = engine.watch = None


def can_watch(engine: WatchedEngine) -> bool:
    """Return whether the seconds of a breaker are those of event loops."""
    return engine.now is monotonic


class LoopLag(NamedTuple):
    """How the event loops of this process have kept up, as far as they were watched; times are in seconds.

    Attributes:
        lag: How late the latest beat is or was, of several loops the latest one.
        stalls: How often a loop stood still.
        stalled: For how long, all in all.
        longest: The longest time.
    """

    lag: float
    stalls: int
    stalled: float
    longest: float


_totals = Stalls()
_watches: WeakKeyDictionary[Any, LoopWatch] = WeakKeyDictionary()  # by event loop
_watches_lock = Lock()


def loop_lag() -> LoopLag:
    """Return how the event loops of this process have kept up; from any thread, also while a loop is blocked."""
    with _watches_lock:
        watches = list(_watches.values())
    lag = max((watch.lateness() for watch in watches), default=0.0)
    return LoopLag(lag, _totals.count, _totals.seconds, _totals.longest)


def watch_loop(engine: WatchedEngine) -> LoopWatch | None:
    """Watch the event loop that runs in this thread on behalf of a breaker; return its watch.

    Returns:
        None if no event loop runs in this thread, or if the breaker or trio has a clock of its own.
    """
    engine.is_in_watched_loop = True
    if not can_watch(engine):
        return None
    loop = running_loop()
    if loop is None:
        return None
    with _watches_lock:
        watch = _watches.get(loop)
        if watch is None:
            watch = _watches[loop] = LoopWatch(*_beats_of(loop))
    try:
        watch.join(engine)
    except RuntimeError:  # the event loop is about to end
        return None
    return watch if watch.is_beating else None


def _beats_of(native: Any) -> tuple[Callable[[LoopWatch], None], Callable[[], bool]]:  # noqa: ANN401 - of asyncio or trio
    """Return what starts the beats in the running event loop, and whether it still runs."""
    if not hasattr(native, "call_later"):
        return _start_task, lambda: True  # until its task ends
    loop = ref(native)  # the watch lives as long as the loop, which must not depend on it

    def is_running() -> bool:
        found = loop()
        return found is not None and found.is_running()

    return lambda watch: _start_timer(loop(), watch), is_running


def _start_timer(loop: Any, watch: LoopWatch) -> None:  # noqa: ANN401 - an event loop of asyncio
    def run() -> None:
        try:
            watch.beat()
        finally:  # also if an interrupt arrives there
            if watch.is_beating:
                _start_timer(loop, watch)

    loop.call_later(BEAT_SECONDS, run, context=Context())  # an empty one: that of a call would live as long as the loop


def _start_task(watch: LoopWatch) -> None:
    from trio import lowlevel, sleep  # noqa: PLC0415 - it runs, so it is there

    async def run() -> None:
        try:
            while watch.is_beating:
                await sleep(BEAT_SECONDS)
                watch.beat()
        finally:  # the loop ends
            watch.stop()

    if type(lowlevel.current_clock()).__name__ == "SystemClock":
        lowlevel.spawn_system_task(run, name="recloser: watches the event loop")
    else:
        watch.stop()
