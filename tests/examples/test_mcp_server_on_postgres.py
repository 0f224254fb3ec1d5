"""The example of an MCP server on PostgreSQL: a real one, read, refused, killed and started again."""

import re
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import asyncpg
import pytest

from examples.mcp_server.__main__ import parse
from examples.mcp_server.database import QueryError
from examples.mcp_server.postgres import Postgres
from recloser import CircuitBreaker, CircuitState
from tests.examples.kit import ROOT, ask, states
from tests.integrations import sdk_mcp2
from tests.integrations.mcp_session import Session
from tests.integrations.postgres import USER, PostgreSQL

pytestmark = pytest.mark.anyio

CITIES = "SELECT name FROM example_cities WHERE inhabitants > $1 ORDER BY name"
TABLE = """
    DROP TABLE IF EXISTS example_cities;
    CREATE TABLE example_cities (name TEXT PRIMARY KEY, inhabitants INTEGER);
    INSERT INTO example_cities VALUES ('Oslo', 717710), ('Bergen', 291940), ('Trondheim', 214565);
    GRANT SELECT ON example_cities TO example_reader;
"""
ROLE = """
    DO $$ BEGIN CREATE ROLE example_reader LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
"""
REVOKE = re.search(r"^    (REVOKE EXECUTE [^;]+);", (ROOT / "examples/mcp_server/README.md").read_text(), re.MULTILINE)


@pytest.fixture
def anyio_backend() -> str:
    """Of the client only, for the server is another process."""
    return "asyncio"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@asynccontextmanager
async def serving(postgres: PostgreSQL, log: Path, user: str = "example_reader") -> AsyncIterator[Session]:
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute(ROLE + TABLE)
    await connection.close()
    options = ["--database", postgres.dsn(user=user), "--database-reset-seconds", "0.2"]
    command = [sys.executable, "-m", "examples.mcp_server", *options]
    with log.open("w") as errors:
        async with sdk_mcp2.by_stdio(command, errors) as session:
            yield session


REFUSED = [
    ("DELETE FROM example_cities", "only SELECT, WITH, VALUES and TABLE are allowed"),
    ("SET transaction_read_only = off", "only SELECT, WITH, VALUES and TABLE are allowed"),
    ("COPY example_cities TO PROGRAM 'cat'", "only SELECT, WITH, VALUES and TABLE are allowed"),
    ("SELECT 1; DROP TABLE example_cities", "cannot insert multiple commands into a prepared statement"),
    ("WITH gone AS (DELETE FROM example_cities RETURNING *) SELECT * FROM gone", "read-only transaction"),
    ("SELECT set_config('transaction_read_only', 'off', false)", "read-write mode must be set before any query"),
    ("SELECT * INTO copied FROM example_cities", "read-only transaction"),
    ("SELECT * FROM nowhere", 'relation "nowhere" does not exist'),
    ("SELECT 1 / 0", "division by zero"),
    ("SELECT", None),
    ("SELECT $1::int", "expects 1 argument"),
    ("SELECT pg_sleep(60)", "statement timeout"),
]


async def test_only_a_reading_statement_runs_and_no_query_opens_the_breaker(
    postgres: PostgreSQL, tmp_path: Path
) -> None:
    async with serving(postgres, tmp_path / "log") as session:
        for sql, why in [*REFUSED, *REFUSED[:-1]]:
            answer = await ask(session, "query_database", sql=sql)
            if why is None:
                assert answer == [{}], sql
            else:
                assert answer.startswith("Query failed: "), sql
                assert why in answer, sql
        assert (await states(session))["database"] == "closed"
        rows = await ask(session, "query_database", sql=CITIES, parameters=[0])
        assert rows == [{"name": "Bergen"}, {"name": "Oslo"}, {"name": "Trondheim"}]


async def test_values_that_json_does_not_know_come_as_text(postgres: PostgreSQL, tmp_path: Path) -> None:
    values = (
        "DATE '2026-01-02' AS day, 1.50 AS price, '\\xff'::bytea AS raw, ARRAY[1, 2] AS some, 'NaN'::float8 AS none"
    )
    async with serving(postgres, tmp_path / "log") as session:
        assert await ask(session, "query_database", sql=f"SELECT {values}") == [
            {"day": "2026-01-02", "price": "1.50", "raw": "ff", "some": [1, 2], "none": "nan"}
        ]


