"""The integrations of databases: their arguments, and what is told when a library is missing."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from recloser import CircuitState
from recloser.integrations import aiosqlite as for_aiosqlite
from recloser.integrations import asyncpg as for_asyncpg
from recloser.integrations import psycopg as for_psycopg
from recloser.integrations import sqlalchemy as for_sqlalchemy
from tests.integrations.kit import one, totals
from tests.integrations.postgres import PostgreSQL

GUARDS = [for_aiosqlite.guard, for_asyncpg.guard, for_psycopg.guard, for_sqlalchemy.guard]
LIBRARIES = [
    ("aiosqlite", "aiosqlite"),
    ("asyncpg", "asyncpg"),
    ("psycopg", "psycopg"),
    ("psycopg", "psycopg_pool"),
    ("sqlalchemy", "sqlalchemy"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("guard", GUARDS)
def test_what_is_no_breaker_is_refused(guard: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="breaker must be a CircuitBreaker, not 'db'"):
        guard("db", None)


@pytest.mark.parametrize("guard", GUARDS[1:])
def test_what_is_no_sqlstate_is_refused(guard: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="failure_sqlstates must be a collection of SQLSTATEs, not '57014'"):
        guard(one(), None, failure_sqlstates="57014")


@pytest.mark.anyio
async def test_a_connection_of_asyncpg_without_a_pool_is_guarded_too(postgres: PostgreSQL) -> None:
    breaker = one()
    connection = await asyncpg.connect(postgres.dsn())
    with pytest.raises(asyncpg.UndefinedTableError):
        async with for_asyncpg.guard(breaker, connection.transaction()):
            await connection.execute("select * from missing")
    assert totals(breaker) == {"success": 1}
    postgres.kill()
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
        async with for_asyncpg.guard(breaker, connection.transaction()):
            await connection.execute("select 1")
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize(("module", "library"), LIBRARIES)
def test_a_missing_library_is_told_with_the_extra_that_brings_it(module: str, library: str) -> None:
    script = f"import sys; sys.modules[{library!r}] = None\nimport recloser.integrations.{module}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert f"ImportError: recloser.integrations.{module} needs " in done.stderr
    assert f"pip install 'recloser[{module}]'" in done.stderr


@pytest.mark.parametrize("module", ["aiosqlite", "asyncpg", "psycopg", "sqlalchemy"])
def test_one_library_does_without_the_others(module: str) -> None:
    others = [library for _, library in LIBRARIES if not library.startswith(module)]
    script = f"import sys; sys.modules.update(dict.fromkeys({others!r}))\nimport recloser.integrations.{module}"
    subprocess.run([sys.executable, "-c", script], check=True)
