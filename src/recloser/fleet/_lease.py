"""How far one process has come with the lease of a breaker's probe: who waits for it, its token, and its result.

Each method is one step, and changes state along the table in `_states.py`. The membership sends the requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser.fleet._requests import EndedProbe
from recloser.fleet._states import IN_FLIGHT, LEASE, MembershipState, MembershipTrigger, after
from recloser.fleet._store.values import ProbeResult

if TYPE_CHECKING:
    from recloser.fleet._requests import LeaseRequest
    from recloser.fleet._store.values import SharedState


class Lease:
    """The lease of one breaker's probe, as one process sees it.

    Attributes:
        state: One of the states of the region `LEASE`.
        request: The caller that waits for the lease; None if there is none.
        token: The token of the lease while this process holds it, else 0.
        result: The result of a probe that is still to be reported; None if there is none.
        deferred: The news of a probe that arrived while a request was in flight.
    """

    __slots__ = ("deferred", "request", "result", "state", "token")

    def __init__(self) -> None:
        self.state: MembershipState = LEASE[0]
        self.request: LeaseRequest | None = None
        self.token: int = 0
        self.result: EndedProbe | None = None
        self.deferred: SharedState | None = None

    @property
    def is_in_flight(self) -> bool:
        """Whether a request is sent and its reply is still to come."""
        return self.state in IN_FLIGHT

    @property
    def is_held(self) -> bool:
        """Whether this process holds the lease."""
        return self.state is MembershipState.GRANTED

    def fire(self, trigger: MembershipTrigger) -> None:
        """Change state as the table says."""
        self.state = after(self.state, trigger)

    def begin_request(self) -> None:
        """Ask for the caller that waits. While a request is in flight, it waits for that reply first."""
        if self.request is not None and not self.request.is_answered:
            self.fire(MembershipTrigger.ASKED)

    def grant(self, token: int) -> None:
        """Hold the lease that the store has granted."""
        self.fire(MembershipTrigger.ACQUIRED)
        self.token = token

    def fence(self, generation: int) -> None:
        """Lose the lease if the fleet has gone on to a later generation."""
        if self.token and generation > self.token:
            self.forget()

    def forget(self) -> None:
        """Lose the lease without a result."""
        self.token = 0
        self.fire(MembershipTrigger.FENCED)

    def release(self, token: int) -> bool:
        """Give the lease back, with a result to be reported; return whether this process held it."""
        if not token or token != self.token:
            return False
        self._end(ProbeResult.RELEASED)
        return True

    def prove(self) -> None:
        """Give the lease back, if it was granted, with the success of a probe that this process made alone."""
        if self.token:
            self._end(ProbeResult.SUCCEEDED, is_proof=True)

    def _end(self, result: ProbeResult, *, is_proof: bool = False) -> None:
        self.result = EndedProbe(self.token, result, is_proof)
        self.token = 0
        self.fire(MembershipTrigger.ENDED)

    def settle(self, token: int, *, passed: bool) -> None:
        """Say of a probe that was just released how it ended."""
        if self.result is not None and self.result.token == token:
            self.result = EndedProbe(token, ProbeResult.SUCCEEDED if passed else ProbeResult.FAILED)

    def release_lost(self, token: int) -> None:
        """Give back a lease that was granted to this process in a reply that never arrived."""
        if token != self.token and (self.result is None or self.result.token != token):
            self.result = EndedProbe(token, ProbeResult.RELEASED)

    def give_up(self) -> None:
        """Let nobody wait for the lease any more: no reply will come."""
        self.fire(MembershipTrigger.UNREACHABLE)
        self.deferred = None
        if self.request is not None:
            self.request.answer(None)
