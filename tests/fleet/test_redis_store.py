"""The store in Redis: what goes wrong between a worker and its server, and that no secret gets out."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from redis import Redis
from redis.crc import key_slot

from recloser import CircuitState
from recloser.fleet import FleetStoreError
from recloser.fleet._store import scripts
from recloser.fleet._store.connection import RedisEndpoint
from recloser.fleet._store.scripts import LuaScript
from recloser.fleet._store.wire import Namespace
from recloser.fleet.store import Acquire, Code, FleetPolicy, RedisStore, SharedState, Sync, Vote
from tests.fleet.adjustable import AdjustableStore
from tests.fleet.proxy import Proxy, proxy_to
from tests.fleet.server import RedisServer

pytestmark = pytest.mark.anyio

SYNC = Sync(name="payments")
ALONE = FleetPolicy(open_us=1, max_open_us=1_000_000, quorum=1)
VOTE = Vote(name="payments", policy=ALONE, worker="ada")
SECRET_BALLOT = Vote(name="payments", policy=FleetPolicy(), worker="ada")
"""Opens nothing, so that nothing is published."""
PATIENT_SECONDS = 20.0
IMPATIENT_SECONDS = 0.05


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def connected(url: str, **options: object) -> AsyncIterator[AdjustableStore]:
    patient = {"op_timeout_seconds": PATIENT_SECONDS, "connect_timeout_seconds": PATIENT_SECONDS}
    async with AdjustableStore(url, **{**patient, **options}) as store:
        yield store


@pytest.fixture
async def proxy(redis_server: RedisServer, admin: Redis) -> AsyncIterator[Proxy]:
    assert admin.ping()
    async with proxy_to(redis_server.socket) as proxy:
        yield proxy


def through(proxy: Proxy) -> str:
    return f"redis://127.0.0.1:{proxy.port}"


async def fails(store: RedisStore) -> str:
    """Returns why an operation fails, after which nothing works until the store is connected again."""
    with pytest.raises(FleetStoreError) as caught:
        await store.execute([SYNC])
    with pytest.raises(FleetStoreError, match="not connected"):
        await store.execute([SYNC])
    assert caught.value.__cause__ is None
    return caught.value.reason


async def test_a_server_that_is_not_there_is_told_at_once() -> None:
    store = RedisStore("redis://127.0.0.1:1")
    with pytest.raises(FleetStoreError, match="ConnectionError: Error"):
        await store.connect()
    with pytest.raises(FleetStoreError, match="ConnectionError"):
        async with store.subscribe():
            pytest.fail("subscribed")


async def test_a_frozen_server_costs_the_timeout_and_no_more(own_server: RedisServer) -> None:
    async with connected(own_server.url) as store:
        own_server.freeze()
        store.time_out_after(IMPATIENT_SECONDS)
        try:
            began = time.monotonic()
            assert "Timeout" in await fails(store)
            assert time.monotonic() - began < PATIENT_SECONDS / 10
            with pytest.raises(FleetStoreError, match="Timeout"):
                await store.connect()
        finally:
            own_server.thaw()
        store.time_out_after(PATIENT_SECONDS)
        await store.connect()
        assert (await store.execute([SYNC]))[0].code is Code.DONE


async def test_a_server_that_wakes_up_grants_no_lease_to_those_who_gave_up(own_server: RedisServer) -> None:
    async with connected(own_server.url) as patient, connected(own_server.url) as prober:
        prober.time_out_after(IMPATIENT_SECONDS)
        known = (await patient.execute([VOTE]))[0]
        own_server.freeze()
        try:
            late = Acquire(name="payments", policy=ALONE, not_after_us=known.now_us + 1, known=known.shared)
            with pytest.raises(FleetStoreError):
                await prober.execute([late])
        finally:
            own_server.thaw()
        (reply,) = await patient.execute([SYNC])
        assert reply.shared.state is CircuitState.OPEN


async def test_closing_waits_for_no_frozen_server(own_server: RedisServer) -> None:
    store = RedisStore(own_server.url, op_timeout_seconds=PATIENT_SECONDS)
    await store.connect()
    async with store.subscribe():
        own_server.freeze()
        try:
            with anyio.fail_after(PATIENT_SECONDS / 2):
                await store.aclose()
        finally:
            own_server.thaw()


async def test_a_killed_server_is_found_again_when_it_is_back(own_server: RedisServer) -> None:
    async with connected(own_server.url) as store:
        opened = (await store.execute([VOTE]))[0].shared
        async with store.subscribe() as messages:
            own_server.restart()
            with pytest.raises(FleetStoreError):
                await anext(messages)
        assert "Connection" in await fails(store)
        await store.connect()
        (reply,) = await store.execute([Sync(name="payments", known=opened)])
        assert reply.shared == opened


async def test_a_server_that_keeps_its_data_keeps_the_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with RedisServer(tmp_path_factory.mktemp("aof"), *options) as server:
        async with connected(server.url) as store:
            opened = (await store.execute([VOTE]))[0].shared
            server.restart()
            await fails(store)
            await store.connect()
            (reply,) = await store.execute([SYNC])
            assert (reply.shared.state, reply.shared.generation) == (CircuitState.OPEN, opened.generation)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("REPLICAOF 127.0.0.1 1", "READONLY|ReadOnlyError|read only"),
        ("CONFIG SET maxmemory 1", "OOM|OutOfMemoryError"),
        ("CONFIG SET min-replicas-to-write 1", "NOREPLICAS|Not enough good replicas"),
        ("CONFIG SET requirepass secret", "Authentication"),
        ("ACL SETUSER default -@scripting", "NoPermissionError|no permissions"),
        ("ACL SETUSER default resetkeys ~other:*", "permission"),
        ("ACL SETUSER default resetchannels", "can't publish"),
    ],
)
async def test_a_server_that_refuses_is_a_store_error(own_server: RedisServer, command: str, reason: str) -> None:
    async with connected(own_server.url) as store:
        with own_server.client() as admin:
            admin.execute_command(*command.split())
            if "requirepass" in command:  # the connection that there is remains logged in
                await refuses_newcomers(own_server, reason)
                return
            with pytest.raises(FleetStoreError, match=reason):
                await store.execute([SECRET_BALLOT if "memory" in command else VOTE])
        with pytest.raises(FleetStoreError, match="not connected"):
            await store.execute([SYNC])


async def refuses_newcomers(server: RedisServer, reason: str) -> None:
    store = RedisStore(server.url, op_timeout_seconds=PATIENT_SECONDS)
    with pytest.raises(FleetStoreError, match=reason):
        await store.connect()


async def test_a_server_that_is_busy_with_a_script_is_a_store_error(own_server: RedisServer) -> None:
    with own_server.client() as admin, own_server.client() as endless:
        admin.config_set("lua-time-limit", 1)
        async with connected(own_server.url) as store:
            connection = endless.connection_pool.get_connection()
            connection.send_command("EVAL", "while true do end", 0)
            with pytest.raises(FleetStoreError, match="(?i)busy"):
                await until_it_fails(store)
            admin.script_kill()
            connection.disconnect()


async def until_it_fails(store: RedisStore) -> None:
    while True:  # the endless script may begin after the first operation, which waits for nothing
        await store.execute([SYNC])


async def test_replies_that_trickle_are_read(proxy: Proxy) -> None:
    proxy.one_byte_at_a_time = True
    async with connected(through(proxy)) as store, store.subscribe() as messages:
        replies = await store.execute([SYNC, VOTE])
        assert [reply.code for reply in replies] == [Code.DONE, Code.DONE]
        async for message in messages:
            assert message.shared == replies[1].shared
            break


async def test_a_late_reply_is_not_taken_for_that_of_the_next_operation(proxy: Proxy) -> None:
    async with connected(through(proxy)) as store:
        await store.execute([SYNC])
        proxy.replies_may_pass.clear()
        store.time_out_after(IMPATIENT_SECONDS)
        assert "Timeout" in await fails(store)
        proxy.replies_may_pass.set()
        store.time_out_after(PATIENT_SECONDS)
        await store.connect()
        assert (await store.execute([VOTE]))[0].shared.state is CircuitState.OPEN
        assert proxy.connections == 2


async def test_connecting_while_connected_does_nothing(proxy: Proxy) -> None:
    async with connected(through(proxy)) as store:
        await store.connect()
        assert (await store.execute([SYNC]))[0].code is Code.DONE
        assert proxy.connections == 1


async def test_an_operation_whose_reply_is_lost_has_taken_effect(proxy: Proxy, redis_server: RedisServer) -> None:
    async with connected(through(proxy)) as store, connected(redis_server.url) as other:
        store.time_out_after(IMPATIENT_SECONDS)
        proxy.swallow_replies = True
        with pytest.raises(FleetStoreError):
            await store.execute([VOTE])
        assert (await other.execute([SYNC]))[0].shared.state is CircuitState.OPEN


async def test_a_server_that_accepts_and_says_nothing_is_no_connection(proxy: Proxy) -> None:
    proxy.swallow_requests = True
    store = RedisStore(through(proxy), op_timeout_seconds=IMPATIENT_SECONDS)
    with pytest.raises(FleetStoreError, match="Timeout"):
        await store.connect()


@pytest.mark.parametrize("how", ["reset", "cut"])
async def test_a_connection_that_is_torn_fails_all_who_wait_on_it(proxy: Proxy, how: str) -> None:
    async with connected(through(proxy)) as store:
        proxy.replies_may_pass.clear()
        base = proxy.requests
        failures = []

        async def ask() -> None:
            with pytest.raises(FleetStoreError) as caught:
                await store.execute([SYNC])
            failures.append(caught.value)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
            await proxy.until_requested(base + 1)
            proxy.reset_in_reply = True
            proxy.cut() if how == "cut" else proxy.replies_may_pass.set()
        assert len(failures) == 3


async def test_operations_do_not_wait_for_the_replies_to_earlier_ones(proxy: Proxy) -> None:
    async with connected(through(proxy)) as store:
        await store.execute([SYNC])
        proxy.replies_may_pass.clear()
        base = proxy.requests
        states = {}

        async def ask(name: str) -> None:
            (reply,) = await store.execute([Vote(name=name, policy=ALONE, worker="ada")])
            states[name] = reply.shared.generation

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "one")
            await proxy.until_requested(base + 1)
            tasks.start_soon(ask, "two")
            await proxy.until_requested(base + 2)
            proxy.replies_may_pass.set()
        assert states["one"] < states["two"]
        assert proxy.connections == 1


async def test_a_task_that_is_cancelled_takes_the_connection_with_it(proxy: Proxy) -> None:
    async with connected(through(proxy)) as store:
        proxy.replies_may_pass.clear()
        base = proxy.requests
        task = asyncio.create_task(store.execute([SYNC]))
        await proxy.until_requested(base + 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(FleetStoreError, match="not connected"):
            await store.execute([SYNC])


async def test_a_task_that_is_cancelled_before_its_turn_takes_the_connection_with_it(proxy: Proxy) -> None:
    async with connected(through(proxy)) as store:
        proxy.replies_may_pass.clear()
        base = proxy.requests
        first = asyncio.create_task(store.execute([SYNC]))
        await proxy.until_requested(base + 1)
        second = asyncio.create_task(store.execute([SYNC]))
        await proxy.until_requested(base + 2)
        second.cancel()
        results = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(result) for result in results] == [FleetStoreError, asyncio.CancelledError]


async def test_connecting_can_be_cancelled(proxy: Proxy) -> None:
    store = RedisStore(through(proxy), op_timeout_seconds=PATIENT_SECONDS)
    proxy.replies_may_pass.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.connect)
        await proxy.until_requested(1)
        tasks.cancel_scope.cancel()
    with pytest.raises(FleetStoreError, match="not connected"):
        await store.execute([SYNC])


async def test_a_store_that_is_closed_while_it_connects_stays_closed(proxy: Proxy) -> None:
    store = RedisStore(through(proxy), op_timeout_seconds=PATIENT_SECONDS)
    proxy.replies_may_pass.clear()
    task = asyncio.create_task(store.connect())
    await proxy.until_requested(1)
    await store.aclose()
    proxy.replies_may_pass.set()
    with pytest.raises(FleetStoreError, match="closed"):
        await task


async def test_a_silent_subscription_is_kept_alive_by_pings(proxy: Proxy, redis_server: RedisServer) -> None:
    async with connected(redis_server.url) as other, connected(through(proxy), ping_interval_seconds=0.01) as store:
        base = proxy.requests
        async with store.subscribe() as messages:
            task = asyncio.ensure_future(anext(messages))
            await proxy.until_requested(base + 3)
            (reply,) = await other.execute([VOTE])
            assert (await task).shared == reply.shared


async def test_a_dead_subscription_is_found_out(proxy: Proxy) -> None:
    async with connected(through(proxy), ping_interval_seconds=0.01) as store, store.subscribe() as messages:
        store.time_out_after(IMPATIENT_SECONDS)
        proxy.swallow_replies = True
        with pytest.raises(FleetStoreError, match="PING"):
            await anext(messages)
        with pytest.raises(FleetStoreError):
            await anext(messages)


async def test_two_connections_do_for_any_number_of_breakers(redis_server: RedisServer, admin: Redis) -> None:
    before = len(admin.client_list())
    async with connected(redis_server.url) as store, store.subscribe():
        for _ in range(3):
            await store.execute([Sync(name=f"{n}") for n in range(100)])
        assert len(admin.client_list()) - before == 2


async def test_both_keys_of_a_breaker_lie_in_one_slot_whatever_its_name() -> None:
    for name in ("payments", "a}b", "{}", "}{x}"):
        record, evidence = Namespace("shop").keys(name)
        assert key_slot(record.encode()) == key_slot(evidence.encode())


async def test_the_scripts_run_in_a_cluster(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cluster")
    with RedisServer(folder, "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no") as server:
        with server.client() as admin:
            admin.execute_command("CLUSTER ADDSLOTS", *range(16_384))
        async with connected(server.url) as store:
            with anyio.fail_after(PATIENT_SECONDS):
                while not await is_up(store):  # noqa: ASYNC110 - nothing tells when a cluster is up
                    await anyio.sleep(0.02)
            assert (await store.execute([VOTE]))[0].shared.state is CircuitState.OPEN


async def is_up(store: RedisStore) -> bool:
    try:
        await store.connect()
        await store.execute([SYNC])
    except FleetStoreError as error:
        assert "CLUSTERDOWN" in str(error) or "ClusterDown" in str(error)  # noqa: PT017 - anything else is a failure
        return False
    return True


async def test_workers_of_different_namespaces_share_nothing(redis_server: RedisServer, admin: Redis) -> None:
    assert admin.ping()
    url = redis_server.url
    async with connected(url, namespace="a") as one, connected(url, namespace="b") as two:
        await one.execute([VOTE])
        assert (await two.execute([SYNC]))[0].shared == SharedState()


def documented_rights() -> list[str]:
    """Returns the command on the page that gives a Redis user the rights of a worker."""
    page = Path(__file__).parents[2] / "docs" / "how-to" / "fleet.md"
    command = re.search(r"^ACL SETUSER shop [^`]*", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert command is not None
    return command[0].replace(">PASSWORD", ">p%/:@ss").split()


async def test_the_documented_rights_are_those_that_the_scripts_and_the_connections_need() -> None:
    granted = {right[1:] for right in documented_rights() if right.startswith("+")}
    texts = [path.read_text(encoding="utf-8") for path in Path(scripts.__file__).with_name("lua").glob("*.lua")]
    called = {command.lower() for text in texts for command in re.findall(r"redis\.p?call\('(\w+)'", text)}
    assert granted == called | {"ping", "select", "eval", "evalsha", "subscribe"}


async def test_a_user_with_a_password_and_the_documented_rights_gets_in(own_server: RedisServer) -> None:
    with own_server.client() as admin:
        admin.execute_command(*documented_rights())
    async with proxy_to(own_server.socket) as proxy:
        url = f"redis://shop:p%25%2F%3A%40ss@127.0.0.1:{proxy.port}/1"
        async with connected(url, namespace="shop", ping_interval_seconds=0.01) as store, store.subscribe() as messages:
            base = proxy.requests
            task = asyncio.ensure_future(anext(messages))
            await proxy.until_requested(base + 1)  # a PING
            (reply,) = await store.execute([VOTE])
            assert (await task).shared == reply.shared
            assert "ss" not in repr(store).replace("class", "")


async def test_a_wrong_password_is_in_no_message(own_server: RedisServer) -> None:
    async with proxy_to(own_server.socket) as proxy:
        store = RedisStore(f"redis://somebody:hunter22@127.0.0.1:{proxy.port}")
        with pytest.raises(FleetStoreError) as caught:
            await store.connect()
        text = f"{caught.value!r}{store!r}{caught.value.__cause__}"
        assert "hunter22" not in text
        assert "somebody" not in text
        assert caught.value.__suppress_context__


async def test_what_a_server_says_of_the_password_is_blotted_out() -> None:
    endpoint = RedisEndpoint("redis://:hunter22@127.0.0.1:1", IMPATIENT_SECONDS, IMPATIENT_SECONDS)
    error = endpoint.failure(ValueError("bad\npassword hunter22 " + "x" * 1_000))
    assert error.reason.startswith("ValueError: bad password *** xxx")
    assert len(error.reason) == 300
    assert endpoint.failure(error) is error


@pytest.mark.anyio
async def test_a_reply_of_no_sense_is_a_store_error(redis_server: RedisServer, admin: Redis) -> None:
    assert admin.ping()
    async with connected(redis_server.url) as store:
        store.run({Sync: LuaScript(text="return {99}", digest="0" * 40)})
        with pytest.raises(FleetStoreError, match="ValueError"):
            await store.execute([SYNC])
