"""A pool that has lent all of its connections is our own doing; one that can't connect is the database's."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import asyncpg
import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from recloser import CircuitBreaker
from recloser.integrations import asyncpg as for_asyncpg
from recloser.integrations import psycopg as for_psycopg
from recloser.integrations import sqlalchemy as for_sqlalchemy
from tests.integrations.kit import one, totals
from tests.integrations.postgres import PostgreSQL

pytestmark = pytest.mark.anyio

SOON_SECONDS = 0.05
SOON_ENOUGH_SECONDS = 5


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Pool:
    """A pool of one connection behind a breaker.

    Args:
        block: Returns a block, given how long to wait for a connection.
        timeouts: What a wait that is too long raises.
    """

    def __init__(self, block: Callable[[float], Any], timeouts: type[Exception]) -> None:
        self.block = block
        self.timeouts = timeouts


@asynccontextmanager
async def asyncpg_pool(server: PostgreSQL, breaker: CircuitBreaker) -> AsyncGenerator[Pool]:
    async with asyncpg.create_pool(server.dsn(), min_size=1, max_size=1) as pool:
        guarded = for_asyncpg.BreakerPool(pool, breaker=breaker)
        yield Pool(lambda seconds: guarded.acquire(timeout=seconds), TimeoutError)


@asynccontextmanager
async def psycopg_pool_of_one(server: PostgreSQL, breaker: CircuitBreaker) -> AsyncGenerator[Pool]:
    async with psycopg_pool.AsyncConnectionPool(server.dsn(), min_size=1, max_size=1, open=False) as pool:
        await pool.wait()
        yield Pool(for_psycopg.BreakerPool(pool, breaker=breaker).connection, psycopg_pool.PoolTimeout)


@asynccontextmanager
async def sqlalchemy_pool(server: PostgreSQL, breaker: CircuitBreaker) -> AsyncGenerator[Pool]:
    url = server.dsn(scheme="postgresql+asyncpg")
    engine = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=SOON_SECONDS)
    patient = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=SOON_ENOUGH_SECONDS)

    def block(seconds: float) -> Any:  # noqa: ANN401 - as of the integration
        return for_sqlalchemy.guard(breaker, (engine if seconds == SOON_SECONDS else patient).connect())

    yield Pool(block, sqlalchemy.exc.TimeoutError)
    await engine.dispose()
    await patient.dispose()


POOLS = {"asyncpg": asyncpg_pool, "psycopg": psycopg_pool_of_one, "sqlalchemy": sqlalchemy_pool}


@pytest.fixture
def breaker() -> CircuitBreaker:
    return one()


@pytest.fixture(params=POOLS)
async def pool(request: pytest.FixtureRequest, postgres: PostgreSQL, breaker: CircuitBreaker) -> AsyncGenerator[Pool]:
    async with POOLS[request.param](postgres, breaker) as opened:
        yield opened


async def test_a_wait_for_a_pool_that_has_lent_all_is_ignored(breaker: CircuitBreaker, pool: Pool) -> None:
    async with pool.block(SOON_SECONDS):
        with pytest.raises(pool.timeouts):
            await enter(pool.block(SOON_SECONDS))
        assert totals(breaker) == {"ignored": 1}


async def test_a_deadline_that_ends_a_wait_for_a_pool_that_has_lent_all_is_ignored(
    breaker: CircuitBreaker, pool: Pool
) -> None:
    async with pool.block(SOON_ENOUGH_SECONDS):
        with pytest.raises(TimeoutError), anyio.fail_after(SOON_SECONDS):
            await enter(pool.block(SOON_ENOUGH_SECONDS))
        assert totals(breaker) == {"ignored": 1}


async def test_a_block_that_waits_for_its_own_connection_is_ignored(breaker: CircuitBreaker, pool: Pool) -> None:
    with pytest.raises(pool.timeouts):
        async with pool.block(SOON_SECONDS):
            await enter(pool.block(SOON_SECONDS))
    assert totals(breaker) == {"ignored": 2}


async def enter(block: Any) -> None:  # noqa: ANN401 - as of the integration
    async with block:
        pass


async def test_a_session_that_waits_for_a_connection_within_its_block_is_ignored(postgres: PostgreSQL) -> None:
    breaker = one()
    engine = create_async_engine(postgres.dsn(scheme="postgresql+asyncpg"), pool_size=1, max_overflow=0)
    async with engine.connect():
        with pytest.raises(TimeoutError):  # noqa: PT012 - the block is what is tested
            async with for_sqlalchemy.guard(breaker, async_sessionmaker(engine)()) as session:
                with anyio.fail_after(SOON_SECONDS):
                    await session.execute(sqlalchemy.text("select 1"))
    await engine.dispose()
    assert totals(breaker) == {"ignored": 1}


async def test_a_session_that_can_not_connect_within_its_block_is_a_failure(postgres: PostgreSQL) -> None:
    breaker = one()
    engine = create_async_engine(postgres.dsn(scheme="postgresql+asyncpg"))
    postgres.kill()
    with pytest.raises(ConnectionRefusedError):  # as asyncpg raises it, without SQLAlchemy's wrapper
        async with for_sqlalchemy.guard(breaker, async_sessionmaker(engine)()) as session:
            await session.execute(sqlalchemy.text("select 1"))
    assert totals(breaker) == {"failure": 1}


async def test_too_many_requests_of_a_pool_of_psycopg_are_ignored(postgres: PostgreSQL) -> None:
    breaker = one()
    async with psycopg_pool.AsyncConnectionPool(
        postgres.dsn(), min_size=0, max_size=1, max_waiting=1, open=False
    ) as pool:
        guarded = for_psycopg.BreakerPool(pool, breaker=breaker)
        async with guarded.connection(), anyio.create_task_group() as tasks:
            tasks.start_soon(enter, guarded.connection(SOON_ENOUGH_SECONDS))
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(psycopg_pool.TooManyRequests):
                await enter(guarded.connection())
            tasks.cancel_scope.cancel()
    assert totals(breaker) == {"success": 1, "ignored": 2}


Count = bool | None


@pytest.mark.parametrize(
    ("is_down", "count", "total"),
    [
        (True, None, "failure"),
        (True, True, "failure"),
        (True, False, "ignored"),
        (False, None, "ignored"),
        (False, True, "failure"),
        (False, False, "ignored"),
    ],
)
async def test_a_timeout_of_a_pool_of_psycopg_counts_as_one_asks(
    postgres: PostgreSQL,
    is_down: bool,  # noqa: FBT001 - a parameter of the test
    count: Count,
    total: str,
) -> None:
    breaker = CircuitBreaker(failure_threshold=2)
    async with psycopg_pool.AsyncConnectionPool(postgres.dsn(), min_size=0, max_size=1, open=False) as pool:
        guarded = for_psycopg.BreakerPool(pool, breaker=breaker, count_pool_timeouts=count)
        async with guarded.connection() if not is_down else anyio.create_task_group():
            if is_down:
                postgres.kill()
            with pytest.raises(psycopg_pool.PoolTimeout):
                await enter(guarded.connection(SOON_SECONDS))
            assert totals(breaker) == {total: 1}


async def test_a_wait_for_a_connection_that_is_being_set_up_is_a_failure(postgres: PostgreSQL) -> None:
    breaker = one()
    is_setting_up = anyio.Event()

    async def hang(_connection: object) -> None:
        is_setting_up.set()
        await anyio.sleep_forever()

    async with asyncpg.create_pool(postgres.dsn(), min_size=1, max_size=1, setup=hang) as pool:
        guarded = for_asyncpg.BreakerPool(pool, breaker=breaker)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(enter, guarded.acquire())
            await is_setting_up.wait()
            with pytest.raises(TimeoutError):
                await enter(guarded.acquire(timeout=SOON_SECONDS))
            assert totals(breaker) == {"failure": 1}
            tasks.cancel_scope.cancel()


async def test_a_closed_pool_is_ignored(postgres: PostgreSQL) -> None:
    breaker = one()
    lazy = psycopg_pool.AsyncConnectionPool(postgres.dsn(), open=False)
    with pytest.raises(psycopg_pool.PoolClosed):
        await enter(for_psycopg.BreakerPool(lazy, breaker=breaker).connection())
    closed = await asyncpg.create_pool(postgres.dsn(), min_size=0)
    await closed.close()
    with pytest.raises(asyncpg.InterfaceError, match="pool is closed"):
        await for_asyncpg.BreakerPool(closed, breaker=breaker).fetch("select 1")
    assert totals(breaker) == {"ignored": 2}


async def test_bad_arguments_of_pools_are_refused(postgres: PostgreSQL) -> None:
    with pytest.raises(TypeError, match="pool must be an asyncpg.Pool, not 'dsn'"):
        for_asyncpg.BreakerPool("dsn", breaker=one())
    with pytest.raises(TypeError, match="pool must be a psycopg_pool.AsyncConnectionPool, not 'dsn'"):
        for_psycopg.BreakerPool("dsn", breaker=one())
    pool = psycopg_pool.AsyncConnectionPool(postgres.dsn(), open=False)
    with pytest.raises(TypeError, match="count_pool_timeouts must be True, False or None, not 1"):
        for_psycopg.BreakerPool(pool, breaker=one(), count_pool_timeouts=1)
    with pytest.raises(TypeError, match="breaker must be a CircuitBreaker, not 'db'"):
        for_psycopg.BreakerPool(pool, breaker="db")
    with pytest.raises(ValueError, match="failure_sqlstates must be SQLSTATEs such as .*, not '5701'"):
        for_psycopg.BreakerPool(pool, breaker=one(), failure_sqlstates=["5701"])


async def test_a_pool_of_psycopg_without_a_bound_before_a_frozen_server_is_a_failure(postgres: PostgreSQL) -> None:
    breaker = one()
    async with psycopg_pool.AsyncNullConnectionPool(postgres.dsn(), max_size=0, open=False) as pool:
        guarded = for_psycopg.BreakerPool(pool, breaker=breaker)
        postgres.freeze()
        with pytest.raises(psycopg_pool.PoolTimeout):
            await enter(guarded.connection(SOON_SECONDS))
        postgres.thaw()
    assert totals(breaker) == {"failure": 1}


SLOW_COMMIT = """
    drop table if exists slow;
    create table slow ();
    create or replace function sleep_a_while() returns trigger language plpgsql
        as $$ begin perform pg_sleep(1); return null; end $$;
    create constraint trigger slowly after insert on slow deferrable initially deferred
        for each row execute function sleep_a_while();
