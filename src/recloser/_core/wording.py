"""Small parts of the sentences about rules, causes and states."""

from __future__ import annotations


def plural(number: float, noun: str) -> str:
    """Return the noun in the form that follows the number."""
    return noun if number == 1 else f"{noun}s"


def percent(rate: float) -> str:
    """Return a rate as a percentage."""
    return f"{rate * 100:.3g} %"
