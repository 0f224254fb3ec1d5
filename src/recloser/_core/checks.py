"""Argument checks: each error names the argument, the allowed range and the value.

A check returns the value, as a plain `float`, `int`, `str` or `bool`. A value of the wrong type raises TypeError, a
value out of range raises ValueError: `failures must be an integer >= 1, not 0`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numbers import Integral, Real
    from typing import TypeGuard


def seconds(argument: str, value: object, *, zero: bool = False) -> float:
    """Return a duration in seconds: finite and > 0, or >= 0 with `zero=True`."""
    wanted = "a finite number of seconds >= 0" if zero else "a finite number of seconds > 0"
    return _duration(argument, value, wanted, zero=zero)


def seconds_or_none(argument: str, value: object) -> float | None:
    """Return a duration in seconds, finite and > 0, or None."""
    return None if value is None else _duration(argument, value, "a finite number of seconds > 0, or None")


def limit(argument: str, value: object) -> float:
    """Return a limit in seconds, >= 0; infinity for none."""
    wanted = "a number of seconds >= 0, or math.inf"
    number = _real(argument, value, wanted)
    if not number >= 0:
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def instant(argument: str, value: object) -> float:
    """Return a reading of a clock in seconds: any finite number."""
    wanted = "a finite number of seconds"
    number = _real(argument, value, wanted)
    if not math.isfinite(number):
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def rate(argument: str, value: object, *, zero: bool = False) -> float:
    """Return a rate: above 0 and at most 1, or from 0 to 1 with `zero=True`."""
    wanted = "a rate with 0 <= rate <= 1" if zero else "a rate with 0 < rate <= 1"
    number = _real(argument, value, wanted)
    if not 0 <= number <= 1 or (number == 0 and not zero):
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def fraction(argument: str, value: object) -> float:
    """Return a fraction: from 0 to 1."""
    wanted = "a fraction with 0 <= fraction <= 1"
    number = _real(argument, value, wanted)
    if not 0 <= number <= 1:
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def number_at_least(argument: str, value: object, least: float) -> float:
    """Return a finite number that is at least `least`."""
    wanted = f"a finite number >= {least:g}"
    number = _real(argument, value, wanted)
    if not math.isfinite(number) or number < least:
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def count(argument: str, value: object, *, least: int = 1, most: float = math.inf) -> int:
    """Return a count: an integer from `least` to `most`."""
    wanted = f"an integer >= {least}" if math.isinf(most) else f"an integer from {least} to {most}"
    number = integer(argument, value, wanted)
    if not least <= number <= most:
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def integer(argument: str, value: object, wanted: str = "an integer") -> int:
    """Return an integer of any size; `wanted` describes it in the error."""
    if not _is_integral(value):
        raise TypeError(f"{argument} must be {wanted}, not {value!r}")
    return int(value)


def one_line(argument: str, value: object) -> str:
    """Return a string in which each run of white space, line ends included, is one space."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a string, not {value!r}")
    return " ".join(value.split())


def flag(argument: str, value: object) -> bool:
    """Return a bool; nothing else is accepted, neither 0 nor 1."""
    if not isinstance(value, bool):
        raise TypeError(f"{argument} must be True or False, not {value!r}")
    return value


def bounds(
    argument: str,
    value: object,
    wanted: str = "a sequence of bounds in seconds, each finite, > 0 and above the last",
) -> tuple[float, ...]:
    """Return the bounds of a histogram's buckets in seconds, of which there may be none; `wanted` describes them."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{argument} must be {wanted}, not {value!r}")
    found = tuple(_real(argument, bound, wanted) for bound in value)
    if not all(low < high < math.inf for low, high in pairwise((0.0, *found))):
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return found


def _duration(argument: str, value: object, wanted: str, *, zero: bool = False) -> float:
    number = _real(argument, value, wanted)
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise ValueError(f"{argument} must be {wanted}, not {value!r}")
    return number


def _real(argument: str, value: object, wanted: str) -> float:
    if not _is_real(value):
        raise TypeError(f"{argument} must be {wanted}, not {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{argument} must be {wanted}, not {value!r}") from None


def _is_integral(value: object) -> TypeGuard[Integral]:
    """Return whether a value is an integer of any type, and no bool."""
    if isinstance(value, int):
        return not isinstance(value, bool)
    from numbers import Integral  # noqa: PLC0415 - only numbers of other types need it

    return isinstance(value, Integral)


def _is_real(value: object) -> TypeGuard[Real]:
    """Return whether a value is a real number of any type, and no bool."""
    if isinstance(value, float | int):
        return not isinstance(value, bool)
    from numbers import Real  # noqa: PLC0415 - as above

    return isinstance(value, Real)
