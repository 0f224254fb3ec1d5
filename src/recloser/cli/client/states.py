"""The states of a breaker: their order and their words."""

from recloser.cli.client.formatting import printable

__all__ = ["BY_HAND_STATES", "CLOSED", "IN_SHADOW", "STATES", "urgency", "word"]

CLOSED = "closed"
STATES = ("open", "forced_open", "half_open", "disabled", CLOSED)
"""The most urgent one first."""

IN_SHADOW = "in shadow mode"
"""What is counted in place of the state of a breaker that is not closed and rejects nothing."""

BY_HAND_STATES = frozenset({"forced_open", "disabled"})
"""The states that only people set."""


def word(state: str) -> str:
    """Return a state as it reads in a sentence."""
    return printable(state.replace("_", " "))


def urgency(state: str) -> float:
    """Return the place of a state in the order; an unknown state comes last."""
    if state == IN_SHADOW:
        return STATES.index(CLOSED) - 0.5
    return STATES.index(state) if state in STATES else len(STATES)
