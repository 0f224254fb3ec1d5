"""What a dashboard sends, as values. It comes from another process: every value is checked before it is used."""

import json
import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, cast

from recloser.cli.client.causes import CauseFields
from recloser.cli.client.errors import ForeignError

__all__ = [
    "TOTALS",
    "UNKNOWN",
    "About",
    "FleetEntry",
    "TransitionEntry",
    "parse",
    "read_entries",
    "read_fleet",
    "read_overview",
    "read_time",
    "understood",
]

_VERSION = 2
TOTALS = ("success_total", "failure_total", "ignored_total", "cancelled_total", "rejected_total")


@contextmanager
def understood() -> Generator[None]:
    """Turn an error about a message that no dashboard sends into a sentence.

    Yields:
        Nothing.

    Raises:
        ForeignError: Something in the block was not as it should be.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ForeignError(f"it sent what is no state of circuit breakers ({type(error).__name__}: {error})") from error


def parse(text: str | bytes) -> dict[str, Any]:
    """Return the object that a text in JSON holds.

    Raises:
        ForeignError: It holds none.
    """
    try:
        data = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ForeignError(f"it sent what is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise ForeignError("it sent JSON that is no object")
    return cast("dict[str, Any]", data)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r:.50} is no finite number")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.50} is no text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.50} is neither true nor false")
    return value


def _shadow(value: object) -> dict[str, float] | None:
    if not isinstance(value, dict | None):
        raise TypeError(f"{value!r:.50} is neither an object nor null")
    figures = cast("dict[str, object] | None", value)
    return None if figures is None else {key: _number(figures.get(key, 0)) for key in _SHADOW_FIGURES}


def _number_or_none(value: object) -> float | None:
    return None if value is None else _number(value)


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def read_time(value: object) -> float:
    """Return a time in ISO 8601 as seconds since 1970."""
    return datetime.fromisoformat(_text(value)).timestamp()


@dataclass(frozen=True, slots=True)
class About:
    """What a dashboard says about itself.

    Attributes:
        run: Distinguishes this run of the server from others.
        interval_seconds: The shortest time between two updates.
        quiet_seconds: The longest time in which a server that works sends nothing.
        breakers_per_update: How many breakers the server reads for one update.
    """

    run: str = ""
    interval_seconds: float = 1.0
    quiet_seconds: float = math.inf
    breakers_per_update: float = math.inf

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> "About":
        """Return what a document says; the health of a registry, which has breakers only, says nothing."""
        version = data.get("version", _VERSION)
        if version != _VERSION:
            raise ForeignError(f"it speaks version {version!r:.50}, and this recloser {_VERSION}: update it")
        default = cls()
        return cls(
            run=_text(data.get("run", "")),
            interval_seconds=max(0.0, _number(data.get("interval_seconds", default.interval_seconds))),
            quiet_seconds=max(1.0, _number(data["quiet_seconds"])) if "quiet_seconds" in data else math.inf,
            breakers_per_update=max(1.0, _number(data["breakers_per_update"]))
            if "breakers_per_update" in data
            else math.inf,
        )


@dataclass(frozen=True, slots=True)
class FleetEntry:
    """What a dashboard says about a fleet; `probes` has by breaker the worker that runs the probe."""

    connected: bool
    problem: str | None
    probes: Mapping[str, str]


def read_fleet(value: object) -> FleetEntry | None:
    """Return what a message says about a fleet, None if there is none."""
    if value is None:
        return None
    fleet = cast("dict[str, Any]", value)
    probes: dict[str, object] = dict(fleet.get("probes", {}))
    return FleetEntry(
        connected=_flag(fleet["connected"]),
        problem=_text_or_none(fleet.get("problem")),
        probes={name: _text(worker) for name, worker in probes.items()},
    )


def _window(value: object) -> dict[str, float] | None:
    if value is None:
        return None
    window = cast("dict[str, object]", value)
    size = "calls" if "calls" in window else "seconds"
    return {size: _number(window[size])}


_CAUSE: dict[str, Callable[[object], Any]] = {
    "trigger": _text,
    "kind": _text_or_none,
    "observed": _number_or_none,
    "threshold": _number_or_none,
    "calls": _number_or_none,
    "counted": _number_or_none,
    "window": _window,
    "slow_call_seconds": _number_or_none,
    "last_error": _text_or_none,
    "reason": _text_or_none,
    "author": _text_or_none,
    "for_seconds": _number_or_none,
}
_FIGURES: dict[str | None, tuple[str, ...]] = {
    "probes_passed": ("observed", "threshold"),
    "consecutive_failures": ("observed", "threshold"),
    "failure_count": ("observed", "threshold", "window"),
    "failure_rate": ("observed", "threshold", "calls", "counted"),
    "slow_call_rate": ("observed", "threshold", "calls", "counted", "slow_call_seconds"),
}
"""What a cause has to have, by its kind or trigger."""


def _cause(value: object) -> CauseFields:
    given = cast("dict[str, object]", value)
    cause = {key: read(given.get(key)) for key, read in _CAUSE.items()}
    for key in _FIGURES.get(cause["kind"] or cause["trigger"], ()):
        if cause[key] is None:
            raise TypeError(f"a cause of this kind has no {key}")
    return cause


def _cause_or_none(value: object) -> CauseFields | None:
    return None if value is None else _cause(value)


def _outage_or_none(value: object) -> dict[str, Any] | None:
    if value is None:
        return None
    outage = cast("dict[str, Any]", value)
    errors = cast("dict[str, object]", outage["errors"])
    return {
        "since": read_time(outage["since"]),
        "cause": _cause(outage["cause"]),
        "errors": {_text(kind): _number(times) for kind, times in errors.items()},
        **{key: _number(outage[key]) for key in ("probes_failed", "rejected")},
    }


@dataclass(frozen=True, slots=True)
class TransitionEntry:
    """One change of state.

    Attributes:
        seq: Its number; the next transition of the same run of the server has the next number.
        at: When it happened, in seconds since 1970 on the server's clock.
        breaker: The breaker's name.
        old: The state before.
        new: The state after.
        cause: Why it happened.
    """

    seq: int
    at: float
    breaker: str
    old: str
    new: str
    cause: CauseFields

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> "TransitionEntry":
        """Return the transition that a message describes."""
        breaker, old, new = (_text(data[key]) for key in ("breaker", "old", "new"))
        return cls(int(_number(data["seq"])), read_time(data["at"]), breaker, old, new, _cause(data["cause"]))


_SHADOW_FIGURES = ("would_reject", "failed", "succeeded")
_READ: dict[str, Callable[[object], Any]] = {
    "state": _text,
    "cause": _cause_or_none,
    "group": _text_or_none,
    "last_error": _text_or_none,
    "rule": _text,
    "shadow": _shadow,
    "outage": _outage_or_none,
    "attempt": _number,
    "failure_count": _number,
    "failure_rate": _number_or_none,
    "slow_call_rate": _number_or_none,
    "probes_in_flight": _number,
    "probes_passed": _number_or_none,
    "success_threshold": _number_or_none,
    "time_in_state_seconds": _number_or_none,
    "retry_after": _number_or_none,
    **dict.fromkeys(TOTALS, _number),
}
UNKNOWN: dict[str, Any] = dict.fromkeys(_READ)
"""The entry of a breaker about which nothing is known."""


def read_entries(value: object) -> dict[str, dict[str, Any]]:
    """Return by breaker the fields that are used here."""
    entries = cast("dict[str, dict[str, Any]]", value)
    return {
        name: {key: read(entry[key]) for key, read in _READ.items() if key in entry} for name, entry in entries.items()
    }


_TRIP: dict[str, Callable[[object], Any]] = {
    "kind": _text_or_none,
    "trigger": _text,
    "error_type": _text_or_none,
    "error_status": _number_or_none,
    "peer": _text_or_none,
}


def _time_or_none(value: object) -> float | None:
    return None if value is None else read_time(value)


def _trip(value: object) -> dict[str, Any]:
    trip = cast("dict[str, object]", value)
    return {key: read(trip[key]) for key, read in _TRIP.items()}


_GROUP: dict[str, Callable[[object], Any]] = {
    "id": _text,
    "trip": _trip,
    "since": read_time,
    "count": _number,
    "breaker": _text_or_none,
    "state": _text_or_none,
    "closed": _number,
    "closing_since": _time_or_none,
}
_LAST: dict[str, Callable[[object], Any]] = {
    "trip": _trip,
    "since": read_time,
    "ended_at": read_time,
    "count": _number,
}
_FORGOTTEN: dict[str, Callable[[object], Any]] = {
    "breaker": _text,
    "state": _text,
    "since": read_time,
    "author": _text_or_none,
}


def _fields(value: object, members: Mapping[str, Callable[[object], Any]]) -> dict[str, Any]:
    given = cast("dict[str, object]", value)
    return {key: read(given[key]) for key, read in members.items()}


def read_overview(value: object) -> dict[str, Any] | None:
    """Return what a message says about all breakers together, with times in seconds since 1970; None if nothing."""
    if value is None:
        return None
    overview = cast("dict[str, Any]", value)
    counts = cast("dict[str, object]", overview["counts"])
    last = overview["last_outage"]
    return {
        "total": _number(overview["total"]),
        "counts": {_text(state): _number(count) for state, count in counts.items()},
        "groups": [_fields(group, _GROUP) for group in overview["groups"]],
        "other_causes": _number(overview["other_causes"]),
        "last_outage": None if last is None else _fields(last, _LAST),
        "forgotten": [_fields(each, _FORGOTTEN) for each in overview["forgotten"]],
    }
