"""What the exporters have in common: the same words, and bounds on what becomes a label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING

from recloser import CallFailed, CallSucceeded, CircuitState

if TYPE_CHECKING:
    from recloser import CallIgnored
    from recloser.registry import Totals

STATES = tuple(state.value for state in CircuitState)

DEFAULT_BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Those of the Prometheus clients, in seconds."""


def outcomes(totals: Totals) -> dict[str, int]:
    """Return how many calls ended in which way."""
    return {
        "success": totals.success,
        "failure": totals.failure,
        "ignored": totals.ignored,
        "cancelled": totals.cancelled,
        "late": totals.late,
        "leaked": totals.leaked,
    }


def outcome_of(event: CallSucceeded | CallFailed | CallIgnored) -> str:
    """Return how a call ended whose duration is known."""
    if isinstance(event, CallSucceeded):
        return "success"
    return "failure" if isinstance(event, CallFailed) else "ignored"


def boundaries_of(durations: object) -> tuple[float, ...] | None:
    """Return the upper bounds of a histogram's buckets, None if no durations are wanted.

    Args:
        durations: Whether to measure durations, in seconds; or the bounds of the buckets.

    Raises:
        TypeError: It is neither.
        ValueError: The bounds are not positive, finite and ascending.
    """
    if isinstance(durations, bool):
        return DEFAULT_BOUNDARIES if durations else None
    wanted = "durations must be True, False, or a sequence of bounds in seconds, each finite, > 0 and above the last"
    if isinstance(durations, str) or not isinstance(durations, Sequence):
        raise TypeError(f"{wanted}, not {durations!r}")
    if any(isinstance(bound, bool) or not isinstance(bound, Real) for bound in durations):
        raise TypeError(f"{wanted}, not {durations!r}")
    bounds = tuple(map(float, durations))
    ascending = all(low < high for low, high in zip((0.0, *bounds), (*bounds, math.inf), strict=True))
    if not bounds or not ascending:
        raise ValueError(f"{wanted}, not {durations!r}")
    return bounds
