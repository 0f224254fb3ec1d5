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
from recloser.events import Cause, Outage, Snapshot, Trigger
from recloser.lowlevel import hide_messages, public_error
from recloser.registry import BreakerHealth

BreakerEntry: TypeAlias = dict[str, Any]

_TIME_IN_STATE = "time_in_state_seconds"
_RUNNING = {_TIME_IN_STATE: 1, "retry_after": -1}
_TOLERANCE_SECONDS = 0.05
_FIGURES = ("attempt", "cause", "group", "last_error", "outage", "probes_passed", "success_threshold")
MANUAL = "manual"
"""The group of breakers that are forced open or disabled by hand."""
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


def read(breaker: CircuitBreaker, known: BreakerEntry | None = None, *, error_messages: bool = False) -> BreakerEntry:
    """Return a breaker's health and the figures of its cause, as fields, with None where JSON has no number.

    Args:
        breaker: The breaker.
        known: An earlier entry of it; what can't have changed since is taken from there.
        error_messages: Whether to include the whole text of the last error.
    """
    return _read(breaker, known, error_messages=error_messages)[0]


def read_with_text(breaker: CircuitBreaker, *, error_messages: bool = False) -> BreakerEntry:
    """Return what `read()` returns, and the sentences that the breaker has for people."""
    entry, health = _read(breaker, None, error_messages=error_messages)
    cause, outage = health["cause"], health["outage"]
    if cause is not None:
        entry["cause"] = {**cause, **entry["cause"]}
    if outage is not None:
        entry["outage"] = {**outage, **entry["outage"], "cause": {**outage["cause"], **entry["outage"]["cause"]}}
    return entry | {"explanation": _explanation(breaker, error_messages=error_messages)}


def _explanation(breaker: CircuitBreaker, *, error_messages: bool) -> str:
    snapshot, explanation = breaker.snapshot(), breaker.explain()
    while breaker.generation != snapshot.generation:  # another thread has changed the state in between
        snapshot, explanation = breaker.snapshot(), breaker.explain()
    outage = snapshot.outage
    for error in (snapshot.last_error, *(() if outage is None else (outage.last_error, outage.cause.last_error))):
        shown = shown_error(error, error_messages=error_messages)
        explanation = explanation if shown is None else explanation.replace(str(error), shown)
    return explanation


def shown_error(last_error: str | None, *, error_messages: bool) -> str | None:
    """Return what is told about an error: its whole text, or what may be told to anybody."""
    error_type: str | None = getattr(last_error, "error_type", None)
    if last_error is None or error_type is None or error_messages:
        return last_error
    return public_error(error_type, getattr(last_error, "status", None), getattr(last_error, "peer", None))


def shown_cause(cause: Cause, *, error_messages: bool) -> dict[str, object]:
    """Return the fields of a cause, with what is told about its error."""
    return cause.fields() | {"last_error": shown_error(cause.last_error, error_messages=error_messages)}


def _read(
    breaker: CircuitBreaker, known: BreakerEntry | None, *, error_messages: bool
) -> tuple[BreakerEntry, BreakerHealth]:
    """Return an entry, and the health that it is made of."""
    health = breaker.health()
    if known is not None and health["state"] in _LASTING and health["generation"] == known["generation"]:
        figures = {key: known[key] for key in _FIGURES}
    else:
        snapshot = breaker.snapshot()
        while snapshot.generation != health["generation"]:  # another thread has changed the state in between
            snapshot, health = breaker.snapshot(), breaker.health()
        figures = _figures_of(snapshot, error_messages=error_messages)
    if not error_messages:
        hide_messages(health)
    entry: BreakerEntry = {**health, **figures}
    for key in _RUNNING:
        if entry[key] is not None and not math.isfinite(entry[key]):  # a clock may have run beyond all numbers
            entry[key] = None
    return entry, health


def _figures_of(snapshot: Snapshot, *, error_messages: bool) -> dict[str, Any]:
    is_half_open = snapshot.state is CircuitState.HALF_OPEN
    return {
        "attempt": snapshot.attempt,
        "cause": None if snapshot.cause is None else shown_cause(snapshot.cause, error_messages=error_messages),
        "group": _group_of_state(snapshot),
        "last_error": shown_error(snapshot.last_error, error_messages=error_messages),
        "outage": None if snapshot.outage is None else _outage_of(snapshot.outage, error_messages=error_messages),
        "probes_passed": snapshot.probes_passed if is_half_open else None,
        "success_threshold": snapshot.success_threshold if is_half_open else None,
    }


def group_of(cause: Cause) -> str:
    """Return what breakers have in common that opened for one cause: kind of rule, type of error, status and peer."""
    if cause.trigger is Trigger.FORCED_OPEN:
        return MANUAL
    status = None if cause.error_status is None else str(cause.error_status)
    return " ".join(part or "-" for part in (cause.kind or cause.trigger.value, cause.error_type, status, cause.peer))


def _group_of_state(snapshot: Snapshot) -> str | None:
    if snapshot.state in (CircuitState.FORCED_OPEN, CircuitState.DISABLED):
        return MANUAL
    return None if snapshot.outage is None else group_of(snapshot.outage.cause)


def _outage_of(outage: Outage, *, error_messages: bool) -> dict[str, Any]:
    """Return an outage as fields; a client computes how long it has lasted."""
    return {
        "since": outage.since.isoformat(),
        "cause": shown_cause(outage.cause, error_messages=error_messages),
        "errors": dict(outage.errors),
        "last_error": shown_error(outage.last_error, error_messages=error_messages),
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
