"""The example of an MCP server, whole: a process of its own, asked by a real client, with a real service that fails."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from examples.mcp_server.upstream import Upstream
from tests.examples.kit import ROOT, ask, states
from tests.integrations import sdk_mcp2
from tests.integrations.mcp_session import Session

pytestmark = pytest.mark.anyio

CITIES = "SELECT name FROM cities WHERE inhabitants > ? ORDER BY name"


@pytest.fixture
def anyio_backend() -> str:
    """Of the client only, for the server is another process."""
    return "asyncio"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    with upstream.serving():
        yield upstream


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "example.db"


@asynccontextmanager
async def serving(upstream: Upstream, database: Path, *options: str) -> AsyncIterator[Session]:
    given = ["--upstream", upstream.url, "--database", str(database), *options]
    command = [sys.executable, "-m", "examples.mcp_server", *given]
    with database.with_suffix(".log").open("w") as log:
        async with sdk_mcp2.by_stdio(command, log) as session:
            yield session


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


async def test_the_external_api_answers_fails_and_is_rejected(upstream: Upstream, database: Path) -> None:
    async with serving(upstream, database) as session:
        answer = await ask(session, "call_external_api", endpoint="weather", params={"city": "Oslo"})
        assert answer == {"status": "success", "data": {"service": "api", "id": "weather?city=Oslo"}}

        upstream.down.add("api")
        for _ in range(5):
            assert "API call failed: 503 Service Unavailable" in await ask(
                session, "call_external_api", endpoint="weather"
            )

        answered = upstream.requests
        answer = await ask(session, "call_external_api", endpoint="weather")
        assert answer.startswith("External service currently unavailable. Please try again later. Retry in ")
        assert upstream.requests == answered
        assert (await states(session))["external_api"] == "open"


async def test_the_database_answers_fails_and_serves_what_it_said_before(upstream: Upstream, database: Path) -> None:
    async with serving(upstream, database) as session:
        rows = [{"name": "Bergen"}, {"name": "Oslo"}]
        assert await ask(session, "query_database", sql=CITIES, parameters=[250_000]) == rows

        database.rename(database.with_suffix(".gone"))  # noqa: ASYNC240 - nothing else runs in this loop
        for _ in range(10):
            answer = await ask(session, "query_database", sql=CITIES, parameters=[250_000])
            assert answer == "Query failed: unable to open database file"

        assert (await states(session))["database"] == "open"
        assert await ask(session, "query_database", sql=CITIES, parameters=[250_000]) == rows
        answer = await ask(session, "query_database", sql=CITIES, parameters=[7])
        assert answer.startswith("Database temporarily unavailable. Try again in a moment. Retry in ")
    assert "Using cached rows" in database.with_suffix(".log").read_text()


REFUSED = [
    "DELETE FROM cities",
    "INSERT INTO cities VALUES ('x', 1)",
    "ATTACH DATABASE 'other.db' AS other",
    "PRAGMA query_only = 0",
    "SELECT 1; DROP TABLE cities",
    "SELECT * FROM nowhere",
    "SELEKT",  # codespell:ignore
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
]


async def test_only_a_reading_statement_runs_and_no_query_opens_the_breaker(upstream: Upstream, database: Path) -> None:
    async with serving(upstream, database) as session:
        for sql in [*REFUSED, *REFUSED[:-1]]:
            assert (await ask(session, "query_database", sql=sql)).startswith("Query failed: "), sql
        assert (await states(session))["database"] == "closed"
        assert len(await ask(session, "query_database", sql=CITIES, parameters=[0])) == 3


async def test_a_user_comes_from_the_service_the_cache_or_nowhere(upstream: Upstream, database: Path) -> None:
    async with serving(upstream, database) as session:
        user = {"service": "users", "id": "7"}
        assert await ask(session, "get_user_with_fallback", user_id="7") == user

        upstream.down.add("users")
        for _ in range(5):
            assert "User lookup failed" in await ask(session, "get_user_with_fallback", user_id="7")

        assert await ask(session, "get_user_with_fallback", user_id="7") == {**user, "from_cache": True}
        assert await ask(session, "get_user_with_fallback", user_id="8") == {
            "id": "8",
            "status": "unavailable",
            "message": "User data temporarily unavailable",
        }


async def test_data_steps_down_from_source_to_source(upstream: Upstream, database: Path) -> None:
    async with serving(upstream, database) as session:

        async def source_of(data_id: str) -> object:
            answer = await ask(session, "get_data_with_multiple_fallbacks", data_id=data_id)
            return answer["service"] if isinstance(answer, dict) else answer

        assert await source_of("1") == "primary"
        upstream.down.add("primary")
        assert await source_of("1") == "secondary"
        upstream.down.add("secondary")
        assert await source_of("1") == "secondary"  # as it was read before
        assert await source_of("2") == "All data sources unavailable. Please try again later."
    log = database.with_suffix(".log").read_text()
    assert "Fallback 'data' moved on from" in log
    assert "Fallback 'data' has no link left" in log


async def test_it_recovers_when_the_service_does(upstream: Upstream, database: Path) -> None:
    upstream.down.add("api")
    async with serving(upstream, database, "--api-reset-seconds", "0.05") as session:
        for _ in range(5):
            await ask(session, "call_external_api", endpoint="weather")
        assert (await states(session))["external_api"] == "open"
        upstream.down.clear()
        with anyio.fail_after(30):
            while isinstance(await ask(session, "call_external_api", endpoint="weather"), str):
                pass
        assert (await states(session))["external_api"] == "closed"


async def test_it_brings_a_service_and_a_database_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.mcp_server", "--down-after", "1"]
    with (tmp_path / "log").open("w") as log:
        async with sdk_mcp2.by_stdio(command, log) as session:
            assert (await ask(session, "call_external_api", endpoint="x"))["status"] == "success"
            assert "API call failed" in await ask(session, "call_external_api", endpoint="x")
            assert len(await ask(session, "query_database", sql=CITIES, parameters=[0])) == 3
