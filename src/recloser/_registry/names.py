"""The names of breakers and groups in error messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MOST_NAMED = 10
"""How many names an error lists."""


def some(names: Iterable[str]) -> str:
    """Return some of the names, and the number of the others, as text."""
    known = sorted(names)
    more = len(known) - MOST_NAMED
    return ", ".join(known[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "") or "there are none"


def similar(name: object, names: Collection[str]) -> str:
    """Return the names that are close to one that is missing, or what else there is, as a part of a sentence."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for this error

    close = get_close_matches(str(name), names, n=3)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"there are {some(names)}; breaker() creates one" if names else "there are none; breaker() creates one"
