"""SQLite files that are locked, full, corrupt or not to be opened open a breaker; wrong statements never do."""

import sqlite3
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import aiosqlite
import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker, create_async_engine

from recloser import CircuitBreaker, CircuitState
from recloser.events import Outcome
from recloser.integrations import aiosqlite as for_aiosqlite
from recloser.integrations import sqlalchemy as for_sqlalchemy
from recloser.integrations._sqlite import classify_sqlite
from recloser.testing import ManualClock
from tests.integrations.kit import one, totals

pytestmark = pytest.mark.anyio

WRONG_STATEMENTS = (
    "select * from missing",
    "selec 1",
    "insert into names values ('taken')",
    "insert into names values (null)",
    "select abs(-9223372036854775808)",
    "select load_extension('missing')",
)
MANY = 1000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "names.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("create table names (name text not null unique)")
        database.execute("insert into names values ('taken')")
        database.commit()
    return file


class Client(NamedTuple):
    """One way to a SQLite file: a block that hands out a connection, and how to run a statement on it."""

    block: Callable[[CircuitBreaker], AbstractAsyncContextManager[Any]]
    run: Callable[[Any, str], Any]


@asynccontextmanager
async def with_aiosqlite(address: str) -> AsyncGenerator[Client]:
    async def run(connection: aiosqlite.Connection, statement: str) -> None:
        await connection.execute_fetchall(statement)

    yield Client(lambda breaker: for_aiosqlite.guard(breaker, aiosqlite.connect(address, timeout=0, uri=True)), run)


@asynccontextmanager
async def with_sqlalchemy(address: str) -> AsyncGenerator[Client]:
    url = f"sqlite+aiosqlite:///{address}{'&' if '?' in address else '?'}uri=true"
    engine = create_async_engine(url, connect_args={"timeout": 0})

    async def run(connection: AsyncConnection, statement: str) -> None:
        await connection.execute(text(statement))

    yield Client(lambda breaker: for_sqlalchemy.guard(breaker, engine.begin()), run)
    await engine.dispose()


@pytest.fixture(params=[with_aiosqlite, with_sqlalchemy], ids=["aiosqlite", "sqlalchemy"])
def client_of(request: pytest.FixtureRequest) -> Callable[[str], AbstractAsyncContextManager[Client]]:
    made: Callable[[str], AbstractAsyncContextManager[Client]] = request.param
    return made


@pytest.fixture
def locked(path: Path) -> Generator[Path]:
    with closing(sqlite3.connect(path)) as other:
        other.execute("begin exclusive")
        yield path


ClientOf = Callable[[str], AbstractAsyncContextManager[Client]]


