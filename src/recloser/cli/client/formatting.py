"""Numbers, times and foreign text, as a terminal shows them."""

import unicodedata

__all__ = ["duration", "plural", "printable", "rate", "state_word"]

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_THOUSAND = 1_000
# Control characters drive a terminal, formats turn its text around, and the rest has no glyph or breaks lines.
_HARMFUL = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_MARKS = {"Mn", "Me"}
_MOST_MARKS = 4


def printable(text: str) -> str:
    """Return a text in one line in which whatever could drive a terminal is spelled out, as in a Python literal.

    That are also marks above and below a letter, if it has so many of them that they cover others, or none to stand on.
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


def state_word(state: str) -> str:
    """Return a state as it reads in a sentence."""
    return printable(state.replace("_", " "))


def plural(count: int, one: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a duration in at most two units: `27 s`, `4 min 5 s`, `3 h 2 min`, `2 d 3 h`."""
    whole = max(0, int(min(seconds, 1e12)))
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


def rate(value: float | None) -> str:
    """Return a rate in three digits; what is not zero never reads as zero, and what is not known as a dash."""
    if value is None:
        return "-"
    if value <= 0:
        return "0"
    if value < 0.01:  # noqa: PLR2004 - the least that two digits after the point show
        return "<0.01"
    if value < _THOUSAND:
        return f"{value:.3g}"
    return f"{value / _THOUSAND:.3g}k" if value < _THOUSAND**2 else f"{value / _THOUSAND**2:.3g}M"
