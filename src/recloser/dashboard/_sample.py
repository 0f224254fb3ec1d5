"""What the dashboard sends about one breaker, and what has changed since the last time.

An entry consists of fields: the state, the figures of its cause, the counts, and what happens next. Two of the values
run with the clock, so a client that has them can compute them for any later time. They count as changed only if they
differ from what they were going to be.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from recloser import CircuitBreaker, CircuitState
from recloser.events import Outage, Snapshot
from recloser.registry import BreakerHealth

BreakerEntry: TypeAlias = dict[str, Any]

_TIME_IN_STATE = "time_in_state_seconds"
_RUNNING = {_TIME_IN_STATE: 1, "retry_after": -1}
_TOLERANCE_SECONDS = 0.05
_FIGURES = ("attempt", "cause", "last_error", "outage", "probes_passed", "success_threshold")
_LASTING = (CircuitState.CLOSED, CircuitState.DISABLED)
"""The states in which the figures of a generation stay as they are."""


@dataclass(frozen=True, slots=True)
class Known:
    """What clients know of a breaker.

    Attributes:
        entry: Its fields; never changed in place.
        at: When it was read, in seconds of the event loop's clock.
    """

    entry: BreakerEntry
    at: float

    def entry_at(self, now: float) -> BreakerEntry:
        """Return the entry as it is at another time, if nothing happens to the breaker."""
        return self.entry | {key: _run(self.entry[key], rate * (now - self.at)) for key, rate in _RUNNING.items()}

    def changes(self, entry: BreakerEntry, now: float) -> BreakerEntry:
        """Return the fields of a new entry that clients can neither know nor compute."""
        old = self.entry
        changed = {key: value for key, value in entry.items() if old[key] != value and key not in _RUNNING}
        for key, rate in _RUNNING.items():
            if _differ(entry[key], _run(old[key], rate * (now - self.at))):
                changed[key] = entry[key]
        return changed


def read(breaker: CircuitBreaker, known: BreakerEntry | None = None) -> BreakerEntry:
    """Return a breaker's health and the figures of its cause, as fields, with None where JSON has no number.

    Args:
        breaker: The breaker.
        known: An earlier entry of it; what can't have changed since is taken from there.
    """
    return _read(breaker, known)[0]


def read_with_text(breaker: CircuitBreaker) -> BreakerEntry:
    """Return what `read()` returns, and the sentences that the breaker has for people."""
    entry, health = _read(breaker, None)
    cause, outage = health["cause"], health["outage"]
    if cause is not None:
        entry["cause"] = {**cause, **entry["cause"]}
    if outage is not None:
        entry["outage"] = {**outage, "cause": {**outage["cause"], **entry["outage"]["cause"]}}
    return entry | {"explanation": breaker.explain()}


def _read(breaker: CircuitBreaker, known: BreakerEntry | None) -> tuple[BreakerEntry, BreakerHealth]:
    """Return an entry, and the health that it is made of."""
    health = breaker.health()
    if known is not None and health["state"] in _LASTING and health["generation"] == known["generation"]:
        figures = {key: known[key] for key in _FIGURES}
    else:
        snapshot = breaker.snapshot()
        while snapshot.generation != health["generation"]:  # another thread has changed the state in between
            snapshot, health = breaker.snapshot(), breaker.health()
        figures = _figures_of(snapshot)
    entry: BreakerEntry = {**health, **figures}
    for key in _RUNNING:
        if entry[key] is not None and not math.isfinite(entry[key]):  # a clock may have run beyond all numbers
            entry[key] = None
    return entry, health


def _figures_of(snapshot: Snapshot) -> dict[str, Any]:
    is_half_open = snapshot.state is CircuitState.HALF_OPEN
    return {
        "attempt": snapshot.attempt,
        "cause": None if snapshot.cause is None else snapshot.cause.fields(),
        "last_error": snapshot.last_error,
        "outage": None if snapshot.outage is None else _outage_of(snapshot.outage),
        "probes_passed": snapshot.probes_passed if is_half_open else None,
        "success_threshold": snapshot.success_threshold if is_half_open else None,
    }


def _outage_of(outage: Outage) -> dict[str, Any]:
    """Return an outage as fields; a client computes how long it has lasted."""
    return {
        "since": outage.since.isoformat(),
        "cause": outage.cause.fields(),
        "errors": dict(outage.errors),
        "last_error": outage.last_error,
        "probes": outage.probes,
        "probes_passed": outage.probes_passed,
        "probes_failed": outage.probes_failed,
        "rejected": outage.rejected,
        "would_reject": outage.would_reject,
    }


def dated(entry: BreakerEntry) -> BreakerEntry:
    """Return an entry with the time of day at which the state began, if it says how long the state has lasted."""
    return entry | {"since": _time_of(entry[_TIME_IN_STATE])} if _TIME_IN_STATE in entry else entry


def _time_of(seconds_ago: float | None) -> str | None:
    if seconds_ago is None:
        return None
    try:
        return (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat(timespec="milliseconds")
    except OverflowError:
        return None


def _run(value: float | None, seconds: float) -> float | None:
    return None if value is None else max(0.0, value + seconds)


def _differ(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is not other
    return abs(one - other) > _TOLERANCE_SECONDS
