"""Times blocks on databases with and without a breaker: SQLite in memory and PostgreSQL on loopback.

The PostgreSQL server is the one of the tests.
"""

import importlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median

from recloser import CircuitBreaker
from tests.integrations.postgres import PostgreSQL, find_programs

BLOCKS_PER_BATCH = 40

Block = Callable[[], Awaitable[None]]


async def percent_of_a_block(library: str, rounds: int) -> float | None:
    """Returns what a breaker adds to the CPU time that this process spends on one query in a block, in percent.

    Bare and guarded blocks alternate. The figure is the median of what the breaker adds in each round. It is None if
    this machine does not have the database.

    Args:
        library: One of `LIBRARIES`.
        rounds: How often to run a batch of each kind of block.
    """
    if library == "asyncpg" and find_programs() is None:
        return None
    async with LIBRARIES[library]() as (bare, guarded):
        added = []
        for turn in range(rounds + 1):
            first, second = (bare, guarded) if turn % 2 else (guarded, bare)
            spent = {block: await _batch(block) for block in (first, second)}
            added.append(100 * (spent[guarded] / spent[bare] - 1))
    return median(added[1:])  # the first one connects


async def _batch(block: Block) -> int:
    started = time.process_time_ns()  # aiosqlite has a thread
    for _ in range(BLOCKS_PER_BATCH):
        await block()
    return time.process_time_ns() - started


@asynccontextmanager
async def _with_aiosqlite() -> AsyncGenerator[tuple[Block, Block]]:
    aiosqlite = importlib.import_module("aiosqlite")
    guard = importlib.import_module("recloser.integrations.aiosqlite").guard
    breaker = CircuitBreaker()
    async with aiosqlite.connect(":memory:") as database:

        async def bare() -> None:
            async with database.execute("select 1") as cursor:
                await cursor.fetchone()

        async def guarded() -> None:
            async with guard(breaker, database.execute("select 1")) as cursor:
                await cursor.fetchone()

        yield bare, guarded


@asynccontextmanager
async def _with_asyncpg() -> AsyncGenerator[tuple[Block, Block]]:
    asyncpg = importlib.import_module("asyncpg")
    adapter = importlib.import_module("recloser.integrations.asyncpg")
    programs = find_programs()
    if programs is None:
        raise RuntimeError("there is no PostgreSQL server on this machine")
    server = PostgreSQL(programs)
    try:
        server.start()
        async with asyncpg.create_pool(server.dsn(), min_size=1, max_size=1) as pool:
            guarded_pool = adapter.BreakerPool(pool, breaker=CircuitBreaker())

            async def bare() -> None:
                await pool.fetchval("select 1")

            async def guarded() -> None:
                await guarded_pool.fetchval("select 1")

            yield bare, guarded
    finally:
        server.close()


LIBRARIES = {"aiosqlite": _with_aiosqlite, "asyncpg": _with_asyncpg}
"""The libraries, and what connects with each."""
