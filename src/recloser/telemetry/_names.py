"""What the exporters have in common: the values of labels, and checks of arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser import BreakerRegistry, CircuitState
from recloser.lowlevel import checks

if TYPE_CHECKING:
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


def checked_registry(registry: object) -> BreakerRegistry:
    """Return a registry.

    Raises:
        TypeError: It is no registry.
    """
    if not isinstance(registry, BreakerRegistry):
        raise TypeError(f"registry must be a BreakerRegistry, not {registry!r}")
    return registry


def boundaries_of(durations: object) -> tuple[float, ...]:
    """Return the upper bounds of the buckets of a histogram, none if durations are not measured.

    Args:
        durations: Whether to measure durations; or the bounds of the buckets in seconds.

    Raises:
        TypeError: The argument is neither.
        ValueError: The bounds are not positive, finite and ascending.
    """
    if isinstance(durations, bool):
        return DEFAULT_BOUNDARIES if durations else ()
    wanted = "True, False, or a sequence of bounds in seconds, each finite, > 0 and above the last"
    bounds = checks.bounds("durations", durations, wanted)
    if not bounds:
        raise ValueError(f"durations must be {wanted}, not {durations!r}")
    return bounds
