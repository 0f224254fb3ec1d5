"""Read-only PostgreSQL: a read-only transaction for each statement, and a breaker that knows SQLSTATEs.

A transaction can't forbid functions that end other sessions or read files of the server. The role has to forbid them:
connect with a role that can read the tables that the model is allowed to see, and nothing else. Superusers are refused.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

# It has no types.
import asyncpg  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from recloser import CircuitBreaker
from recloser.integrations.asyncpg import BreakerPool

from .database import MAX_ROWS, MAX_SECONDS, QueryError, Row, plain

CONNECT_SECONDS = 2.0
COMMAND_SECONDS = 2 * MAX_SECONDS  # above the server's own limit, so only a frozen server reaches it
SETTINGS = {
    "application_name": "recloser-example",
    "default_transaction_read_only": "on",
    "statement_timeout": f"{MAX_SECONDS:.0f}s",
}
READING = re.compile(r"\s*(?:select|with|values|table)\b", re.IGNORECASE)


class RoleError(Exception):
    """The role in the URL is a superuser."""


class Postgres:
    """A PostgreSQL server.

    Args:
        pool: The pool of connections, behind its breaker.
    """

    def __init__(self, pool: BreakerPool) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, breaker: CircuitBreaker) -> AsyncGenerator[Self]:
        """Keep a pool open for the duration of a block; the server doesn't have to be up yet."""
        pool = asyncpg.create_pool(
            url,
            min_size=0,
            max_size=5,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            server_settings=SETTINGS,
            init=_refuse_superusers,
        )
        async with pool:
            yield cls(BreakerPool(pool, breaker=breaker))

    async def read(self, sql: str, parameters: tuple[Any, ...]) -> list[Row]:
        """Run one reading statement with `$1`, `$2` for the parameters; see `Database.read()`.

        It is a prepared statement, so PostgreSQL rejects several statements in one text.
        """
        if READING.match(sql) is None:
            raise QueryError("only SELECT, WITH, VALUES and TABLE are allowed")
        connected = False
        try:
            async with self._pool.acquire() as connection:
                connected = True
                async with connection.transaction(readonly=True):
                    statement = await connection.prepare(sql)
                    cursor = await statement.cursor(*map(_whole, parameters))
                    rows = await cursor.fetch(MAX_ROWS)
        except RoleError as exc:
            raise QueryError(str(exc)) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, OverflowError, OSError) as exc:
            if not connected or isinstance(exc, OSError):  # its text has addresses, or parts of the URL
                raise QueryError("the database does not answer") from None
            raise QueryError(str(exc).partition("\n")[0]) from exc  # without DETAIL and HINT
        return [{name: plain(value) for name, value in row.items()} for row in rows]


async def _refuse_superusers(connection: asyncpg.Connection) -> None:
    if connection.get_settings().is_superuser == "on":
        raise RoleError("the database is not open to a superuser; its operator must name a role that may only read")


def _whole(parameter: Any) -> Any:  # noqa: ANN401 - of a statement
    """Turn a whole float into an integer: JSON may write 1 as 1.0, but the server may expect an integer."""
    return int(parameter) if isinstance(parameter, float) and parameter.is_integer() else parameter
