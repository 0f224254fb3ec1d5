"""What the tests of the databases share: one way to use four clients of PostgreSQL, and what they do wrong."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
import psycopg_pool
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from recloser import CircuitBreaker
from recloser.integrations import asyncpg as for_asyncpg
from recloser.integrations import psycopg as for_psycopg
from recloser.integrations import sqlalchemy as for_sqlalchemy
from recloser.integrations._scope import GuardedScope
from tests.integrations.postgres import PostgreSQL

CONNECT_SECONDS = 0.8
COMMAND_SECONDS = 0.5
POOL_SIZE = 2

WRONG_QUERIES = (
    "selec 1",
    "select * from missing",
    "select missing from pg_class",
    "select 1/0",
    "select 'a'::int",
    "select '{'::json",
    "copy pg_class from '/missing'",  # 58P01
    "load 'missing'",  # 58P01
    "select brin_summarize_new_values(0)",  # XX000
    "select pg_identify_object_as_address(1, 2, 3)",  # XX000
    "select pg_describe_object(1, 2, 3)",  # XX000
    "alter table pg_class add x int",
    "set session authorization missing",
    "lock table missing",
    "do $$ begin raise exception using errcode = '08001'; end $$",  # a foreign server is down, not this one
    "select set_config('missing.', 'x', false)",
)
"""Each is answered with an error, many with a code that looks like the server's own fault."""


class Client(NamedTuple):
    """One way to PostgreSQL.

    Args:
        block: Returns a block under a breaker, which hands out a connection. The second argument is how long to wait
            for one where a pool connects in the background; others are those of the integration.
        run: Runs a statement on such a connection.
        is_transaction: Whether a block is one.
    """

    block: Callable[..., AbstractAsyncContextManager[Any]]
    run: Callable[[Any, str], Any]
    is_transaction: bool = True


@asynccontextmanager
async def asyncpg_client(server: PostgreSQL) -> AsyncGenerator[Client]:
    limits = {"timeout": CONNECT_SECONDS, "command_timeout": COMMAND_SECONDS}
    pool = await asyncpg.create_pool(server.dsn(), min_size=0, max_size=POOL_SIZE, **limits)
    guarded: dict[CircuitBreaker, for_asyncpg.BreakerPool] = {}

    def block(breaker: CircuitBreaker, _wait_seconds: float | None = None, **options: object) -> GuardedScope[Any]:
        wrapped = guarded.setdefault(breaker, for_asyncpg.BreakerPool(pool, breaker=breaker, **options))
        return wrapped.acquire()

    try:
        yield Client(block, lambda connection, statement: connection.execute(statement), is_transaction=False)
    finally:
        pool.terminate()


@asynccontextmanager
async def psycopg_client(server: PostgreSQL) -> AsyncGenerator[Client]:
    pool = psycopg_pool.AsyncConnectionPool(
        server.dsn(), min_size=0, max_size=POOL_SIZE, timeout=CONNECT_SECONDS, open=False
    )
    await pool.open()
    guarded: dict[CircuitBreaker, for_psycopg.BreakerPool] = {}

    def block(breaker: CircuitBreaker, wait_seconds: float | None = None, **options: object) -> GuardedScope[Any]:
        wrapped = guarded.setdefault(breaker, for_psycopg.BreakerPool(pool, breaker=breaker, **options))
        return wrapped.connection(wait_seconds)

    try:
        yield Client(block, lambda connection, statement: connection.execute(statement))
    finally:
        await pool.close(timeout=1)


@asynccontextmanager
async def sqlalchemy_asyncpg_client(server: PostgreSQL) -> AsyncGenerator[Client]:
    limits = {"timeout": CONNECT_SECONDS, "command_timeout": COMMAND_SECONDS}
    async with _sqlalchemy_client(server.dsn(scheme="postgresql+asyncpg"), limits) as client:
        yield client


@asynccontextmanager
async def sqlalchemy_psycopg_client(server: PostgreSQL) -> AsyncGenerator[Client]:
    async with _sqlalchemy_client(server.dsn(scheme="postgresql+psycopg"), {}) as client:
        yield client


@asynccontextmanager
async def _sqlalchemy_client(url: str, connect_args: dict[str, float]) -> AsyncGenerator[Client]:
    engine = create_async_engine(
        url, pool_size=POOL_SIZE, max_overflow=0, pool_timeout=CONNECT_SECONDS, connect_args=connect_args
    )

    def block(breaker: CircuitBreaker, _wait_seconds: float | None = None, **options: object) -> GuardedScope[Any]:
        return for_sqlalchemy.guard(breaker, engine.begin(), **options)

    async def run(connection: AsyncConnection, statement: str) -> None:
        await connection.execute(text(statement.replace(":", r"\:")))

    try:
        yield Client(block, run)
    finally:
        await engine.dispose()


async def use(
    client: Client,
    breaker: CircuitBreaker,
    *statements: str,
    wait_seconds: float | None = None,
    **options: object,
) -> None:
    """Runs statements in a block of their own."""
    async with client.block(breaker, wait_seconds, **options) as connection:
        for statement in statements:
            await client.run(connection, statement)


CLIENTS = {
    "asyncpg": asyncpg_client,
    "psycopg": psycopg_client,
    "sqlalchemy-asyncpg": sqlalchemy_asyncpg_client,
    "sqlalchemy-psycopg": sqlalchemy_psycopg_client,
}
WITH_A_COMMAND_TIMEOUT = ("asyncpg", "sqlalchemy-asyncpg")
