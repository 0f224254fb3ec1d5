"""What the tests of the contract share: one policy, and short ways into each state."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from recloser import CircuitState
from recloser.fleet.store import (
    Acquire,
    AnyOperation,
    Code,
    FleetPolicy,
    FleetRule,
    FleetStore,
    Message,
    Reply,
    Report,
    SharedState,
    Sync,
    Vote,
)
from tests.fleet.contract.worlds import World

NAME = "payments"
OPEN_SECONDS = 10.0
LEASE_SECONDS = 2.0
WINDOW_SECONDS = 60.0
POLICY = FleetPolicy(
    open_us=10_000_000, max_open_us=60_000_000, multiplier=2.0, lease_us=2_000_000, quorum=2, success_threshold=1
)
ALONE = FleetPolicy(open_us=10_000_000, max_open_us=60_000_000, multiplier=2.0, lease_us=2_000_000, quorum=1)
FIVE_FAILURES = FleetRule(window_us=60_000_000, buckets=10, count=5)
HALF_FAILED = FleetRule(window_us=60_000_000, buckets=10, minimum_calls=20, rate=0.5)
PATIENCE_SECONDS = 60.0
"""How long a test waits for what should happen at once, so that a failing test ends."""


async def run(store: FleetStore, operation: AnyOperation) -> Reply:
    (reply,) = await store.execute([operation])
    return reply


async def read(store: FleetStore, known: SharedState | None = None, policy: FleetPolicy = POLICY) -> SharedState:
    reply = await run(store, Sync(name=NAME, known=known or SharedState(), policy=policy))
    assert reply.code is Code.DONE
    return reply.shared


async def make_open(store: FleetStore, policy: FleetPolicy = ALONE) -> SharedState:
    reply = await run(store, Vote(name=NAME, policy=policy, worker="ada"))
    assert (reply.code, reply.shared.state) == (Code.DONE, CircuitState.OPEN)
    return reply.shared


async def make_probing(world: World, store: FleetStore, policy: FleetPolicy = ALONE) -> SharedState:
    await make_open(store, policy)
    world.advance(OPEN_SECONDS)
    return await acquire(store, policy)


async def acquire(store: FleetStore, policy: FleetPolicy = ALONE, known: SharedState | None = None) -> SharedState:
    reply = await run(store, Acquire(name=NAME, policy=policy, known=known or SharedState()))
    assert reply.code is Code.DONE
    return reply.shared


def report(worker: str, sequence: int, hits: int, total: int, **options: object) -> Report:
    fields = {"rule": FIVE_FAILURES, "policy": POLICY, **options}
    return Report(name=NAME, worker=worker, sequence=sequence, hits=hits, total=total, **fields)


@asynccontextmanager
async def stores(world: World, count: int = 1) -> AsyncIterator[tuple[FleetStore, ...]]:
    made = tuple(world.store() for _ in range(count))
    try:
        for store in made:
            await store.connect()
        yield made
    finally:
        for store in made:
            await store.aclose()


async def next_message(messages: AsyncIterator[Message]) -> Message:
    with anyio.fail_after(PATIENCE_SECONDS):
        return await anext(messages)
