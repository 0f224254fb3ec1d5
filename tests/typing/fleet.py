"""What type checkers must say of fleets: both stores are stores, and operations and replies have their types."""

from collections.abc import AsyncIterator
from typing import assert_type

from recloser.fleet.store import (
    AnyOperation,
    Code,
    FleetPolicy,
    FleetStore,
    Message,
    RedisStore,
    Reply,
    SharedState,
    Sync,
    Vote,
)
from recloser.fleet.store.memory import InMemoryServer, InMemoryStore

stores: list[FleetStore] = [RedisStore("redis://localhost"), InMemoryStore(InMemoryServer())]


async def use(store: FleetStore) -> None:
    batch: list[AnyOperation] = [Sync(name="a"), Vote(name="a", policy=FleetPolicy(), worker="w")]
    replies = await store.execute(batch)
    assert_type(replies, list[Reply])
    assert_type(replies[0].shared, SharedState)
    assert_type(replies[0].code, Code)
    async with store.subscribe() as messages:
        assert_type(messages, AsyncIterator[Message])