@contextmanager
def waiting_for_threads() -> Generator[None]:
    """Waits for the threads of connections that can't be made, which do not wait for their own."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(5)


async def outcome_on(client_of: ClientOf, address: str, statement: str) -> tuple[BaseException, dict[str, int]]:
    """Runs a statement that fails; returns with what, and what was counted."""
    breaker = one()
    with waiting_for_threads():
        async with client_of(address) as client:
            with pytest.raises((sqlite3.Error, DBAPIError)) as raised:
                async with client.block(breaker) as connection:
                    await client.run(connection, statement)
    exc = raised.value
    return exc.orig if isinstance(exc, DBAPIError) and exc.orig is not None else exc, totals(breaker)


def name_of(exc: BaseException) -> str:
    cause = exc.__cause__ if not hasattr(exc, "sqlite_errorname") and exc.__cause__ else exc
    return str(getattr(cause, "sqlite_errorname", None))


def overwrite(path: Path, content: bytes, at: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


async def test_a_locked_file_is_a_failure(client_of: ClientOf, locked: Path) -> None:
    exc, counted = await outcome_on(client_of, f"file:{locked}", "select * from names")
    assert (name_of(exc), counted) == ("SQLITE_BUSY", {"failure": 1})


async def test_a_corrupt_file_is_a_failure(client_of: ClientOf, path: Path) -> None:
    overwrite(path, b"\xff" * 4096, at=4096)
    exc, counted = await outcome_on(client_of, f"file:{path}", "select * from names")
    assert (name_of(exc), counted) == ("SQLITE_CORRUPT", {"failure": 1})


async def test_a_file_that_is_no_database_is_a_failure(client_of: ClientOf, path: Path) -> None:
    overwrite(path, b"not a database at all" * 500)
    exc, counted = await outcome_on(client_of, f"file:{path}", "select * from names")
    assert (name_of(exc), counted) == ("SQLITE_NOTADB", {"failure": 1})


async def test_a_file_that_can_not_be_opened_is_a_failure(client_of: ClientOf, tmp_path: Path) -> None:
    exc, counted = await outcome_on(client_of, f"file:{tmp_path}/missing/names.db", "select 1")
    assert (name_of(exc), counted) == ("SQLITE_CANTOPEN", {"failure": 1})


async def test_a_full_database_is_a_failure(client_of: ClientOf, path: Path) -> None:
    async with client_of(f"file:{path}") as client:
        breaker = one()
        with pytest.raises((sqlite3.Error, DBAPIError), match="full"):  # noqa: PT012 - the block is what is tested
            async with client.block(breaker) as connection:
                await client.run(connection, "pragma max_page_count = 1")
                await client.run(connection, "create table big as select randomblob(1000000)")
    assert breaker.state is CircuitState.OPEN


async def test_a_write_through_a_connection_that_may_only_read_is_an_answer(client_of: ClientOf, path: Path) -> None:
    exc, counted = await outcome_on(client_of, f"file:{path}?mode=ro", "insert into names values ('new')")
    assert (name_of(exc), counted) == ("SQLITE_READONLY", {"success": 1})


async def test_a_thousand_wrong_statements_never_open_a_breaker(client_of: ClientOf, path: Path) -> None:
    breaker = one()
    async with client_of(f"file:{path}") as client:
        for statement in islice(cycle(WRONG_STATEMENTS), MANY):
            with pytest.raises((sqlite3.Error, DBAPIError)):
                async with client.block(breaker) as connection:
                    await client.run(connection, statement)
    assert totals(breaker) == {"success": MANY}


async def test_an_error_of_another_database_that_the_block_uses_is_ignored(
    client_of: ClientOf, locked: Path, tmp_path: Path
) -> None:
    breaker = one()
    async with client_of(f"file:{tmp_path}/other.db") as client:
        other = sqlite3.connect(locked, timeout=0)
        with closing(other), pytest.raises(sqlite3.OperationalError, match="locked"):
            async with client.block(breaker):
                other.execute("insert into names values ('new')")
    assert totals(breaker) == {"ignored": 1}


async def test_a_missing_table_and_a_locked_file_are_errors_of_the_same_class(locked: Path) -> None:
    for address, table, total in ((":memory:", "missing", "success"), (locked, "names", "failure")):
        breaker = one()
        with pytest.raises(sqlite3.OperationalError):
            async with for_aiosqlite.guard(breaker, aiosqlite.connect(address, timeout=0)) as database:
                await database.execute_fetchall(f"select * from {table}")  # noqa: S608 - of two tables
        assert totals(breaker) == {total: 1}


async def test_a_block_of_a_statement_can_be_guarded_as_well(path: Path) -> None:
    breaker = one()
    async with aiosqlite.connect(path) as database:
        async with for_aiosqlite.guard(breaker, database.execute("select name from names")) as cursor:
            assert await cursor.fetchone() == ("taken",)
        with pytest.raises(sqlite3.ProgrammingError, match="binding"):
            async with for_aiosqlite.guard(breaker, database.execute("select ?")):
                pass
        with pytest.raises(ValueError, match="own"):
            async with for_aiosqlite.guard(breaker, database.execute("select 1")):
                raise ValueError("the block's own")
    assert totals(breaker) == {"success": 1, "ignored": 2}


async def enter(block: AbstractAsyncContextManager[Any]) -> None:
    async with block:
        pass


async def test_opening_a_file_of_sqlite_says_nothing_about_it(client_of: ClientOf, locked: Path) -> None:
    clock = ManualClock()
    breaker = one(clock=clock)
    breaker.force_open("a test", for_seconds=1)
    clock.advance(1)
    async with client_of(f"file:{locked}") as client:
        await enter(client.block(breaker))
        assert breaker.state is CircuitState.HALF_OPEN
        async with client.block(breaker) as connection:
            await client.run(connection, "select 1")
    assert breaker.state is CircuitState.CLOSED


STATEMENTS: dict[str, Callable[[aiosqlite.Connection], Any]] = {
    "execute": lambda database: database.execute("create table new (id int)"),
    "executemany": lambda database: database.executemany("insert into names values (?)", [("new",)]),
    "executescript": lambda database: database.executescript("create table new (id int)"),
    "execute_insert": lambda database: database.execute_insert("insert into names values ('new')"),
    "execute_fetchall": lambda database: database.execute_fetchall("select * from names"),
}


@pytest.mark.parametrize("run", STATEMENTS.values(), ids=STATEMENTS)
async def test_each_statement_is_a_use_of_a_connection(path: Path, run: Callable[[aiosqlite.Connection], Any]) -> None:
    breaker = one()
    async with for_aiosqlite.guard(breaker, aiosqlite.connect(path)) as database:
        async with for_aiosqlite.guard(breaker, run(database)):
            pass
        await database.rollback()
    assert totals(breaker) == {"success": 2}


async def test_a_cursor_that_executed_nothing_is_ignored(path: Path) -> None:
    breaker = one()
    async with aiosqlite.connect(path) as database:
        await enter(for_aiosqlite.guard(breaker, database.cursor()))
        assert totals(breaker) == {"ignored": 1}
        async with for_aiosqlite.guard(breaker, database.cursor()) as cursor:
            await cursor.execute("create table new (id int)")
        await enter(for_aiosqlite.guard(breaker, database.cursor()))
    assert totals(breaker) == {"ignored": 2, "success": 1}


async def test_a_pre_ping_of_sqlite_says_nothing_about_the_file(locked: Path) -> None:
    breaker = one()
    engine = create_async_engine(f"sqlite+aiosqlite:///{locked}", pool_pre_ping=True)
    await enter(for_sqlalchemy.guard(breaker, engine.connect()))
    await enter(for_sqlalchemy.guard(breaker, engine.connect()))
    await engine.dispose()
    assert totals(breaker) == {"ignored": 2}


async def test_what_sqlite_raises_is_recorded_by_its_code_alone(client_of: ClientOf, locked: Path) -> None:
    breaker = one()
    async with client_of(f"file:{locked}") as client:
        with pytest.raises((sqlite3.Error, DBAPIError)):
            async with client.block(breaker) as connection:
                await client.run(connection, "insert into names values ('Ada Lovelace')")
    assert "OperationalError: SQLITE_BUSY" in breaker.explain()
    assert "Lovelace" not in repr(breaker.health())


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("a text that is the same for many")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "code",
    [
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_BUSY_RECOVERY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_LOCKED_SHAREDCACHE,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CANTOPEN_ISDIR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY_DBMOVED,
        sqlite3.SQLITE_READONLY_CANTLOCK,
        sqlite3.SQLITE_READONLY_RECOVERY,
        sqlite3.SQLITE_READONLY_ROLLBACK,
        sqlite3.SQLITE_READONLY_DIRECTORY,
        sqlite3.SQLITE_READONLY_CANTINIT,
    ],
)
def test_a_code_of_an_outage_is_a_failure(code: int) -> None:
    assert classify_sqlite(sqlite_error(code)) is Outcome.FAILURE
    assert for_aiosqlite.is_failure(sqlite_error(code))
    assert for_sqlalchemy.is_failure(DBAPIError("select 1", None, sqlite_error(code)))


@pytest.mark.parametrize(
    "code",
    [
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_CONSTRAINT_UNIQUE,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_AUTH,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_MISUSE,
        sqlite3.SQLITE_RANGE,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_BUSY_SNAPSHOT,
    ],
)
def test_a_code_of_an_answer_is_none(code: int) -> None:
    assert classify_sqlite(sqlite_error(code)) is Outcome.SUCCESS
    assert not for_aiosqlite.is_failure(sqlite_error(code))
    assert not for_sqlalchemy.is_failure(DBAPIError("select 1", None, sqlite_error(code)))


def test_an_error_that_never_got_as_far_as_sqlite_is_ignored() -> None:
    assert classify_sqlite(sqlite3.ProgrammingError("Incorrect number of bindings supplied")) is Outcome.IGNORED


def test_a_group_is_a_failure_if_one_of_its_exceptions_is() -> None:
    wrong, busy = sqlite_error(sqlite3.SQLITE_ERROR), sqlite_error(sqlite3.SQLITE_BUSY)
    assert for_aiosqlite.is_failure(ExceptionGroup("both", [wrong, ExceptionGroup("inner", [busy])]))
    assert not for_aiosqlite.is_failure(ExceptionGroup("one", [wrong, ValueError("own")]))
    assert not for_aiosqlite.is_failure(KeyboardInterrupt())


def test_a_breaker_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="breaker must be a CircuitBreaker, not None"):
        for_aiosqlite.guard(None, aiosqlite.connect(":memory:"))


async def test_an_endpoint_that_turns_the_drivers_error_into_a_response_does_not_hide_it(tmp_path: Path) -> None:
    breaker, app = one(failure_threshold=9), FastAPI()
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'missing' / 'database'}")
    sessions = async_sessionmaker(engine)

    async def session() -> AsyncIterator[AsyncSession]:
        async with for_sqlalchemy.guard(breaker, sessions()) as session:
            yield session

    @app.get("/{row}")
    async def read(row: int, session: Annotated[AsyncSession, Depends(session)]) -> None:
        if row == 404:
            raise HTTPException(404)
        try:
            await session.execute(text("SELECT 1"))
        except OperationalError:
            raise HTTPException(503) from None

    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://example.org")
    with waiting_for_threads():
        async with client:
            assert [(await client.get(f"/{row}")).status_code for row in (1, 404, 1)] == [503, 404, 503]
    assert (totals(breaker)["failure"], totals(breaker)["ignored"]) == (2, 1)
    await engine.dispose()
