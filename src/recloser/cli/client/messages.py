"""What a dashboard sends, as values. It comes from another process: nothing is taken for what it should be."""

import json
import math
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, cast

from recloser.cli.client.errors import ForeignError

__all__ = [
    "TOTALS",
    "About",
    "FleetEntry",
    "TransitionEntry",
    "parse",
    "read_entries",
    "read_fleet",
    "read_time",
    "understood",
]

_VERSION = 1
TOTALS = ("success_total", "failure_total", "ignored_total", "cancelled_total", "rejected_total")


@contextmanager
def understood() -> Generator[None]:
    """Say what is wrong when a message is none of a dashboard.

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
    """Return the object that a text in JSON is.

    Raises:
        ForeignError: It is none.
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


def _wait(value: object) -> float | None:
    return None if value is None else _number(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.50} is no text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.50} is neither true nor false")
    return value


def read_time(value: object) -> float:
    """Return a time in ISO 8601 as seconds since 1970."""
    return datetime.fromisoformat(_text(value)).timestamp()


@dataclass(frozen=True, slots=True)
class About:
    """What a dashboard says of itself.

    Attributes:
        run: Tells this run of the server from others.
        interval_seconds: The least time between two updates.
        quiet_seconds: The longest time in which a server that lives says nothing.
        breakers_per_update: How many breakers are read for one update.
    """

    run: str = ""
    interval_seconds: float = 1.0
    quiet_seconds: float = math.inf
    breakers_per_update: float = math.inf

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "About":
        """Return what a document says; what only has breakers, as the health of a registry, says nothing."""
        version = told.get("version", _VERSION)
        if version != _VERSION:
            raise ForeignError(f"it speaks version {version!r:.50}, and this recloser {_VERSION}: update it")
        default = cls()
        return cls(
            run=_text(told.get("run", "")),
            interval_seconds=max(0.0, _number(told.get("interval_seconds", default.interval_seconds))),
            quiet_seconds=max(1.0, _number(told["quiet_seconds"])) if "quiet_seconds" in told else math.inf,
            breakers_per_update=max(1.0, _number(told["breakers_per_update"]))
            if "breakers_per_update" in told
            else math.inf,
        )


@dataclass(frozen=True, slots=True)
class FleetEntry:
    """What a dashboard knows of a fleet; `probes` says by breaker which worker makes the probe."""

    connected: bool
    problem: str
    probes: Mapping[str, str]


def read_fleet(told: object) -> FleetEntry | None:
    """Return what is told of a fleet, None if there is none."""
    if told is None:
        return None
    fleet = cast("dict[str, Any]", told)
    probes: dict[str, object] = dict(fleet.get("probes", {}))
    return FleetEntry(
        connected=_flag(fleet["connected"]),
        problem=_text(fleet.get("problem") or ""),
        probes={name: _text(worker) for name, worker in probes.items()},
    )


@dataclass(frozen=True, slots=True)
class TransitionEntry:
    """One change of state.

    Attributes:
        seq: Its number; that of the next one of the same run of the server is the next number.
        at: When it was, in seconds since 1970 on the server's clock.
        breaker: Whose.
        old: The state before.
        new: The state after.
        cause: Why.
    """

    seq: int
    at: float
    breaker: str
    old: str
    new: str
    cause: str

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "TransitionEntry":
        """Return the transition that is told of."""
        breaker, old, new, cause = (_text(told[key]) for key in ("breaker", "old", "new", "cause"))
        return cls(int(_number(told["seq"])), read_time(told["at"]), breaker, old, new, cause)

    def is_about(self, text: str) -> bool:
        """Return whether a text is in the breaker's name or in the cause, in whatever case."""
        return text.casefold() in f"{self.breaker}\n{self.cause}".casefold()


_READ: dict[str, Callable[[object], Any]] = {
    "state": _text,
    "explanation": _text,
    "shadow": _flag,
    "time_in_state_seconds": _number,
    "retry_after": _wait,
    **dict.fromkeys(TOTALS, _number),
}


def read_entries(told: object) -> dict[str, dict[str, Any]]:
    """Return by breaker what is told of it, as far as it is of use here."""
    entries = cast("dict[str, dict[str, Any]]", told)
    return {
        name: {key: read(entry[key]) for key, read in _READ.items() if key in entry} for name, entry in entries.items()
    }
