"""Messages and names: what subscribers receive, and that no name can break out of its key or field."""

import anyio
import anyio.lowlevel
import pytest

from recloser import CircuitState
from recloser.fleet import FleetStoreError
from recloser.fleet._store.wire import Namespace
from recloser.fleet.store import Action, Control, FleetStore, Message, ProbeResult, Result, Sync, Vote
from tests.fleet.contract.kit import (
    ALONE,
    NAME,
    PATIENCE_SECONDS,
    POLICY,
    make_probing,
    next_message,
    read,
    run,
    stores,
)
from tests.fleet.contract.worlds import START_US, World

pytestmark = pytest.mark.anyio

NASTY = [
    "a|b", "a}b", "{a}", "a:s", "a/b", "a\nb", "a\r\nSET x y", "a\0b", "a b", "ä€😀", "%7C", "..", "*", "a" * 200,
    "'; return redis.call('FLUSHALL') --",
]  # fmt: skip


async def test_every_transition_is_told_once_in_order(world: World) -> None:
    async with stores(world, 2) as (one, other), other.subscribe() as messages:
        token = (await make_probing(world, one)).generation
        await run(one, Sync(name=NAME))
        await run(one, Result(name=NAME, policy=ALONE, token=token, result=ProbeResult.FAILED))
        told = [await next_message(messages) for _ in range(3)]
        assert [message.shared.state for message in told] == ["open", "half_open", "open"]
        assert [message.shared.remaining_us for message in told] == [10_000_000, 2_000_000, 20_000_000]
        assert {message.name for message in told} == {NAME}


async def test_a_worker_hears_of_its_own_transitions(world: World) -> None:
    async with stores(world) as (store,), store.subscribe() as messages:
        reply = await run(store, Vote(name=NAME, policy=ALONE, worker="ada"))
        assert await next_message(messages) == Message(NAME, reply.shared)


async def test_a_cancelled_wait_for_a_message_loses_none(world: World) -> None:
    async with stores(world) as (store,), store.subscribe() as messages:
        with anyio.move_on_after(0.01) as scope:
            await anext(messages)
        assert scope.cancelled_caught
        await run(store, Vote(name=NAME, policy=ALONE, worker="ada"))
        assert (await next_message(messages)).shared.state is CircuitState.OPEN


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
async def test_no_name_leaves_its_key_or_its_message(world: World, name: str) -> None:
    async with stores(world) as (store,), store.subscribe() as messages:
        reply = await run(store, Vote(name=name, policy=ALONE, worker="ada"))
        assert await next_message(messages) == Message(name, reply.shared)
        assert [(await run(store, Sync(name=other))).shared.generation for other in ("a", NAME)] == [0, 0]
        key, _ = Namespace("default").keys(name)
        assert key.isascii()
        assert (key.count("{"), key.count("}")) == (1, 1)
        assert key.startswith("cb:{default/")
        assert key.endswith("}:s")


async def test_no_reason_leaves_its_field(world: World) -> None:
    reason, author = "a|b\n\0é😀{}%", "|forced_open|"
    async with stores(world) as (store,), store.subscribe() as messages:
        await run(store, Control(name=NAME, action=Action.DISABLE, author=author, reason=reason))
        told = (await next_message(messages)).shared
        assert (told.author, told.reason, told.state) == (author, reason, CircuitState.DISABLED)
        assert (await read(store)).reason == reason


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"v1",
        b"v1|payments|1|open|1|0|0|",
        b"v1|payments|1|open|1|0|0|||more",
        b"v2|payments|1|open|1|0|0||",
        b"v1|payments|1|melted|1|0|0||",
        b"v1|payments|-1|open|1|0|0||",
        b"v1|payments|1e9|open|1|0|0||",
        b"v1|payments|" + b"9" * 400 + b"|open|1|0|0||",
        b"v1|payments|9007199254740991|open|1|0|0||",
        b"v1|payments|1|open|-1|0|0||",
        b"v1|payments|1|open|9999999999999999|0|0||",
        b"v1|payments|1|open|1|1001|0||",
        b"v1||1|open|1|0|0||",
        b"v1|%ff|1|open|1|0|0||",
        b"v1|pay ments|1|open|1|0|0||",
        b"v1|%70ayments|1|open|1|0|0||",
        b"v1|" + b"a" * 601 + b"|1|open|1|0|0||",
        b"v1|payments|1|open|1|0|0||" + b"x" * 10_000,
    ],
    ids=range(20),
)
async def test_what_is_no_message_is_left_out(world: World, data: bytes) -> None:
    async with stores(world) as (store,), store.subscribe() as messages:
        world.publish(data)
        world.publish(b"v1|payments|7|open|5|1|0|ada|a%7Cb")
        message = await next_message(messages)
        assert message.shared.generation == 7
        assert (message.shared.author, message.shared.reason) == ("ada", "a|b")


async def test_a_message_from_the_far_future_is_healed_by_the_next_sync(world: World) -> None:
    async with stores(world) as (store,), store.subscribe() as messages:
        world.publish(b"v1|payments|9007199254740990|forced_open|-1|0|0||")
        known = (await next_message(messages)).shared
        reply = await run(store, Sync(name=NAME, policy=POLICY, known=known))
        assert (reply.code.name, reply.shared.generation) == ("IMPLAUSIBLE", 0)
        assert reply.now_us == START_US


async def test_a_closed_store_says_so(world: World) -> None:
    async with stores(world) as (store,):
        async with store.subscribe() as messages:
            await store.aclose()
            with anyio.fail_after(PATIENCE_SECONDS), pytest.raises(FleetStoreError):
                await anext(messages)
        for step in (store.connect(), store.execute([Sync(name=NAME)]), subscribed(store)):
            with pytest.raises(FleetStoreError):
                await step
        await store.aclose()


async def subscribed(store: FleetStore) -> None:
    async with store.subscribe():
        pytest.fail("subscribed")


async def test_an_operation_needs_a_connection(world: World) -> None:
    store = world.store()
    with pytest.raises(FleetStoreError, match="not connected"):
        await store.execute([Sync(name=NAME)])
    await store.connect()
    await store.connect()
    await store.execute([Sync(name=NAME)])
    await store.aclose()


async def test_a_cancelled_operation_returns_its_replies_first(world: World) -> None:
    async with stores(world) as (store,):
        with anyio.CancelScope() as scope:
            scope.cancel()
            (reply,) = await store.execute([Vote(name=NAME, policy=ALONE, worker="ada")])
            assert reply.shared.state is CircuitState.OPEN
            await anyio.lowlevel.checkpoint()
            pytest.fail("not cancelled")
        assert (await read(store)).state is CircuitState.OPEN


async def test_a_store_is_a_fleet_store(world: World) -> None:
    assert isinstance(world.store(), FleetStore)


@pytest.mark.parametrize("batch", [Sync(name=NAME), ["x"], None, {Sync(name=NAME)}])
async def test_what_is_no_batch_is_refused(world: World, batch: object) -> None:
    async with stores(world) as (store,):
        with pytest.raises(TypeError, match="operations must"):
            await store.execute(batch)
        assert await store.execute([]) == []
