"""Breakers that open together because calls ran out of time: a sign that this process is slow, not its dependencies."""

from __future__ import annotations

import logging
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

from recloser._breaker.cancellation import is_cancellation
from recloser._breaker.log import LogLimit
from recloser._breaker.loop_watch import can_watch
from recloser._breaker.stalled import is_time_limit

if TYPE_CHECKING:
    from recloser._breaker.loop_watch import WatchedEngine

TOGETHER = 5
"""So many breakers that open within `TOGETHER_SECONDS` are a finding of their own."""
TOGETHER_SECONDS = 1.0


class Openings:
    """The breakers that have just opened because calls ran out of time."""

    __slots__ = ("_latest", "_limit", "_lock")

    def __init__(self) -> None:
        self._lock = Lock()
        self._latest: deque[tuple[str, float]] = deque()
        self._limit = LogLimit()

    def add(self, engine: WatchedEngine, exc: BaseException) -> None:
        """Note that a breaker has opened, and log once that many did at one time.

        Args:
            engine: The breaker's engine.
            exc: What the last call ended with.
        """
        if not can_watch(engine) or not (is_time_limit(exc) or is_cancellation(exc)):
            return
        now, latest = engine.now(), self._latest
        with self._lock:
            while latest and now - latest[0][1] > TOGETHER_SECONDS:
                latest.popleft()
            if all(name != engine.name for name, _ in latest):
                latest.append((engine.name, now))
            if len(latest) < TOGETHER:
                return
            names = ", ".join(repr(name) for name, _ in latest)
            latest.clear()
        message = (
            "%d circuit breakers opened within a second because calls ran out of time: %s. Look at this process and "
            "its network first: so many dependencies rarely hang at one time"
        )
        self._limit.log(logging.WARNING, message, values=(TOGETHER, names))


openings = Openings()
"""Those of this process."""
