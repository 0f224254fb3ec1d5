"""A block that asked nothing of PostgreSQL says nothing about it, whether the server is well, dead or frozen."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import anyio
import asyncpg
import psycopg
import psycopg_pool
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from recloser import CircuitBreaker, CircuitState, FailureRate
from recloser.integrations import asyncpg as for_asyncpg
from recloser.integrations import psycopg as for_psycopg
from recloser.integrations import sqlalchemy as for_sqlalchemy
from recloser.testing import ManualClock
from tests.integrations.databases import COMMAND_SECONDS, CONNECT_SECONDS
from tests.integrations.kit import one, totals
from tests.integrations.postgres import PostgreSQL

pytestmark = pytest.mark.anyio

SELECT = "select 1"
QUERY = text(SELECT)
OUTAGES = {"dead": PostgreSQL.kill, "frozen": PostgreSQL.freeze}
DRIVERS = ("asyncpg", "psycopg")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=OUTAGES)
def outage(request: pytest.FixtureRequest, postgres: PostgreSQL) -> Callable[[], None]:
    """Returns what makes the server unavailable."""
    return lambda: OUTAGES[request.param](postgres)


@pytest.fixture(autouse=True)
def thawed(postgres: PostgreSQL) -> Generator[None]:
    yield
    if postgres.is_running:
        postgres.thaw()


def half_open(**options: Any) -> CircuitBreaker:  # noqa: ANN401 - as of a breaker
    """Makes a breaker whose next call is a probe."""
    clock = ManualClock()
    breaker = one(clock=clock, **options)
    breaker.force_open("a test", for_seconds=1)
    clock.advance(1)
    return breaker


async def enter(block: AbstractAsyncContextManager[Any]) -> None:
    async with block:
        pass


@asynccontextmanager
async def engine_of(server: PostgreSQL, driver: str, **options: Any) -> AsyncGenerator[AsyncEngine]:  # noqa: ANN401 - as of an engine
    """Opens an engine that has a connection at hand."""
    engine = create_async_engine(server.dsn(scheme=f"postgresql+{driver}"), **options)
    async with engine.connect() as connection:
        await connection.execute(QUERY)
    yield engine
    if server.is_running:
        server.thaw()
    await engine.dispose()


@asynccontextmanager
async def psycopg_pool_of_one(server: PostgreSQL, **options: Any) -> AsyncGenerator[psycopg_pool.AsyncConnectionPool]:  # noqa: ANN401 - as of a pool
    pool = psycopg_pool.AsyncConnectionPool(
        server.dsn(), min_size=1, max_size=1, timeout=CONNECT_SECONDS, open=False, **options
    )
    await pool.open(wait=True)
    yield pool
    if server.is_running:
        server.thaw()
    await pool.close(timeout=1)


@asynccontextmanager
async def session_in_a_transaction(engine: AsyncEngine) -> AsyncGenerator[AsyncSession]:
    async with AsyncSession(engine) as session, session.begin():
        yield session


SQLALCHEMY_SCOPES: dict[str, Callable[[AsyncEngine], AbstractAsyncContextManager[Any]]] = {
    "engine.connect()": lambda engine: engine.connect(),
    "engine.begin()": lambda engine: engine.begin(),
    "session": AsyncSession,
    "sessions()": lambda engine: async_sessionmaker(engine)(),
    "sessions.begin()": lambda engine: async_sessionmaker(engine).begin(),
    "session.begin()": lambda engine: AsyncSession(engine).begin(),
    "a scope of one's own": session_in_a_transaction,
}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("scope", SQLALCHEMY_SCOPES.values(), ids=SQLALCHEMY_SCOPES)
async def test_an_empty_block_of_sqlalchemy_says_nothing_about_a_server_that_is_gone(
    postgres: PostgreSQL, outage: Callable[[], None], driver: str, scope: Callable[[AsyncEngine], Any]
) -> None:
    breaker = half_open()
    async with engine_of(postgres, driver) as engine:
        outage()
        with anyio.fail_after(5):
            await enter(for_sqlalchemy.guard(breaker, scope(engine)))
        assert breaker.state is CircuitState.HALF_OPEN
        assert totals(breaker) == {"ignored": 1, "probe": 1}


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("scope", SQLALCHEMY_SCOPES.values(), ids=SQLALCHEMY_SCOPES)
async def test_a_statement_in_a_block_of_sqlalchemy_closes_the_breaker(
    postgres: PostgreSQL, driver: str, scope: Callable[[AsyncEngine], Any]
) -> None:
    breaker = half_open()
    async with (
        engine_of(postgres, driver) as engine,
        for_sqlalchemy.guard(breaker, scope(engine)) as entered,
    ):
        await getattr(entered, "session", entered).execute(QUERY)
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("scope", SQLALCHEMY_SCOPES.values(), ids=SQLALCHEMY_SCOPES)
async def test_a_connection_that_a_block_of_sqlalchemy_makes_closes_the_breaker(
    postgres: PostgreSQL, scope: Callable[[AsyncEngine], Any]
) -> None:
    breaker = half_open()
    engine = create_async_engine(postgres.dsn(scheme="postgresql+psycopg"))
    async with for_sqlalchemy.guard(breaker, scope(engine)) as entered:
        if session := getattr(entered, "session", entered if isinstance(entered, AsyncSession) else None):
            await session.connection()
    await engine.dispose()
    assert breaker.state is CircuitState.CLOSED


async def test_a_transaction_of_sqlalchemy_begins_with_its_first_statement(postgres: PostgreSQL) -> None:
    breaker = one()
    async with engine_of(postgres, "psycopg") as engine, engine.connect() as connection:
        for _ in range(2):
            await enter(for_sqlalchemy.guard(breaker, connection.begin()))
        assert totals(breaker) == {"ignored": 2}
        async with for_sqlalchemy.guard(breaker, connection.begin()):
            await connection.execute(QUERY)
            await enter(for_sqlalchemy.guard(breaker, connection.begin_nested()))  # a SAVEPOINT
        assert totals(breaker) == {"ignored": 2, "success": 2}


async def test_a_session_that_works_already_is_watched_as_well(postgres: PostgreSQL) -> None:
    breaker = one()
    async with engine_of(postgres, "psycopg") as engine, AsyncSession(engine) as session:
        await session.execute(QUERY)
        for _ in range(2):
            await enter(for_sqlalchemy.guard(breaker, session.begin_nested()))
        assert totals(breaker) == {"ignored": 2}
        async with for_sqlalchemy.guard(breaker, session.begin_nested()):
            await session.execute(QUERY)
        async with for_sqlalchemy.guard(breaker, session):
            await session.execute(QUERY)
        await enter(for_sqlalchemy.guard(breaker, session))
        assert totals(breaker) == {"ignored": 3, "success": 2}


async def test_a_scope_of_sqlalchemy_that_shows_no_connection_counts_as_used(postgres: PostgreSQL) -> None:
    breaker = one()
    async with (
        engine_of(postgres, "psycopg") as engine,
        engine.connect() as connection,
        for_sqlalchemy.guard(breaker, connection.stream(QUERY)) as rows,
    ):
        assert await rows.scalar() == 1
    assert totals(breaker) == {"success": 1}


async def test_a_pre_ping_of_sqlalchemy_closes_the_breaker(postgres: PostgreSQL) -> None:
    breaker = half_open()
    async with engine_of(postgres, "psycopg", pool_pre_ping=True) as engine:
        await enter(for_sqlalchemy.guard(breaker, engine.connect()))
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("driver", DRIVERS)
async def test_a_pre_ping_of_sqlalchemy_does_not_close_the_breaker_of_a_server_that_is_gone(
    postgres: PostgreSQL, outage: Callable[[], None], driver: str
) -> None:
    breaker = half_open(overdue_after_seconds=0)
    async with engine_of(postgres, driver, pool_pre_ping=True) as engine:
        outage()
        with suppress(Exception), anyio.fail_after(COMMAND_SECONDS):
            await enter(for_sqlalchemy.guard(breaker, engine.connect()))
    assert breaker.state is CircuitState.OPEN


async def test_empty_sessions_do_not_keep_a_breaker_closed(postgres: PostgreSQL, outage: Callable[[], None]) -> None:
    breaker = CircuitBreaker(trip_when=FailureRate(0.5, minimum_calls=4))
    async with engine_of(postgres, "asyncpg", connect_args={"command_timeout": COMMAND_SECONDS}) as engine:
        sessions = async_sessionmaker(engine)
        outage()
        for _ in range(4):
            assert breaker.state is CircuitState.CLOSED
            for _ in range(3):
                await enter(for_sqlalchemy.guard(breaker, sessions()))
            with suppress(Exception), anyio.fail_after(COMMAND_SECONDS):
                async with for_sqlalchemy.guard(breaker, sessions()) as session:
                    await session.execute(QUERY)
    assert breaker.state is CircuitState.OPEN
    assert (totals(breaker)["ignored"], totals(breaker)["failure"]) == (12, 4)


async def test_an_empty_block_of_psycopg_says_nothing_about_a_server_that_is_gone(
    postgres: PostgreSQL, outage: Callable[[], None]
) -> None:
    breaker = half_open()
    async with psycopg_pool_of_one(postgres) as pool:
        outage()
        with anyio.fail_after(5):
            await enter(for_psycopg.BreakerPool(pool, breaker=breaker).connection())
            await enter(for_psycopg.guard(breaker, pool.connection()))
        assert breaker.state is CircuitState.HALF_OPEN
        assert totals(breaker) == {"ignored": 2, "probe": 2}


@pytest.mark.parametrize("is_autocommit", [False, True])
async def test_a_statement_in_a_block_of_psycopg_closes_the_breaker(
    postgres: PostgreSQL, *, is_autocommit: bool
) -> None:
    breaker = half_open()
    async with psycopg_pool_of_one(postgres, kwargs={"autocommit": is_autocommit}) as pool:
        guarded = for_psycopg.BreakerPool(pool, breaker=breaker)
        await enter(guarded.connection())
        assert breaker.state is CircuitState.HALF_OPEN
        async with guarded.connection() as connection:
            cursor = await connection.execute(SELECT)
            assert await cursor.fetchone() == (1,)
        assert breaker.state is CircuitState.CLOSED


async def test_a_connection_that_a_pool_of_psycopg_makes_for_a_block_closes_the_breaker(postgres: PostgreSQL) -> None:
    breaker = half_open()
    async with psycopg_pool.AsyncConnectionPool(postgres.dsn(), min_size=0, max_size=1, open=False) as pool:
        guarded = for_psycopg.BreakerPool(pool, breaker=breaker)
        await enter(guarded.connection())
        assert breaker.state is CircuitState.CLOSED
        await enter(guarded.connection())
    assert totals(breaker) == {"success": 1, "ignored": 1, "probe": 1}


async def test_a_connection_that_another_block_returns_while_one_waits_is_not_made(postgres: PostgreSQL) -> None:
    breaker = one()
    async with psycopg_pool_of_one(postgres) as pool:
        guarded = for_psycopg.BreakerPool(pool, breaker=breaker)
        async with anyio.create_task_group() as tasks, guarded.connection():
            tasks.start_soon(enter, guarded.connection())
            await anyio.wait_all_tasks_blocked()
    assert totals(breaker) == {"ignored": 2}


async def test_a_check_of_a_pool_of_psycopg_closes_the_breaker(postgres: PostgreSQL) -> None:
    breaker = half_open()
    async with psycopg_pool_of_one(postgres, check=psycopg_pool.AsyncConnectionPool.check_connection) as pool:
        await enter(for_psycopg.BreakerPool(pool, breaker=breaker).connection())
    assert breaker.state is CircuitState.CLOSED


async def test_a_check_of_a_pool_of_psycopg_does_not_close_the_breaker_of_a_server_that_is_gone(
    postgres: PostgreSQL, outage: Callable[[], None]
) -> None:
    breaker = half_open(overdue_after_seconds=0)
    async with psycopg_pool_of_one(postgres, check=psycopg_pool.AsyncConnectionPool.check_connection) as pool:
        outage()
        with suppress(Exception), anyio.fail_after(2 * CONNECT_SECONDS):
            await enter(for_psycopg.BreakerPool(pool, breaker=breaker).connection())
    assert breaker.state is CircuitState.OPEN


async def test_scopes_of_a_connection_of_psycopg_are_watched(postgres: PostgreSQL) -> None:
    breaker = one()
    connection = await psycopg.AsyncConnection.connect(postgres.dsn())
    await enter(for_psycopg.guard(breaker, connection.cursor()))
    assert totals(breaker) == {"ignored": 1}
    async with for_psycopg.guard(breaker, connection.cursor()) as cursor:
        await cursor.execute(SELECT)
    await enter(for_psycopg.guard(breaker, connection.transaction()))
    await connection.commit()
    await enter(for_psycopg.guard(breaker, connection.pipeline()))  # its end is synchronised with the server
    async with (
        connection.cursor() as cursor,
        for_psycopg.guard(breaker, cursor.copy("copy (select 1) to stdout")) as rows,
    ):
        assert [row async for row in rows] == [b"1\n"]
    await connection.commit()
    assert totals(breaker) == {"ignored": 1, "success": 4}
    await enter(for_psycopg.guard(breaker, connection))
    assert totals(breaker) == {"ignored": 2, "success": 4}


class UnresetConnection(asyncpg.Connection):
    """A connection that is not reset when it goes back to its pool, as a pooler in front of the server asks for."""

    def get_reset_query(self) -> str:
        return ""


async def test_an_empty_block_of_asyncpg_says_nothing_about_a_frozen_server(postgres: PostgreSQL) -> None:
    breaker = half_open()
    pool = await asyncpg.create_pool(postgres.dsn(), min_size=1, max_size=1, connection_class=UnresetConnection)
    guarded = for_asyncpg.BreakerPool(pool, breaker=breaker)
    postgres.freeze()
    with anyio.fail_after(5):
        await enter(guarded.acquire())
        await enter(for_asyncpg.guard(breaker, pool.acquire()))
    assert breaker.state is CircuitState.HALF_OPEN
    assert totals(breaker) == {"ignored": 2, "probe": 2}
    postgres.thaw()
    assert await guarded.fetchval(SELECT) == 1
    assert breaker.state is CircuitState.CLOSED
    pool.terminate()


async def test_a_pool_of_asyncpg_asks_the_server_to_reset_a_connection(postgres: PostgreSQL) -> None:
    breaker = half_open()
    async with asyncpg.create_pool(postgres.dsn(), min_size=1) as pool:
        await enter(for_asyncpg.BreakerPool(pool, breaker=breaker).acquire())
    assert breaker.state is CircuitState.CLOSED


async def test_an_empty_block_of_asyncpg_does_not_close_the_breaker_of_a_server_that_is_gone(
    postgres: PostgreSQL, outage: Callable[[], None]
) -> None:
    breaker = half_open()
    pool = await asyncpg.create_pool(postgres.dsn(), min_size=1, command_timeout=COMMAND_SECONDS)
    outage()
    with suppress(Exception), anyio.fail_after(2 * COMMAND_SECONDS):
        await enter(for_asyncpg.BreakerPool(pool, breaker=breaker).acquire())
    assert breaker.state is not CircuitState.CLOSED
    pool.terminate()


async def test_a_connection_that_is_lost_in_an_empty_block_of_asyncpg_says_nothing(postgres: PostgreSQL) -> None:
    breaker = half_open()
    async with asyncpg.create_pool(postgres.dsn(), min_size=1) as pool:
        async with for_asyncpg.BreakerPool(pool, breaker=breaker).acquire() as connection:
            postgres.kill()
            with anyio.fail_after(5), suppress(asyncpg.InterfaceError):  # the pool has taken it back
                while not connection.is_closed():  # noqa: ASYNC110 - the driver tells only those who ask
                    await anyio.sleep(0.001)
        assert breaker.state is CircuitState.HALF_OPEN
    assert totals(breaker) == {"ignored": 1, "probe": 1}


async def test_a_transaction_of_asyncpg_counts_as_used(postgres: PostgreSQL) -> None:
    breaker = one()
    connection = await asyncpg.connect(postgres.dsn())
    await enter(for_asyncpg.guard(breaker, connection.transaction()))
    await connection.close()
    assert totals(breaker) == {"success": 1}
