"""The contract of a fleet store: the place where breakers of the same name, in many processes, share one state.

This is the interface between the workers (one per process) and the engine (Redis, or a dictionary in tests). A store
only carries out operations. It decides nothing about calls, counts nothing and has no tasks of its own. It has four
methods: `execute` carries out a batch of operations in one round trip, `subscribe` delivers transitions, `connect`
connects, or connects again, and `aclose` closes all connections.

**The register.** The engine holds one `SharedState` per breaker. After every transition, its generation is
max(stored, the caller's, the server's clock in microseconds) + 1. So it grows even if the engine loses its data or its
clock steps back, as long as one worker remembers it (Lamport clocks; hybrid logical clocks, Kulkarni et al. 2014). Of
two states, the one of the larger generation counts. A breaker without a stored state is closed.

**Every operation** carries what its caller knows, and its reply holds the state after the operation:

1. If the caller knows a newer state that has not ended, the store adopts it and publishes it to the subscribers. A
   newer state that has ended counts as the current one for this operation; the store saves it only if the operation
   changes it.
2. The store never adopts a generation that is more than a day ahead of the server's clock: `Code.IMPLAUSIBLE`. The
   caller must forget what it knows.
3. Stored or known times that exceed the caller's policy are cut down to it. So a clock that has stepped back delays
   nothing for longer than the policy allows.
4. A stored record of another type or with impossible values is dropped; one of another protocol version is left alone.
   Both answer `Code.DAMAGED` with a `problem` to log, and neither opens the fleet or keeps it open. A record that was
   dropped can be reported only once. A record of another version is reported by every operation: log it once, and let
   the breaker decide alone.
5. An operation that runs after its `not_after_us` changes nothing beyond 1 to 4.

What `Code.DONE` means, and what each operation guarantees:

`Sync`: always done. Changes nothing beyond 1 to 4.

`Report`: the calls were counted. Each `sequence` counts once, only while the fleet is closed, and only for calls of
this `closed_generation`. Opens the fleet if the rule is met on the sums of all workers, and `quorum` of the workers had
a hit in the window.

`Vote`: the vote was counted. Each worker has one vote, only while the fleet is closed, and only for this
`closed_generation`. Opens the fleet once `quorum` workers have voted within `open_us`, or within a second if that is
longer.

`Acquire`: the caller runs the probe, and `shared.generation` is the token of its lease. At most one lease is unexpired
at any instant (where workers differ in `lease_us`, each caller cuts a lease down to its own). The reset timeout, or the
last lease, must have ended. A breaker that was forced open grants the lease only after the given time has ended.

`Renew`: the lease was extended to `lease_us` from now. Needs the current token.

`Result`: the result took effect. At most one result per token does, and none of an old token; after the lease has
ended, only for as long as the server remembers it. The last of `success_threshold` successes closes the fleet. Each
success before it leaves the fleet half-open, without a lease and in a new generation, so that any worker may make the
next probe. A failure opens the fleet for `open_us * multiplier ** trips`. A release leaves it open, with its time
ended.

`Control`: always done, in any state. The state says who did it, why and for how long.

The reply to an operation that opened, closed or granted something holds the new state: callers need not wait for the
message. A refused operation changes nothing, not even the time after which a record expires.

**Lifetime of records.** A record expires 60 s after the end of its state; a manual state without an end never does.
Evidence expires after twice its window.

**Messages** reach every subscriber of the namespace after every transition, also after one that the subscriber itself
has caused. They can be lost, duplicated, late or out of order: apply a message if its generation is larger than the
known one, and make up for lost ones with `Sync`.

**Failures.** Every failure is a `FleetStoreError`. It closes the connection, because a later reply could be taken for
the reply to an earlier operation. It is not known whether the operations took effect. `execute` fails at once until
`connect` has succeeded again. It never waits longer than the store's `op_timeout_seconds`, and never for a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from recloser._core.homes import publish as _publish
from recloser.fleet._store.operations import (
    Acquire,
    AnyOperation,
    Control,
    Renew,
    Report,
    Result,
    Sync,
    Vote,
)
from recloser.fleet._store.redis import RedisStore
from recloser.fleet._store.values import (
    OBSERVER,
    Action,
    Code,
    FleetPolicy,
    FleetRule,
    HitKind,
    Message,
    ProbeResult,
    Reply,
    SharedState,
    microseconds,
    new_worker_id,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

__all__ = [
    "OBSERVER",
    "Acquire",
    "Action",
    "AnyOperation",
    "Code",
    "Control",
    "FleetPolicy",
    "FleetRule",
    "FleetStore",
    "HitKind",
    "Message",
    "ProbeResult",
    "RedisStore",
    "Renew",
    "Reply",
    "Report",
    "Result",
    "SharedState",
    "Sync",
    "Vote",
    "microseconds",
    "new_worker_id",
]


@runtime_checkable
class FleetStore(Protocol):
    """Where breakers of many processes share their state; the page of the module says what it guarantees.

    One store serves one worker, in one event loop. Many tasks may call its methods at once.
    """

    @property
    def op_timeout_seconds(self) -> float:
        """Longest wait of `execute`, in seconds."""
        ...

    async def connect(self) -> None:
        """Connect, or connect again after a failure; do nothing while connected.

        It can take several times `op_timeout_seconds`. No protected call waits for it.

        Raises:
            FleetStoreError: The server can't be reached.
        """
        ...

    async def execute(self, operations: Sequence[AnyOperation]) -> list[Reply]:
        """Carry out operations, in one round trip.

        Operations on different breakers, and reports of one breaker's rules, may be carried out in any order. Nothing
        else of one breaker belongs in the same batch. If a cancel scope around this call is cancelled, the call still
        waits for the replies (at most `op_timeout_seconds`) and returns them, and the caller's next step is cancelled,
        so that no lease gets lost. `Task.cancel()` of asyncio ends the call at once, and the connection with it.

        Args:
            operations: The operations, a tuple or a list.

        Returns:
            One reply per operation, in their order.

        Raises:
            FleetStoreError: Not connected, or any failure; it is not known what took effect.
            TypeError: The batch holds something that is no operation.
        """
        ...

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Subscribe to the transitions of all breakers of the namespace: `async with store.subscribe() as messages`.

        The block begins once the subscription stands, so that a `Sync` inside the block misses nothing. Earlier
        messages are not delivered. Messages that can't be read, or of another version, are left out.

        Returns:
            A context manager of an asynchronous iterator. Both raise `FleetStoreError` if the connection is lost. A
            peer that is dead is noticed within seconds.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections for good, without waiting. All other methods raise `FleetStoreError` from then on."""
        ...


_publish(globals())
