"""The states of a circuit breaker, and the one table of all transitions.

`TRANSITIONS[state][trigger]` is the next state. No other transition can happen. For example, a closed breaker never
becomes half-open, and an open breaker only closes by hand or after a successful probe, its own or one of its fleet.
A probe that has run out of time may still succeed: if nothing has contradicted it since, that closes the breaker too.
The diagram in the documentation is generated from this table.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class CircuitState(StrEnum):
    """The state of a circuit breaker: it decides what happens to a call."""

    CLOSED = "closed"
    """Normal operation: calls go through and their outcomes are counted."""
    OPEN = "open"
    """The dependency fails: calls are rejected until the reset timeout has elapsed."""
    HALF_OPEN = "half_open"
    """The breaker tests whether the dependency has recovered: a few probes go through, all other calls are rejected."""
    FORCED_OPEN = "forced_open"
    """Opened by hand: calls are rejected until a reset, or until the given time has elapsed."""
    DISABLED = "disabled"
    """Switched off by hand: calls go through and are counted, and the breaker never trips, until a reset, or until the
    given time has elapsed."""


class Trigger(StrEnum):
    """The reason for a transition."""

    TRIPPED = "tripped"
    """A trip rule was met."""
    WAIT_ELAPSED = "wait_elapsed"
    """A call arrived after the reset timeout, or the time that `force_open()` was given, had elapsed."""
    PROBES_PASSED = "probes_passed"
    """Enough probes succeeded."""
    PROBE_FAILED = "probe_failed"
    """A probe failed, or it was slow and the trip rule counts slow calls."""
    PROBE_TIMED_OUT = "probe_timed_out"
    """A probe ran longer than the probe timeout."""
    PROBE_PASSED_LATE = "probe_passed_late"
    """A probe that had run out of time succeeded after all, and no later one runs or has failed."""
    FORCED_OPEN = "forced_open"
    """`force_open()` was called."""
    DISABLED = "disabled"
    """`disable()` was called."""
    DISABLE_ENDED = "disable_ended"
    """A call arrived after the time that `disable()` was given had elapsed."""
    RESET = "reset"
    """`reset()` was called."""
    FLEET_OPENED = "fleet_opened"
    """The fleet opened: other processes saw failures, too, or the fleet's probe failed."""
    FLEET_PROBING = "fleet_probing"
    """Another process of the fleet runs the probe."""
    FLEET_CLOSED = "fleet_closed"
    """The fleet's probes succeeded."""


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
                Trigger.PROBE_PASSED_LATE: CircuitState.CLOSED,
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
                Trigger.PROBE_PASSED_LATE: CircuitState.CLOSED,
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
        CircuitState.DISABLED: MappingProxyType({Trigger.DISABLE_ENDED: CircuitState.CLOSED, **_BY_HAND}),
    }
)