async def test_rows_from_before_are_served_while_the_server_is_gone_and_fresh_ones_when_it_is_back(
    postgres: PostgreSQL, tmp_path: Path
) -> None:
    async with serving(postgres, tmp_path / "log") as session:
        rows = [{"name": "Bergen"}, {"name": "Oslo"}]
        assert await ask(session, "query_database", sql=CITIES, parameters=[250_000]) == rows

        postgres.kill()
        for _ in range(10):
            answer = await ask(session, "query_database", sql=CITIES, parameters=[1])
            assert answer.startswith("Query failed: ")
            assert str(postgres.port) not in answer
        assert (await states(session))["database"] != "closed"
        assert await ask(session, "query_database", sql=CITIES, parameters=[250_000]) == rows

        postgres.start()
        with anyio.fail_after(30):
            while (await states(session))["database"] != "closed":
                await ask(session, "query_database", sql=CITIES, parameters=[250_000])
        assert len(await ask(session, "query_database", sql=CITIES, parameters=[0])) == 3
    assert "Using cached rows" in (tmp_path / "log").read_text()


def test_the_environment_may_name_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://reader:secret@db.example/app"
    monkeypatch.setenv("RECLOSER_EXAMPLE_DATABASE", url)
    monkeypatch.setattr("sys.argv", ["examples.mcp_server"])
    assert parse().database == url


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[tuple[Postgres, CircuitBreaker]]:
    breaker = CircuitBreaker("database")
    async with Postgres.opened(url, breaker) as database:
        yield database, breaker


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://reader:12/hunter2@127.0.0.1:1/app",  # a password that was not encoded
        "postgresql://reader:hunter2@127.0.0.1:hunter2/app",
        "postgresql://reader:hunter2@127.0.0.1:1/app?sslmode=hunter2",
        "postgresql://reader:hunter2@127.0.0.1:1/app",
        "postgresql://reader:hunter2@hunter2.invalid/app",
    ],
)
async def test_nothing_of_the_url_is_told_when_it_leads_nowhere(url: str) -> None:
    async with reading(url) as (database, _):
        with pytest.raises(QueryError) as raised:
            await database.read("SELECT 1", ())
    told = "".join(traceback.format_exception(raised.value))
    assert str(raised.value) == "the database does not answer"
    assert not any(part in told.replace("does not answer", "") for part in ("hunter2", "reader:", "127.0.0.1:1"))


async def test_a_parameter_that_is_too_large_for_its_type_is_an_error_of_the_query(postgres: PostgreSQL) -> None:
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute(ROLE)
    await connection.close()
    async with reading(postgres.dsn(user="example_reader")) as (database, breaker):
        for parameter in (10**400, 2**100):
            with pytest.raises(QueryError):
                await database.read("SELECT $1::float8", (10**400,))
            with pytest.raises(QueryError):
                await database.read("SELECT $1::int", (parameter,))
    assert breaker.state is CircuitState.CLOSED
    assert breaker.health()["failure_total"] == 0


async def test_a_superuser_is_refused(postgres: PostgreSQL, tmp_path: Path) -> None:
    async with serving(postgres, tmp_path / "log", USER) as session:
        answer = await ask(session, "query_database", sql="SELECT 1")
        assert answer == (
            "Query failed: the database is not open to a superuser; its operator must name a role that may only read"
        )
        assert (await states(session))["database"] == "closed"


async def test_a_session_can_not_be_ended_once_the_right_to_do_so_was_taken(
    postgres: PostgreSQL, tmp_path: Path
) -> None:
    assert REVOKE is not None
    async with serving(postgres, tmp_path / "log") as session:
        connection = await asyncpg.connect(postgres.dsn())
        await connection.execute(REVOKE[1])
        try:
            answer = await ask(session, "query_database", sql="SELECT pg_terminate_backend(pg_backend_pid())")
        finally:
            await connection.execute(REVOKE[1].replace("REVOKE", "GRANT").replace("FROM", "TO"))
            await connection.close()
        assert answer == "Query failed: permission denied for function pg_terminate_backend"
        assert (await states(session))["database"] == "closed"
