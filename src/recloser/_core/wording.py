"""Small pieces of the sentences in which rules, causes and states are told."""

from __future__ import annotations


def plural(number: float, noun: str) -> str:
    """Return the noun as it stands after the number."""
    return noun if number == 1 else f"{noun}s"


def percent(rate: float) -> str:
    """Return a rate as a percentage."""
    return f"{rate * 100:.3g} %"
