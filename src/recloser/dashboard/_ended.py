"""The outages of this process that are over, in bounded number."""

from collections import deque
from threading import Lock
from typing import Any, TypeAlias

from recloser import StateChanged
from recloser.dashboard._sample import group_of, shown_cause

MOST_OUTAGES = 500
MOST_PER_BREAKER = 20

OutageFields: TypeAlias = dict[str, Any]


class EndedOutages:
    """Listens to transitions, in any thread, and keeps the outages that they end; those in shadow mode don't count.

    Args:
        error_messages: Whether to keep the whole texts of errors.
    """

    def __init__(self, *, error_messages: bool = False) -> None:
        self._error_messages = error_messages
        self._lock = Lock()
        self._ended: deque[OutageFields] = deque(maxlen=MOST_OUTAGES)

    def __call__(self, event: StateChanged) -> None:
        """Keep the outage that a transition ends."""
        outage = event.outage
        if outage is None or outage.ended_by is None or event.snapshot.shadow:
            return
        fields: OutageFields = {
            "breaker": event.breaker,
            "group": group_of(outage.cause),
            "since": outage.since.isoformat(),
            "ended_at": event.at.isoformat(),
            "seconds": outage.seconds,
            "cause": shown_cause(outage.cause, error_messages=self._error_messages),
            "ended_by": outage.ended_by.trigger.value,
            "errors": dict(outage.errors),
            "probes_failed": outage.probes_failed,
            "probes_passed": outage.probes_passed,
            "rejected": outage.rejected,
        }
        with self._lock:
            own = [each for each in self._ended if each["breaker"] == event.breaker]
            if len(own) >= MOST_PER_BREAKER:
                self._ended.remove(own[0])
            self._ended.append(fields)

    def all(self) -> list[OutageFields]:
        """Return the outages, the one that ended first first."""
        with self._lock:
            return list(self._ended)
