"""What a fleet store is: the place where breakers of the same name, in many processes, share one state.

This is the interface between the workers (one per process) and the engine (Redis, or a dictionary in tests). A store
only carries out operations; it decides nothing about calls, counts nothing and has no tasks of its own. Three methods
carry everything: `execute` a batch of operations in one round trip, `subscribe` to transitions, `connect` (again).

**The register.** Of each breaker the engine holds one `SharedState`. Its generation is max(stored, the caller's, the
server's clock in microseconds) + 1 after every transition, so that it grows even if the engine loses its data or its
clock steps back, as long as one worker remembers (Lamport clocks; hybrid logical clocks, Kulkarni et al. 2014). Whoever
meets two states believes the one of the larger generation. A breaker of which nothing is stored is closed.

**Every operation** carries what its caller knows, and is answered with the state after it:

1. If the caller knows a newer state whose time is not over, the store takes it over and tells the subscribers. One
   whose time is over is taken for the truth in this operation, and stored only if the operation changes it.
2. A generation more than a day ahead of the server's clock is believed of nobody: `Code.IMPLAUSIBLE`, and the caller
   must forget what it knows.
3. Times stored or known that exceed the caller's policy are cut down to it: a clock that stepped back delays nothing
   for longer than that.
4. A stored record of another type or with impossible values is dropped, one of another protocol version is left alone;
   both answer `Code.DAMAGED` with a `problem` to log, and neither opens or holds open anything. A dropped record is
   reported once, by nature; of another version every operation tells: log it once, and let the breaker act locally.
5. An operation that ran after `not_after_us` changes nothing beyond 1 to 4.

What `Code.DONE` means, and what each operation guarantees:

`Sync`: always. Changes nothing beyond 1 to 4.

`Report`: the calls were counted. Once per `sequence`; only while closed, and for calls of this `closed_generation`.
Opens the fleet if the rule is met on the sums of all workers, and `quorum` of them had a hit in the window.

`Vote`: the vote was counted. One per worker; only while closed, and for this `closed_generation`. Opens the fleet at
`quorum` votes within `open_us` (or a second, if that is longer).

`Acquire`: the probe is the caller's, and `shared.generation` its token. At most one lease is unexpired at any
instant (where workers differ in `lease_us`, whoever calls cuts a lease down to its own). The reset timeout, or the last
lease, must be over; a forced breaker grants it only after its end.

`Renew`: the lease was extended to `lease_us` from now; only with the current token.

`Result`: the result took effect. At most one per token does, and none of an old token; after the lease, only as long as
the server remembers it. The last of `success_threshold`
successes closes; each before leaves half-open, without a lease and in a new generation, so that anybody may take the
next probe; a failure opens for `open_us * multiplier ** trips`; a release leaves open, with its time over.

`Control`: always, whatever the state was. The state says who did it, why and for how long.

The reply to an operation that opened, closed or granted something holds the new state: callers need not wait for the
message. A refused operation changes nothing, not even the time after which a record vanishes.

**Lifetime of records.** Remaining time + 60 s; without an end for manual states without one; evidence twice its window.

**Messages** come to every subscriber of the namespace, on every transition, also one's own. They may be lost, doubled,
late or out of order: apply one if its generation is larger than the known one, and repair by `Sync`.

**Failures.** Whatever goes wrong is a `FleetStoreError`; the connection is dropped then, since a later reply could be
taken for that of an earlier operation. Whether the operations took effect is not known. `execute` fails at once until
`connect` has succeeded again; it never waits longer than the store's `op_timeout_seconds`, and never for a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from recloser.fleet.store.operations import AnyOperation
    from recloser.fleet.store.values import Message, Reply


@runtime_checkable
class FleetStore(Protocol):
    """Where breakers of many processes share their state; the module says what is guaranteed.

    One store serves one worker, in one event loop. All methods may be called by many tasks at once.
    """

    @property
    def op_timeout_seconds(self) -> float:
        """Longest wait of `execute` in seconds."""
        ...

    async def connect(self) -> None:
        """Connect, or connect again after a failure; does nothing while connected.

        May take several times the `op_timeout_seconds`; never called on the way of a protected call.

        Raises:
            FleetStoreError: There is no connection to be had now.
        """
        ...

    async def execute(self, operations: Sequence[AnyOperation]) -> list[Reply]:
        """Carry out operations, in one round trip.

        Operations on different breakers, and reports of one breaker's rules, may be carried out in any order; nothing
        else of one breaker belongs into one batch. A cancelled cancel scope around it waits for the replies (at most
        `op_timeout_seconds`), returns them, and cancels the caller's next step, so that no lease gets lost;
        `Task.cancel()` of asyncio ends it at once, with the connection.

        Args:
            operations: The operations, a tuple or a list.

        Returns:
            One reply per operation, in their order.

        Raises:
            FleetStoreError: Not connected, or anything went wrong; what took effect is not known.
            TypeError: There is something else than an operation.
        """
        ...

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Subscribe to the transitions of all breakers of the namespace: `async with store.subscribe() as messages`.

        The block begins when the subscription stands; messages that came before are not told, so that a `Sync` inside
        the block misses nothing. Messages that cannot be read, or of another version, are left out.

        Returns:
            A context manager of an asynchronous iterator. Both raise `FleetStoreError` when the connection is lost,
            which a dead peer is found out by within seconds.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections, for good: all other methods raise `FleetStoreError` from then on; waits for nobody."""
        ...
