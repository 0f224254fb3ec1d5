"""Numbers, times and foreign text, as a terminal shows them. The dashboard's page formats them alike."""

import math
import unicodedata
from datetime import datetime
from decimal import ROUND_HALF_UP, Context

__all__ = [
    "duration",
    "number",
    "percent",
    "plural",
    "printable",
    "rate",
    "seconds",
    "significant",
    "time_of_day",
]

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_LONGEST_SECONDS = 1e12
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
# Control characters drive a terminal, formats turn its text around, and the rest has no glyph or breaks lines.
_HARMFUL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_MARKS = {"Mn", "Me"}
_MOST_MARKS = 4


def printable(text: str) -> str:
    """Return a text in one line, with whatever could drive a terminal spelled out as in a Python literal.

    This includes marks above and below a letter that has too many of them, so that they would cover others, and marks
    without a letter.
    """
    parts: list[str] = []
    marks = _MOST_MARKS
    for each in text:
        category = unicodedata.category(each)
        marks = marks + 1 if category in _MARKS else 0
        parts.append(_spelled(each) if category in _HARMFUL or marks > _MOST_MARKS else each)
    return "".join(parts)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def number(value: float) -> str:
    """Return a count, with commas between thousands."""
    return f"{value:,.0f}"


def plural(count: float, noun: str) -> str:
    """Return a count with its noun, which is given in the singular."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def significant(value: float, digits: int = 3) -> str:
    """Return a number rounded to significant digits, halves up, without zeros at the end."""
    rounded = Context(prec=digits, rounding=ROUND_HALF_UP).create_decimal_from_float(value)
    return f"{rounded.normalize():f}"


def percent(share: float) -> str:
    """Return a share from 0 to 1 as a percentage."""
    return f"{significant(100 * share)} %"


def rate(value: float) -> str:
    """Return a rate in three digits; a rate above zero never reads as zero."""
    if value <= 0:
        return "0"
    if value < 0.01:  # noqa: PLR2004 - the least that two digits after the point show
        return "<0.01"
    rounded = float(significant(value))
    size, unit = next(((size, unit) for size, unit in _UNITS if rounded >= size), (1.0, ""))
    return significant(rounded / size) + unit


def seconds(value: float) -> str:
    """Return a number of seconds as it was configured."""
    return f"{significant(value, 6)} s"


def duration(value: float) -> str:
    """Return a duration in at most two units: `27 s`, `4 min 5 s`, `3 h 2 min`, `2 d 3 h`."""
    whole = max(0, math.floor(min(value, _LONGEST_SECONDS)))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _pair(whole, (_MINUTE, "min"), (1, "s"))
    if whole < _DAY:
        return _pair(whole, (_HOUR, "h"), (_MINUTE, "min"))
    return _pair(whole, (_DAY, "d"), (_HOUR, "h"))


def _pair(whole: int, large: tuple[int, str], small: tuple[int, str]) -> str:
    count, rest = divmod(whole, large[0])
    rest //= small[0]
    return f"{count} {large[1]}" + (f" {rest} {small[1]}" if rest else "")


def time_of_day(at: float) -> str:
    """Return a time in seconds since 1970 as a clock of this machine shows it."""
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")
    except (OSError, OverflowError, ValueError):
        return "--:--:--"
