"""How fast the demo goes."""

from dataclasses import dataclass

__all__ = ["DEFAULT", "FAST", "NAME", "THRESHOLD", "Pace"]

NAME = "upstream"
"""The breaker's name in all workers."""
THRESHOLD = 5
"""Failures in a row that open a worker's breaker."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The times of a run, in seconds.

    Attributes:
        reset_timeout_seconds: How long the breakers stay open before a probe.
        pause_seconds: How long each worker waits between two calls.
        poll_seconds: How often a worker reads the fleet's state.
        lease_seconds: How long a probe stays exclusive when its worker no longer renews the lease.
    """

    reset_timeout_seconds: float = 2.0
    pause_seconds: float = 0.02
    poll_seconds: float = 0.5
    lease_seconds: float = 2.0


DEFAULT = Pace()
FAST = Pace(reset_timeout_seconds=0.6, poll_seconds=0.2, lease_seconds=1.0)
