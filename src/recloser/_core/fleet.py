"""The interface between a breaker and a fleet of processes: values, and a protocol for each side.

The breaker's own machine decides about every call. A fleet moves it along the fleet's transitions, and grants probes
while it leads. So the closed path and the rejections of an open breaker are the same with and without a fleet. If the
fleet is unreachable, the breaker decides alone.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from recloser._core.states import TRANSITIONS, CircuitState, Trigger

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from recloser._core.events import Transition
    from recloser._core.settings import Settings
    from recloser._core.tickets import Expiry, Ticket

FOLLOWING = (
    Trigger.FLEET_OPENED,
    Trigger.FLEET_PROBING,
    Trigger.FLEET_CLOSED,
    Trigger.FORCED_OPEN,
    Trigger.DISABLED,
    Trigger.RESET,
)
"""The triggers by which a breaker follows its fleet, in order of preference."""


class Grant(NamedTuple):
    """A probe that the fleet has granted.

    Attributes:
        token: The fleet's generation of this probe; larger than any before.
        passed: How many probes of the fleet have succeeded since it opened.
    """

    token: int
    passed: int


class FleetState(NamedTuple):
    """The state of the fleet.

    Attributes:
        state: The state.
        seconds: The time until the reset timeout, another process's probe or a manual state ends; None if it has no
            end.
        attempt: How many times in a row the fleet has opened.
        reason: The reason given for an action by hand; None if there was none.
        author: Who acted by hand; None if that was not given.
    """

    state: CircuitState
    seconds: float | None
    attempt: int
    reason: str | None
    author: str | None


class FleetMembership(Protocol):
    """The fleet, as one breaker sees it. Only `request_lease()` waits, and nothing raises except `check()`."""

    @property
    def leads(self) -> bool:
        """Whether the fleet decides about probes: it is reachable and not closed."""
        ...

    @property
    def is_overridden(self) -> bool:
        """Whether a person has opened or disabled this breaker alone, so that the fleet does not move it."""
        ...

    @property
    def is_asking(self) -> bool:
        """Whether a caller in this process waits for the lease of a probe."""
        ...

    def request_lease(self) -> Awaitable[Grant | None]:
        """Ask for the lease of a probe; None if another process has it, or if the fleet does not answer in time."""
        ...

    def probe_released(self, token: int) -> None:
        """Record that a probe has ended: its lease is released, unless `probe_settled()` follows in the same step."""
        ...

    def probe_settled(self, token: int, *, passed: bool) -> None:
        """Record the result of a probe that counts; the token is 0 if the fleet has not granted the probe."""
        ...

    def call_counted(self, duration: float) -> None:
        """Record a call that was counted outside the closed path, and how many seconds it took."""
        ...

    def transitioned(self, transition: Transition) -> None:
        """Record a transition that the breaker made itself."""
        ...

    def spread(self, open_seconds: float) -> float:
        """Return the seconds to add to a reset timeout, so that processes without the fleet don't probe together."""
        ...

    def check(self, settings: Settings) -> None:
        """Refuse settings that a fleet does not support.

        Raises:
            ValueError: The message names the setting, its value and the range.
        """
        ...


class LeasePort(Protocol):
    """The fleet's side of a breaker, as the breaker's engine uses it."""

    @property
    def leads(self) -> bool:
        """Whether the fleet grants the probes now."""
        ...

    @property
    def is_asking(self) -> bool:
        """Whether a caller in this process waits for a lease."""
        ...

    def request_probe(self, now: float) -> Ticket | None:
        """Return a call's ticket while the fleet leads, NEEDS_LEASE if it may ask for a probe, None to reject it."""
        ...

    def lease_probe(self) -> Awaitable[Any]:
        """Ask the fleet for the lease of a probe; return its ticket, None if it is not granted, or a rejection."""
        ...

    def settled(self, ticket: Ticket, duration: float, trigger: Trigger | None) -> None:
        """Report a counted call to the fleet: its duration in seconds, and the trigger that it caused, if any."""
        ...

    def expired(self, expiry: Expiry) -> None:
        """Report a timed-out probe to the fleet."""
        ...

    def transitioned(self, transition: Transition) -> Transition:
        """Report a transition that the breaker made itself; return it, with a new `retry_after` if that has changed."""
        ...

    def check(self, settings: Settings) -> None:
        """Refuse settings that a fleet does not support.

        Raises:
            ValueError: The message names the setting, its value and the range.
        """
        ...


@cache
def path(old: CircuitState, new: CircuitState) -> tuple[Trigger, ...]:
    """Return the shortest path through the transition table by which a breaker follows its fleet."""
    paths: dict[CircuitState, tuple[Trigger, ...]] = {old: ()}
    for state in (queue := [old]):
        for trigger in FOLLOWING:
            following = TRANSITIONS[state].get(trigger)
            if following is not None and following not in paths:
                paths[following] = (*paths[state], trigger)
                queue.append(following)
    return paths[new]
