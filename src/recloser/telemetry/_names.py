"""What the exporters have in common: the values of labels, and checks of arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING

from recloser import BreakerRegistry, CircuitState
from recloser.events import CallFailed, CallSucceeded

if TYPE_CHECKING:
    from recloser.events import CallIgnored
    from recloser.registry import Totals

STATES = tuple(state.value for state in CircuitState)

DEFAULT_BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The defaults of the Prometheus clients, in seconds."""


def outcomes(totals: Totals) -> dict[str, int]:
    """Return how many calls ended with each outcome."""
    return {
        "success": totals.success,
        "failure": totals.failure,
        "ignored": totals.ignored,
        "cancelled": totals.cancelled,
        "late": totals.late,
        "leaked": totals.leaked,
    }


def outcome_of(event: CallSucceeded | CallFailed | CallIgnored) -> str:
    """Return the outcome of a call whose duration is known."""
    if isinstance(event, CallSucceeded):
        return "success"
    return "failure" if isinstance(event, CallFailed) else "ignored"


def checked_registry(registry: object) -> BreakerRegistry:
    """Return a registry.

    Raises:
        TypeError: It is no registry.
    """
    if not isinstance(registry, BreakerRegistry):
        raise TypeError(f"registry must be a BreakerRegistry, not {registry!r}")
    return registry


def boundaries_of(durations: object) -> tuple[float, ...] | None:
    """Return the upper bounds of the buckets of a histogram, None if durations are not measured.

    Args:
        durations: Whether to measure durations; or the bounds of the buckets in seconds.

    Raises:
        TypeError: The argument is neither.
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
