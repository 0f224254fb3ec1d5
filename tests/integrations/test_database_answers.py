"""A PostgreSQL that answers, whatever it answers, never opens a breaker."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from itertools import cycle, islice

import anyio
import asyncpg
import psycopg
import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from recloser import CircuitBreaker, CircuitState
from recloser.integrations import psycopg as for_psycopg
from recloser.integrations import sqlalchemy as for_sqlalchemy
from recloser.integrations.asyncpg import BreakerPool
from tests.integrations.databases import CLIENTS, WRONG_QUERIES, Client, use
from tests.integrations.kit import one, totals
from tests.integrations.postgres import PostgreSQL

pytestmark = pytest.mark.anyio

MANY = 1000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=CLIENTS)
async def client(request: pytest.FixtureRequest, postgres: PostgreSQL) -> AsyncGenerator[Client]:
    async with CLIENTS[request.param](postgres) as opened:
        yield opened


async def test_a_thousand_wrong_queries_never_open_a_breaker(client: Client) -> None:
    breaker = one()
    for query in islice(cycle(WRONG_QUERIES), MANY):
        with pytest.raises(Exception):  # noqa: B017, PT011 - of four drivers
            await use(client, breaker, query)
    assert totals(breaker) == {"success": MANY}


async def test_a_thousand_unique_violations_never_open_a_breaker(client: Client) -> None:
    breaker = one()
    taken = "insert into names values ('taken')"
    await use(client, breaker, "create table if not exists names (name text unique)", f"{taken} on conflict do nothing")
    for _ in range(MANY):
        with pytest.raises(Exception, match="names_name_key"):
            await use(client, breaker, taken)
    assert totals(breaker) == {"success": MANY + 1}


class Rendezvous:
    """Lets each of two tasks go on when the other one has come as well."""

    def __init__(self) -> None:
        self._came = (anyio.Event(), anyio.Event())

    async def __call__(self, side: int) -> None:
        self._came[side].set()
        await self._came[1 - side].wait()


async def contend(client: Client, breaker: CircuitBreaker, statements: Callable[[int], tuple[str, ...]]) -> int:
    """Runs the statements of two transactions, which meet before the last one; returns how many of them failed."""
    failed = 0
    meet = Rendezvous()

    async def transact(side: int) -> None:
        nonlocal failed
        *first, last = statements(side)
        try:
            async with client.block(breaker) as connection:
                for statement in first if client.is_transaction else ["begin", *first]:
                    await client.run(connection, statement)
                await meet(side)
                await client.run(connection, last)
                if not client.is_transaction:
                    await client.run(connection, "commit")
        except Exception as exc:  # noqa: BLE001 - of four drivers
            failed += any(sign in str(exc) for sign in ("deadlock detected", "could not serialize access"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(transact, 0)
        tasks.start_soon(transact, 1)
    return failed


async def test_deadlocks_never_open_a_breaker(client: Client) -> None:
    breaker = one()
    locks = [
        await contend(
            client,
            breaker,
            lambda side: (f"select pg_advisory_xact_lock({side})", f"select pg_advisory_xact_lock({1 - side})"),
        )
        for _ in range(10)
    ]
    assert locks == [1] * 10
    assert totals(breaker) == {"success": 20}


async def test_serialization_failures_never_open_a_breaker(client: Client) -> None:
    breaker = one()
    await use(client, breaker, "create table if not exists sums (side int)")
    failed = 0
    for _ in range(10):
        failed += await contend(
            client,
            breaker,
            lambda _side: (
                "set transaction isolation level serializable",
                "select count(*) from sums",
                "insert into sums values (1)",
                "select 1",
            ),
        )
    assert failed == 10
    assert totals(breaker) == {"success": 21}


@pytest.mark.parametrize(("failures", "total"), [((), "ignored"), (("57014",), "failure"), (("57",), "failure")])
async def test_a_statement_timeout_is_ignored_unless_it_is_asked_for(
    client: Client, failures: tuple[str, ...], total: str
) -> None:
    breaker = one()
    with pytest.raises(Exception, match="statement timeout"):
        await use(client, breaker, "set statement_timeout = 10", "select pg_sleep(60)", failure_sqlstates=failures)
    assert totals(breaker) == {total: 1}


async def test_an_error_of_the_block_itself_is_ignored(client: Client) -> None:
    breaker = one()
    for error in (ValueError("no such user"), FileNotFoundError(2, "no such file"), ConnectionRefusedError("mail")):
        with pytest.raises(type(error)):  # noqa: PT012 - the block is what is tested
            async with client.block(breaker) as connection:
                await client.run(connection, "select 1")
                raise error
    assert totals(breaker) == {"ignored": 3}


async def test_a_deadline_in_the_block_that_another_service_missed_is_ignored(client: Client) -> None:
    breaker = one()
    with pytest.raises(TimeoutError):  # noqa: PT012 - the block is what is tested
        async with client.block(breaker) as connection:
            await client.run(connection, "select 1")
            with anyio.fail_after(0.01):
                await anyio.sleep_forever()
    assert totals(breaker) == {"ignored": 1}


async def test_a_login_that_is_refused_is_an_answer_where_the_driver_tells(postgres: PostgreSQL) -> None:
    breaker = one()
    for address in (postgres.dsn(user="nobody_here"), postgres.dsn(database="nothing_here")):
        pool = await asyncpg.create_pool(address, min_size=0)
        with pytest.raises(asyncpg.PostgresError):
            await BreakerPool(pool, breaker=breaker).fetchval("select 1")
        pool.terminate()
    assert totals(breaker) == {"success": 2}


async def test_a_login_that_is_refused_is_a_failure_where_the_driver_does_not_tell(postgres: PostgreSQL) -> None:
    breaker = one(failure_threshold=2)
    for address in (postgres.dsn(user="nobody_here"), postgres.dsn(database="nothing_here")):
        with pytest.raises(psycopg.OperationalError) as raised:
            await psycopg.AsyncConnection.connect(address)
        assert raised.value.sqlstate is None
        assert for_psycopg.is_failure(raised.value)
        pool = psycopg_pool.AsyncConnectionPool(address, min_size=0, max_size=1, timeout=0.05, open=False)
        await pool.open()
        with pytest.raises(psycopg_pool.PoolTimeout):
            async with for_psycopg.BreakerPool(pool, breaker=breaker).connection():
                pass
        await pool.close()
    assert breaker.state is CircuitState.OPEN


async def test_sqlalchemy_calls_a_deadlock_and_a_killed_backend_the_same_over_asyncpg(postgres: PostgreSQL) -> None:
    deadlock, killed = (
        "do $$ begin raise exception using errcode = '40P01'; end $$",
        "select pg_terminate_backend(pg_backend_pid())",
    )
    async with CLIENTS["sqlalchemy-asyncpg"](postgres) as client:
        for statement, total in ((deadlock, {"success": 1}), (killed, {"failure": 1})):
            breaker = one()
            with pytest.raises(sqlalchemy.exc.DBAPIError) as raised:
                await use(client, breaker, statement)
            assert type(raised.value) is sqlalchemy.exc.DBAPIError
            assert raised.value.connection_invalidated is (statement is killed)
            assert totals(breaker) == total


async def test_a_session_that_was_idle_for_too_long_is_an_answer_where_the_driver_tells(postgres: PostgreSQL) -> None:
    for _ in range(20):
        breaker = one()
        connection = await psycopg.AsyncConnection.connect(postgres.dsn(), autocommit=True)
        await connection.execute("set idle_session_timeout = 1")
        await anyio.wait_readable(connection.fileno())
        with pytest.raises(psycopg.OperationalError) as raised:
            async with for_psycopg.guard(breaker, connection.transaction()):
                pass
        await connection.close()
        if isinstance(raised.value, psycopg.errors.IdleSessionTimeout):
            break  # else the connection was torn before the driver had read why
    assert raised.type is psycopg.errors.IdleSessionTimeout
    assert totals(breaker) == {"success": 1}


async def test_misuse_of_asyncpg_is_ignored(postgres: PostgreSQL) -> None:
    breaker = one()
    async with asyncpg.create_pool(postgres.dsn(), min_size=1, max_size=2) as pool:
        guarded = BreakerPool(pool, breaker=breaker)
        with pytest.raises(asyncpg.InterfaceError, match="expects 1 argument"):
            await guarded.fetch("select $1::int")
        with pytest.raises(ExceptionGroup):  # noqa: PT012 - the block is what is tested
            async with guarded.acquire() as connection, anyio.create_task_group() as tasks:
                tasks.start_soon(connection.execute, "select pg_sleep(0.01)")
                tasks.start_soon(connection.execute, "select 1")  # another operation is in progress
        with pytest.raises(asyncpg.InterfaceError, match="released back"):
            async with guarded.acquire():
                await connection.execute("select 1")
    assert totals(breaker) == {"ignored": 3}


async def test_a_lost_connection_of_asyncpg_is_told_from_misuse(postgres: PostgreSQL) -> None:
    breaker = one()
    async with asyncpg.create_pool(postgres.dsn(), min_size=1, max_size=1) as pool:
        with pytest.raises(asyncpg.InterfaceError, match="released back"):  # which says nothing of what happened  # noqa: PT012 - the block is what is tested
            async with BreakerPool(pool, breaker=breaker).acquire() as connection:
                with pytest.raises(asyncpg.PostgresConnectionError):
                    await connection.execute("select pg_terminate_backend(pg_backend_pid())")
                await connection.execute("select 1")
    assert breaker.state is CircuitState.OPEN


Ask = Callable[[BreakerPool], Awaitable[object]]


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda pool: pool.execute("select 1"), "SELECT 1"),
        (lambda pool: pool.executemany("select $1::int", [(1,), (2,)]), None),
        (lambda pool: pool.fetch("select $1::int", 7), [(7,)]),
        (lambda pool: pool.fetchrow("select $1::int", 7, timeout=5), (7,)),
        (lambda pool: pool.fetchval("select 1, 2", column=1), 2),
    ],
    ids=["execute", "executemany", "fetch", "fetchrow", "fetchval"],
)
async def test_the_methods_of_the_pool_answer_as_its_own(postgres: PostgreSQL, ask: Ask, answer: object) -> None:
    breaker = one()
    async with asyncpg.create_pool(postgres.dsn(), min_size=1, max_size=1) as pool:
        assert await ask(BreakerPool(pool, breaker=breaker)) == answer
    assert totals(breaker) == {"success": 1}


async def test_a_session_settles_with_its_commit(postgres: PostgreSQL) -> None:
    breaker = one()
    engine = create_async_engine(postgres.dsn(scheme="postgresql+asyncpg"))
    sessions = async_sessionmaker(engine)
    async with for_sqlalchemy.guard(breaker, sessions.begin()) as session:
        await session.execute(sqlalchemy.text("create table if not exists pairs (a int primary key deferrable)"))
    with pytest.raises(sqlalchemy.exc.IntegrityError):  # noqa: PT012 - the block is what is tested
        async with for_sqlalchemy.guard(breaker, sessions.begin()) as session:
            await session.execute(sqlalchemy.text("set constraints all deferred"))
            await session.execute(sqlalchemy.text("insert into pairs values (1), (1)"))
            assert totals(breaker) == {"success": 1}
    with pytest.raises(sqlalchemy.exc.NoResultFound):
        async with for_sqlalchemy.guard(breaker, sessions()) as session:
            (await session.execute(sqlalchemy.text("select 1 where false"))).one()
    with pytest.raises(sqlalchemy.exc.InvalidRequestError):
        async with for_sqlalchemy.guard(breaker, sessions()) as session:
            await session.refresh(object())
    await engine.dispose()
    assert totals(breaker) == {"success": 3, "ignored": 1}


async def test_a_session_that_can_not_commit_because_the_server_was_killed_opens_the_breaker(
    postgres: PostgreSQL,
) -> None:
    breaker = one()
    engine = create_async_engine(postgres.dsn(scheme="postgresql+asyncpg"))
    with pytest.raises(sqlalchemy.exc.DBAPIError):  # noqa: PT012 - the block is what is tested
        async with for_sqlalchemy.guard(breaker, async_sessionmaker(engine).begin()) as session:
            await session.execute(sqlalchemy.text("select 1"))
            postgres.kill()
    await engine.dispose()
    assert breaker.state is CircuitState.OPEN
