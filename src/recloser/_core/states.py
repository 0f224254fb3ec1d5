"""The states of a circuit breaker and the one table that decides which transitions are legal.

`TRANSITIONS[state][trigger]` is the state that follows. What is not in the table cannot happen: there is no way from
closed to half-open, and an open breaker closes only through a successful probe, its own or one of its fleet, or by
hand. The diagram in the documentation is drawn from this table.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class CircuitState(StrEnum):
    """What a circuit breaker does with a call that arrives."""

    CLOSED = "closed"
    """Normal operation: calls go through and their outcomes are counted."""
    OPEN = "open"
    """The dependency fails: calls are rejected until the reset timeout is over."""
    HALF_OPEN = "half_open"
    """Recovery is being tested: a few probes go through, all others are rejected."""
    FORCED_OPEN = "forced_open"
    """Opened by hand: calls are rejected until a reset, or until the time given is over."""
    DISABLED = "disabled"
    """Switched off by hand: calls go through and are counted, and nothing trips, until a reset."""


class Trigger(StrEnum):
    """Why a breaker leaves a state."""

    TRIPPED = "tripped"
    """A trip rule was met."""
    WAIT_ELAPSED = "wait_elapsed"
    """A call arrived after the reset timeout has elapsed."""
    PROBES_PASSED = "probes_passed"
    """Enough probes succeeded."""
    PROBE_FAILED = "probe_failed"
    """A probe failed, or was slow where slow calls count."""
    PROBE_TIMED_OUT = "probe_timed_out"
    """A probe ran longer than the probe timeout."""
    FORCED_OPEN = "forced_open"
    """`force_open()` was called."""
    DISABLED = "disabled"
    """`disable()` was called."""
    RESET = "reset"
    """`reset()` was called."""
    FLEET_OPENED = "fleet_opened"
    """The fleet opened: other processes saw failures too, or their probe failed."""
    FLEET_PROBING = "fleet_probing"
    """Another process of the fleet makes the probe."""
    FLEET_CLOSED = "fleet_closed"
    """The probes of the fleet succeeded."""


_BY_HAND = {
    Trigger.FORCED_OPEN: CircuitState.FORCED_OPEN,
    Trigger.DISABLED: CircuitState.DISABLED,
    Trigger.RESET: CircuitState.CLOSED,
}

TRANSITIONS: Mapping[CircuitState, Mapping[Trigger, CircuitState]] = MappingProxyType(
    {
        CircuitState.CLOSED: MappingProxyType(
            {Trigger.TRIPPED: CircuitState.OPEN, Trigger.FLEET_OPENED: CircuitState.OPEN, **_BY_HAND}
        ),
        CircuitState.OPEN: MappingProxyType(
            {
                Trigger.WAIT_ELAPSED: CircuitState.HALF_OPEN,
                Trigger.FLEET_PROBING: CircuitState.HALF_OPEN,
                Trigger.FLEET_CLOSED: CircuitState.CLOSED,
                **_BY_HAND,
            }
        ),
        CircuitState.HALF_OPEN: MappingProxyType(
            {
                Trigger.PROBES_PASSED: CircuitState.CLOSED,
                Trigger.PROBE_FAILED: CircuitState.OPEN,
                Trigger.PROBE_TIMED_OUT: CircuitState.OPEN,
                Trigger.FLEET_OPENED: CircuitState.OPEN,
                Trigger.FLEET_CLOSED: CircuitState.CLOSED,
                **_BY_HAND,
            }
        ),
        CircuitState.FORCED_OPEN: MappingProxyType(
            {
                Trigger.WAIT_ELAPSED: CircuitState.HALF_OPEN,
                Trigger.FLEET_PROBING: CircuitState.HALF_OPEN,
                **_BY_HAND,
            }
        ),
        CircuitState.DISABLED: MappingProxyType(_BY_HAND),
    }
)
