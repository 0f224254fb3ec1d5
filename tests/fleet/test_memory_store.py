"""The store in memory: its faults, on both event loops."""

import anyio
import anyio.lowlevel
import pytest

from recloser import CircuitState
from recloser.fleet import FleetStoreError
from recloser.fleet.store import Acquire, Code, FleetPolicy, SharedState, Sync, Vote
from recloser.fleet.store.memory import InMemoryServer, InMemoryStore
from recloser.testing import ManualClock

pytestmark = pytest.mark.anyio

SYNC = Sync(name="payments")
ALONE = FleetPolicy(open_us=1_000_000, max_open_us=1_000_000, quorum=1)
SOON_SECONDS = 0.01
PATIENT_SECONDS = 10.0


def vote(name: str = "payments") -> Vote:
    return Vote(name=name, policy=ALONE, worker="ada")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> InMemoryServer:
    return InMemoryServer(clock=clock)


async def state(store: InMemoryStore) -> CircuitState:
    return (await store.execute([SYNC]))[0].shared.state


async def test_the_clock_of_the_breaker_is_the_servers(server: InMemoryServer, clock: ManualClock) -> None:
    async with InMemoryStore(server) as store:
        await store.execute([vote()])
        clock.advance(0.25)
        assert (await store.execute([SYNC]))[0].shared.remaining_us == 750_000


async def test_a_server_that_stopped_is_there_again_with_its_data(server: InMemoryServer) -> None:
    async with InMemoryStore(server) as store, store.subscribe() as messages:
        await store.execute([vote()])
        assert (await anext(messages)).shared.state is CircuitState.OPEN
        server.stop()
        with pytest.raises(FleetStoreError, match="lost"):
            await anext(messages)
        with pytest.raises(FleetStoreError, match="not connected"):
            await store.execute([SYNC])
        with pytest.raises(FleetStoreError, match="no connection"):
            await store.connect()
        with pytest.raises(FleetStoreError, match="no connection"):
            async with store.subscribe():
                pytest.fail("subscribed")
        server.start()
        await store.connect()
        assert await state(store) is CircuitState.OPEN


async def test_a_server_that_stops_in_the_middle_fails_the_operation(server: InMemoryServer) -> None:
    async with InMemoryStore(server, op_timeout_seconds=PATIENT_SECONDS) as store:
        store.delay_seconds = SOON_SECONDS
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop_soon, server)
            with pytest.raises(FleetStoreError, match="the connection was lost"):
                await store.execute([vote()])
        assert server.keyspace.hashes == {}


async def stop_soon(server: InMemoryServer) -> None:
    server.stop()


async def test_a_frozen_server_runs_what_was_sent_when_it_wakes_up(server: InMemoryServer) -> None:
    async with InMemoryStore(server, op_timeout_seconds=SOON_SECONDS) as store:
        server.freeze()
        server.freeze()
        with pytest.raises(FleetStoreError, match="no answer"):
            await store.execute([vote()])
        with pytest.raises(FleetStoreError, match="no answer"):
            await store.connect()
        server.thaw()
        server.thaw()
        await store.connect()
        assert await state(store) is CircuitState.OPEN


async def test_a_frozen_server_grants_no_lease_late(server: InMemoryServer, clock: ManualClock) -> None:
    async with InMemoryStore(server, op_timeout_seconds=SOON_SECONDS) as store:
        known = (await store.execute([vote()]))[0]
        clock.advance(1)
        server.freeze()
        limit = known.now_us + 1_100_000
        with pytest.raises(FleetStoreError):
            await store.execute([Acquire(name="payments", policy=ALONE, not_after_us=limit)])
        clock.advance(1)
        server.thaw()
        await store.connect()
        assert await state(store) is CircuitState.OPEN


async def test_a_slow_way_fails_the_operation_which_is_carried_out(server: InMemoryServer) -> None:
    async with InMemoryStore(server, op_timeout_seconds=SOON_SECONDS) as store, InMemoryStore(server) as other:
        store.delay_seconds = PATIENT_SECONDS
        with pytest.raises(FleetStoreError, match="no answer in time"):
            await store.execute([vote()])
        assert await state(other) is CircuitState.OPEN


async def test_a_lost_reply_hides_what_took_effect(server: InMemoryServer) -> None:
    async with InMemoryStore(server) as store:
        store.lose_replies = True
        with pytest.raises(FleetStoreError, match="the reply was lost"):
            await store.execute([vote()])
        store.lose_replies = False
        await store.connect()
        assert await state(store) is CircuitState.OPEN


