"""Checks of arguments: each names the argument, the value and the range it must lie in."""

from __future__ import annotations

import math
from numbers import Integral, Real


def seconds(argument: str, value: object, *, zero: bool = False) -> float:
    """Return a duration as a float; it must be finite and above zero, or `zero` may be allowed too."""
    wanted = "a finite number of seconds >= 0" if zero else "a finite number of seconds > 0"
    number = _real(argument, value, wanted)
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def rate(argument: str, value: object) -> float:
    """Return a rate as a float; it must lie above 0 and at most at 1."""
    wanted = "a rate with 0 < rate <= 1"
    number = _real(argument, value, wanted)
    if not 0 < number <= 1:
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def fraction(argument: str, value: object) -> float:
    """Return a fraction as a float; it must lie from 0 to 1."""
    wanted = "a fraction with 0 <= fraction <= 1"
    number = _real(argument, value, wanted)
    if not 0 <= number <= 1:
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def number_at_least(argument: str, value: object, least: float) -> float:
    """Return a finite float that is not below `least`."""
    wanted = f"a finite number >= {least:g}"
    number = _real(argument, value, wanted)
    if not math.isfinite(number) or number < least:
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def count(argument: str, value: object, *, least: int = 1, most: float = math.inf) -> int:
    """Return a count as an int; it must lie from `least` to `most`."""
    wanted = f"an integer >= {least}" if math.isinf(most) else f"an integer from {least} to {most}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{argument} must be {wanted}, not {value!r}")
    number = int(value)
    if not least <= number <= most:
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def one_line(argument: str, value: object) -> str:
    """Return a string with each run of white space, line ends too, as one space."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a string, not {value!r}")
    return " ".join(value.split())


def flag(argument: str, value: object) -> bool:
    """Return a bool; nothing else is taken for one."""
    if not isinstance(value, bool):
        raise TypeError(f"{argument} must be True or False, not {value!r}")
    return value


def _real(argument: str, value: object, wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{argument} must be {wanted}, not {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{argument} must be {wanted}, not {value!r}") from None