"""


async def test_a_wait_for_a_pool_of_psycopg_whose_connection_is_in_its_commit_is_ignored(postgres: PostgreSQL) -> None:
    breaker = one()
    async with psycopg_pool.AsyncConnectionPool(postgres.dsn(), min_size=0, max_size=1, open=False) as pool:
        guarded = for_psycopg.BreakerPool(pool, breaker=breaker)
        async with guarded.connection() as connection:
            await connection.execute(SLOW_COMMIT)
        is_leaving = anyio.Event()

        async def write() -> None:
            async with guarded.connection() as connection:
                await connection.execute("insert into slow default values")
                is_leaving.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            await is_leaving.wait()
            with pytest.raises(psycopg_pool.PoolTimeout):
                await enter(guarded.connection(SOON_SECONDS))
            assert totals(breaker) == {"success": 1, "ignored": 1}
    assert totals(breaker) == {"success": 2, "ignored": 1}


async def test_a_connection_of_asyncpg_that_a_frozen_server_does_not_let_go_is_a_failure(postgres: PostgreSQL) -> None:
    breaker = one(overdue_after_seconds=0)
    pool = await asyncpg.create_pool(postgres.dsn(), min_size=1, max_size=1)
    guarded = for_asyncpg.BreakerPool(pool, breaker=breaker)
    with pytest.raises(TimeoutError), anyio.fail_after(SOON_SECONDS):  # noqa: PT012 - as above
        async with guarded.acquire() as connection:
            await connection.fetchval("select 1")
            postgres.freeze()
    assert totals(breaker) == {"failure": 1, "overdue": 1}
    postgres.thaw()
    await pool.close()  # when the server has let it go


async def test_a_connection_that_was_lost_in_a_session_is_a_failure_when_it_is_noticed_again(
    postgres: PostgreSQL,
) -> None:
    breaker = one()
    engine = create_async_engine(postgres.dsn(scheme="postgresql+asyncpg"))
    with pytest.raises(sqlalchemy.exc.PendingRollbackError):  # noqa: PT012 - the block is what is tested
        async with for_sqlalchemy.guard(breaker, async_sessionmaker(engine)()) as session:
            await session.execute(sqlalchemy.text("select 1"))
            postgres.kill()
            with pytest.raises(sqlalchemy.exc.DBAPIError):
                await session.execute(sqlalchemy.text("select 1"))
            await session.execute(sqlalchemy.text("select 1"))
    await engine.dispose()
    assert totals(breaker) == {"failure": 1}
