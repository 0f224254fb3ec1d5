"""The states of a membership and the one table that decides which transitions are legal.

A membership is in three states at a time, one of each region:

- its *authority* says whom the breaker follows: the fleet, or a person who acted on this breaker alone;
- its *record* says whether the store's record of the breaker can be used;
- its *lease* says how far this process has come with the lease of a probe.

`TRANSITIONS[state][trigger]` is the state that follows. A trigger without a row changes nothing: a reply that says
"usable" ends the state of a damaged record, and no other. The diagram in the documentation is drawn from this table.

What a membership still has to send is no state but data: see `Pending` in `requests.py`.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class MembershipState(StrEnum):
    """One of the three states that a membership is in."""

    FOLLOWING = "following"
    """The breaker goes where the fleet goes, and the fleet grants its probes."""
    REALIGNING = "realigning"
    """The breaker was reset alone. As soon as its step is over it goes where the fleet is."""
    OVERRIDDEN = "overridden"
    """A person has opened or disabled this breaker alone. The fleet does not move it."""

    READABLE = "readable"
    """The store's record can be used, as far as this process knows."""
    DAMAGED = "damaged"
    """The store's record is of another protocol version. The breaker decides alone."""

    IDLE = "idle"
    """This process has no lease and asks for none."""
    ASKING = "asking"
    """A caller waits for the lease; the request is not sent yet."""
    ACQUIRING = "acquiring"
    """A caller waits for the lease; the request is sent."""
    ABANDONED = "abandoned"
    """The request is sent, and its caller has given up. A lease that is granted now goes back at once."""
    PROVING = "proving"
    """A request is sent because the breaker has closed on its own evidence while the store was unreachable."""
    GRANTED = "granted"
    """This process holds the lease; its token is the generation of the fleet."""


class MembershipTrigger(StrEnum):
    """Why a membership leaves a state."""

    OVERRIDE = "override"
    """`force_open()` or `disable()` was called on this breaker alone."""
    RESET = "reset"
    """`reset()` was called on this breaker alone, or it closed after it had been overridden."""
    REALIGNED = "realigned"
    """The breaker went where the fleet is."""
    UNUSABLE = "unusable"
    """The store answered that its record is of another protocol version."""
    USABLE = "usable"
    """The store answered from a record that can be used."""

    ASKED = "asked"
    """A caller needs the lease."""
    SENT = "sent"
    """The request for the lease was sent."""
    GAVE_UP = "gave_up"
    """The caller was cancelled, or has waited for as long as the store may take."""
    PROOF_SENT = "proof_sent"
    """A request for the lease was sent to prove that the dependency works."""
    ACQUIRED = "acquired"
    """The store granted the lease."""
    REFUSED = "refused"
    """The store refused the lease."""
    UNREACHABLE = "unreachable"
    """The store became unreachable; no reply will come."""
    ENDED = "ended"
    """The probe ended, or nobody uses its lease."""
    FENCED = "fenced"
    """The fleet went on without this probe: a later generation became known."""


State = MembershipState
Trigger = MembershipTrigger

AUTHORITY: Final = (State.FOLLOWING, State.REALIGNING, State.OVERRIDDEN)
"""The region that says whom the breaker follows; the first state is the initial one."""
RECORD: Final = (State.READABLE, State.DAMAGED)
"""The region that says whether the store's record can be used; the first state is the initial one."""
LEASE: Final = (State.IDLE, State.ASKING, State.ACQUIRING, State.ABANDONED, State.PROVING, State.GRANTED)
"""The region that says how far this process has come with a lease; the first state is the initial one."""

IN_FLIGHT: Final = frozenset({State.ACQUIRING, State.ABANDONED, State.PROVING})
"""States of the lease in which a request is sent and its reply is still to come."""

_BY_HAND = {Trigger.OVERRIDE: State.OVERRIDDEN, Trigger.RESET: State.REALIGNING}
_REPLIES = {Trigger.ACQUIRED: State.GRANTED, Trigger.REFUSED: State.IDLE, Trigger.UNREACHABLE: State.IDLE}

TRANSITIONS: Final[Mapping[State, Mapping[Trigger, State]]] = MappingProxyType(
    {
        State.FOLLOWING: MappingProxyType(_BY_HAND),
        State.REALIGNING: MappingProxyType({Trigger.REALIGNED: State.FOLLOWING, Trigger.OVERRIDE: State.OVERRIDDEN}),
        State.OVERRIDDEN: MappingProxyType({Trigger.RESET: State.REALIGNING}),
        State.READABLE: MappingProxyType({Trigger.UNUSABLE: State.DAMAGED}),
        State.DAMAGED: MappingProxyType({Trigger.USABLE: State.READABLE}),
        State.IDLE: MappingProxyType({Trigger.ASKED: State.ASKING, Trigger.PROOF_SENT: State.PROVING}),
        State.ASKING: MappingProxyType(
            {Trigger.SENT: State.ACQUIRING, Trigger.GAVE_UP: State.IDLE, Trigger.UNREACHABLE: State.IDLE}
        ),
        State.ACQUIRING: MappingProxyType({**_REPLIES, Trigger.GAVE_UP: State.ABANDONED}),
        State.ABANDONED: MappingProxyType(_REPLIES),
        State.PROVING: MappingProxyType(_REPLIES),
        State.GRANTED: MappingProxyType({Trigger.ENDED: State.IDLE, Trigger.FENCED: State.IDLE}),
    }
)


def after(state: MembershipState, trigger: MembershipTrigger) -> MembershipState:
    """Return the state that a trigger leads to: the same one if the table has no row for it."""
    return TRANSITIONS[state].get(trigger, state)
