"""What is told of one breaker, and what has changed of it since it was told.

Two values run with the clock, so that whoever has been told them knows them at any later time: they count as changed
only if they are not what they were going to be. The explanation is a sentence with such values in it.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from recloser import CircuitBreaker

BreakerEntry: TypeAlias = dict[str, Any]

_RUNNING = {"time_in_state_seconds": 1, "retry_after": -1}
_TOLERANCE_SECONDS = 0.05
EXPLANATION = "explanation"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a breaker.

    Attributes:
        entry: Its health and the explanation; never changed in place.
        at: When it was read, in seconds of the event loop's clock.
        explained_at: When the explanation was.
    """

    entry: BreakerEntry
    at: float
    explained_at: float

    def entry_at(self, now: float) -> BreakerEntry:
        """Return the entry as it is at another time, if nothing happens to the breaker."""
        return self.entry | {key: _run(self.entry[key], way * (now - self.at)) for key, way in _RUNNING.items()}

    def changes(self, entry: BreakerEntry, now: float) -> BreakerEntry:
        """Return what of a new entry is not as it was known, or not as it was going to be."""
        old = self.entry
        changed = {key: value for key, value in entry.items() if old[key] != value and key not in _RUNNING}
        for key, way in _RUNNING.items():
            if _differ(entry[key], _run(old[key], way * (now - self.at))):
                changed[key] = entry[key]
        return changed


def read(breaker: CircuitBreaker) -> BreakerEntry:
    """Return a breaker's health, without its explanation, with None where JSON has no number."""
    entry = breaker.health()
    for key in _RUNNING:
        if entry[key] is not None and not math.isfinite(entry[key]):  # a clock may have run beyond all numbers
            entry[key] = None
    return entry


def read_whole(breaker: CircuitBreaker) -> BreakerEntry:
    """Return a breaker's health and its explanation."""
    return read(breaker) | {EXPLANATION: breaker.explain()}


def is_news(changed: BreakerEntry) -> bool:
    """Return whether the explanation reads differently now, but for times in it: totals are not in it."""
    return any(not key.endswith("_total") for key in changed)


def _run(value: float | None, seconds: float) -> float | None:
    return None if value is None else max(0.0, value + seconds)


def _differ(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is not other
    return abs(one - other) > _TOLERANCE_SECONDS
