"""A PostgreSQL that is down opens a breaker, in whatever way it is down and through whichever client it is used."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import anyio
import asyncpg
import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState
from recloser.events import CallFailed
from recloser.testing import ManualClock
from tests.integrations.databases import CLIENTS, COMMAND_SECONDS, WITH_A_COMMAND_TIMEOUT, Client, use
from tests.integrations.kit import RESET_SECONDS, one, totals
from tests.integrations.postgres import MAX_CONNECTIONS, PostgreSQL

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 60


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=CLIENTS)
async def client(request: pytest.FixtureRequest, postgres: PostgreSQL) -> AsyncGenerator[Client]:
    async with CLIENTS[request.param](postgres) as opened:
        yield opened
        postgres.thaw()  # before the client says goodbye


async def assert_opens(client: Client, breaker: CircuitBreaker) -> None:
    with anyio.fail_after(PATIENCE_SECONDS), pytest.raises(Exception) as raised:  # noqa: PT011 - of four drivers
        await use(client, breaker, "select 1")
    assert not isinstance(raised.value, CircuitBreakerOpenError)
    assert breaker.state is CircuitState.OPEN


async def test_a_server_that_refuses_connections_opens_the_breaker(postgres: PostgreSQL, client: Client) -> None:
    breaker = one()
    postgres.kill()
    await assert_opens(client, breaker)
    last_error = str(breaker.snapshot().last_error)  # a pool of psycopg connects in the background
    assert last_error.endswith("Error: ECONNREFUSED") or last_error.startswith("PoolTimeout: pool timeout of ")


async def test_a_failure_of_the_server_is_told_by_its_sqlstate_and_its_address(
    postgres: PostgreSQL, client: Client
) -> None:
    breaker = one()
    breaker.subscribe((failures := list[CallFailed]()).append, kinds=CallFailed)
    with pytest.raises(Exception):  # noqa: B017, PT011 - of four drivers
        await use(client, breaker, "do $$ begin raise exception 'S3cr3t' using errcode = '53100'; end $$")
    assert str(breaker.snapshot().last_error).endswith(": SQLSTATE 53100")
    assert failures[0].peer == f"127.0.0.1:{postgres.port}"


async def test_a_server_that_is_killed_in_the_middle_of_a_query_opens_the_breaker(
    postgres: PostgreSQL, client: Client
) -> None:
    breaker = one()
    begun = anyio.Event()

    async def wait() -> None:
        with pytest.raises(Exception):  # noqa: B017, PT011, PT012 - the block of one of four drivers
            async with client.block(breaker) as connection:
                await client.run(connection, "select 1")
                begun.set()
                await client.run(connection, "select pg_sleep(60)")

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await begun.wait()
            postgres.kill()
    assert breaker.state is CircuitState.OPEN


async def test_a_connection_that_is_used_after_the_server_was_killed_opens_the_breaker(
    postgres: PostgreSQL, client: Client
) -> None:
    breaker = one()
    with anyio.fail_after(PATIENCE_SECONDS), pytest.raises(Exception):  # noqa: B017, PT011, PT012 - the block of one of four drivers
        async with client.block(breaker) as connection:
            await client.run(connection, "select 1")
            postgres.kill()
            with suppress(Exception):
                await client.run(connection, "select 1")
            await client.run(connection, "select 1")
    assert breaker.state is CircuitState.OPEN


async def test_an_idle_connection_of_a_pool_that_the_server_has_dropped_opens_the_breaker_at_most_once(
    postgres: PostgreSQL, client: Client
) -> None:
    breaker = CircuitBreaker(failure_threshold=2)
    await use(client, breaker, "select 1")
    postgres.kill()
    postgres.start()
    for _ in range(3):
        with anyio.fail_after(PATIENCE_SECONDS):
            with suppress(Exception):
                await use(client, breaker, "select 1", wait_seconds=PATIENCE_SECONDS)
    await use(client, breaker, "select 1")
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("client", WITH_A_COMMAND_TIMEOUT, indirect=True)
async def test_a_frozen_server_opens_the_breaker_by_the_time_limit_of_a_command(
    postgres: PostgreSQL, client: Client
) -> None:
    breaker = CircuitBreaker(failure_threshold=2)
    await use(client, breaker, "select 1")
    postgres.freeze()
    for _ in range(2):
        with anyio.move_on_after(2 * COMMAND_SECONDS), suppress(Exception):  # some versions never leave the block
            await use(client, breaker, "select 1")
    assert breaker.state is CircuitState.OPEN
    assert "last error TimeoutError" in breaker.explain()


@pytest.mark.parametrize("client", [*WITH_A_COMMAND_TIMEOUT, "psycopg"], indirect=True)
async def test_a_frozen_server_opens_the_breaker_by_the_time_limit_of_connecting(
    postgres: PostgreSQL, client: Client
) -> None:
    postgres.freeze()
    await assert_opens(client, one())


async def test_a_frozen_server_opens_the_breaker_by_a_deadline_around_the_block(
    postgres: PostgreSQL, client: Client
) -> None:
    breaker = CircuitBreaker(failure_threshold=2)
    await use(client, breaker, "select 1")
    postgres.freeze()
    for _ in range(2):
        with pytest.raises(TimeoutError), anyio.fail_after(0.2):
            await use(client, breaker, "select 1")
    assert breaker.state is CircuitState.OPEN


async def test_a_frozen_server_opens_the_breaker_by_a_deadline_in_the_block(
    postgres: PostgreSQL, client: Client
) -> None:
    breaker = one()
    with pytest.raises(TimeoutError):  # noqa: PT012 - the block is what is tested
        async with client.block(breaker) as connection:
            await client.run(connection, "select 1")
            postgres.freeze()
            with anyio.fail_after(0.1):
                try:
                    await client.run(connection, "select 1")
                finally:
                    postgres.thaw()  # leaving may ask the server
    assert breaker.state is CircuitState.OPEN


async def test_a_server_without_a_free_connection_opens_the_breaker(postgres: PostgreSQL, client: Client) -> None:
    others = [await asyncpg.connect(postgres.dsn()) for _ in range(MAX_CONNECTIONS)]
    try:
        await assert_opens(client, one())
    finally:
        for other in others:
            await other.close()


async def test_a_server_that_shuts_down_opens_the_breaker(postgres: PostgreSQL, client: Client) -> None:
    last = await asyncpg.connect(postgres.dsn())
    postgres.refuse_newcomers()
    try:
        with anyio.fail_after(PATIENCE_SECONDS):
            while await _is_welcome(postgres):  # noqa: ASYNC110 - the server tells only those who ask
                await anyio.sleep(0.01)
        await assert_opens(client, one())
    finally:
        await last.close()
        postgres.kill()


async def _is_welcome(postgres: PostgreSQL) -> bool:
    """Returns whether a newcomer is let in: the server says nothing when it begins to shut down."""
    try:
        connection = await asyncpg.connect(postgres.dsn())
    except asyncpg.CannotConnectNowError:
        return False
    await connection.close()
    return True


async def test_a_backend_that_an_administrator_ends_is_a_failure(client: Client) -> None:
    breaker = one()
    with pytest.raises(Exception):  # noqa: B017, PT011 - of four drivers
        await use(client, breaker, "select pg_terminate_backend(pg_backend_pid())")
    assert breaker.state is CircuitState.OPEN


async def test_after_a_restart_one_probe_closes_the_breaker(postgres: PostgreSQL, client: Client) -> None:
    clock = ManualClock()
    breaker = one(clock=clock)
    postgres.kill()
    await assert_opens(client, breaker)
    postgres.start()
    clock.advance(RESET_SECONDS)
    rejected = []

    async def call() -> None:
        try:
            await use(
                client, breaker, "select 1", wait_seconds=PATIENCE_SECONDS
            )  # psycopg's pool tries again after a second
        except CircuitBreakerOpenError as exc:
            rejected.append(exc)

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(call)
    assert len(rejected) == 9
    assert breaker.state is CircuitState.CLOSED
    assert totals(breaker) == {"failure": 1, "success": 1, "probe": 1, "rejected": 9}


async def test_a_probe_that_is_cancelled_gives_its_permit_back(postgres: PostgreSQL, client: Client) -> None:
    clock = ManualClock()
    breaker = one(clock=clock)
    postgres.kill()
    await assert_opens(client, breaker)
    postgres.start()
    clock.advance(RESET_SECONDS)
    with anyio.CancelScope() as scope:
        async with client.block(breaker, PATIENCE_SECONDS) as connection:
            assert breaker.state is CircuitState.HALF_OPEN
            scope.cancel()
            await client.run(connection, "select pg_sleep(60)")
    assert breaker.state is CircuitState.HALF_OPEN
    await use(client, breaker, "select 1")
    assert breaker.state is CircuitState.CLOSED


async def test_nothing_but_the_peer_tells_an_address(postgres: PostgreSQL, client: Client) -> None:
    breaker = one()
    postgres.kill()
    await assert_opens(client, breaker)
    health: Any = breaker.health()
    for item in (health["cause"], health["outage"], health["outage"]["cause"]):
        assert item.pop("peer") in {None, f"127.0.0.1:{postgres.port}"}
    told: Any = [health, breaker.explain()]
    with pytest.raises(CircuitBreakerOpenError) as rejection:
        await use(client, breaker, "select 1")
    told += [str(rejection.value), rejection.value.last_error]
    assert str(postgres.port) not in repr(told)
    assert "127.0.0.1" not in repr(told)
