"""Checks of the kit's arguments: each names the argument, the value and the range it must lie in."""

from __future__ import annotations

import math
from numbers import Real


def integer(argument: str, value: int) -> None:
    """Refuse what is no integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} must be an integer, not {value!r}")


def at_least_one(argument: str, value: int) -> None:
    """Refuse what is no integer >= 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} must be an integer >= 1, not {value!r}")
    if value < 1:
        raise ValueError(f"{argument} must be an integer >= 1, not {value!r}")


def seconds(argument: str, value: float) -> None:
    """Refuse what is no finite number of seconds >= 0."""
    _number(argument, value, "a finite number of seconds >= 0")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{argument} must be a finite number of seconds >= 0, not {value!r}")


def rate(argument: str, value: float) -> None:
    """Refuse what does not lie from 0 to 1."""
    _number(argument, value, "a rate with 0 <= rate <= 1")
    if not 0 <= value <= 1:
        raise ValueError(f"{argument} must be a rate with 0 <= rate <= 1, not {value!r}")


def instant(argument: str, value: float) -> float:
    """Return a finite number of seconds as a float, or refuse it."""
    wanted = "a finite number of seconds"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{argument} must be {wanted}, not {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def _number(argument: str, value: object, wanted: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{argument} must be {wanted}, not {value!r}")