async def test_one_worker_may_be_cut_off_alone(server: InMemoryServer) -> None:
    async with InMemoryStore(server) as store, InMemoryStore(server) as other:
        store.cut()
        with pytest.raises(FleetStoreError):
            await store.execute([SYNC])
        with pytest.raises(FleetStoreError):
            await store.connect()
        assert await state(other) is CircuitState.CLOSED
        store.mend()
        await store.connect()
        assert await state(store) is CircuitState.CLOSED


async def test_messages_may_be_lost_doubled_held_and_turned_round(server: InMemoryServer) -> None:
    async with InMemoryStore(server) as store, store.subscribe() as messages:
        store.drop_messages = True
        await store.execute([vote("lost")])
        store.drop_messages, store.double_messages = False, True
        await store.execute([vote("twice")])
        store.double_messages, store.hold_messages = False, True
        await store.execute([vote("one"), vote("two")])
        store.release_messages(in_reverse=True)
        await store.execute([vote("three"), vote("four")])
        store.release_messages()
        store.release_messages()
        names = [(await anext(messages)).name for _ in range(6)]
        assert names == ["twice", "twice", "two", "one", "three", "four"]


async def test_a_message_for_another_namespace_is_not_heard(server: InMemoryServer) -> None:
    one, two = InMemoryStore(server, namespace="a"), InMemoryStore(server, namespace="b")
    async with one, two, two.subscribe() as messages:
        await one.execute([vote("theirs")])
        await two.execute([vote("ours")])
        assert (await anext(messages)).name == "ours"


async def test_messages_are_iterated(server: InMemoryServer) -> None:
    async with InMemoryStore(server) as store, store.subscribe() as messages:
        await store.execute([vote("one"), vote("two")])
        names = []
        async for message in messages:
            names.append(message.name)
            if len(names) == 2:
                break
    assert names == ["one", "two"]


async def test_what_is_evicted_is_the_record_or_the_evidence_of_one_breaker(server: InMemoryServer) -> None:
    async with InMemoryStore(server) as store:
        await store.execute([vote(), Vote(name="payments", policy=FleetPolicy(), worker="ada"), vote("other")])
        server.evict("payments")
        assert await state(store) is CircuitState.OPEN
        server.evict("payments", record=True, evidence=True)
        assert await state(store) is CircuitState.CLOSED
        assert (await store.execute([Sync(name="other")]))[0].shared.state is CircuitState.OPEN


async def test_a_stale_copy_is_a_copy(server: InMemoryServer) -> None:
    async with InMemoryStore(server) as store:
        empty = server.backup()
        await store.execute([vote()])
        server.restore(empty)
        assert (await store.execute([SYNC]))[0].shared == SharedState()
        await store.execute([vote()])
        assert empty.hashes == {}


async def test_a_record_vanishes_with_the_time(server: InMemoryServer) -> None:
    async with InMemoryStore(server) as store:
        await store.execute([vote()])
        server.step_clock(61)
        reply = (await store.execute([SYNC]))[0]
        assert (reply.code, server.keyspace.hashes) == (Code.DONE, {})


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1e18])
async def test_a_clock_steps_by_a_finite_time(server: InMemoryServer, seconds: float) -> None:
    with pytest.raises(ValueError, match="^seconds must be a finite number"):
        server.step_clock(seconds)


def read_late() -> object:
    """Looks like a clock, and returns a coroutine."""
    return anyio.lowlevel.checkpoint()


async def test_what_is_no_clock_or_no_server_is_refused() -> None:
    with pytest.raises(TypeError, match="^clock must be a function"):
        InMemoryServer(clock=5)
    with pytest.raises(TypeError, match="^clock must be a synchronous function"):
        InMemoryServer(clock=anyio.sleep)
    with pytest.raises(TypeError, match="^clock must be synchronous, but returned a coroutine"):
        _ = InMemoryServer(clock=read_late).now_us
    with pytest.raises(TypeError, match="^server must be an InMemoryServer"):
        InMemoryStore("redis://localhost")
    with pytest.raises(ValueError, match="^op_timeout_seconds must be"):
        InMemoryStore(InMemoryServer(), op_timeout_seconds=0)


async def test_a_store_shows_its_channel(server: InMemoryServer) -> None:
    store = InMemoryStore(server, namespace="shop")
    assert repr(store) == "InMemoryStore(channel='cb:shop:ev')"
    assert store.op_timeout_seconds == 0.1
