"""The database: a model queries it without supervision, so it only allows reading."""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from recloser import CircuitBreaker

MAX_ROWS = 1000
MAX_SECONDS = 2.0

POSTGRESQL = ("postgresql://", "postgres://")

Row = dict[str, Any]


class QueryError(Exception):
    """A query returned no rows: it was refused, wrong or too slow, or the database failed."""


class Database(Protocol):
    """A database that can be read, behind its breaker."""

    async def read(self, sql: str, parameters: tuple[Any, ...]) -> list[Row]:
        """Run one reading statement; return at most 1000 rows of values that JSON can represent.

        Raises:
            QueryError: The query returned no rows.
            CircuitBreakerOpenError: The breaker rejects the query.
        """
        ...


@asynccontextmanager
async def opened(place: str, breaker: CircuitBreaker) -> AsyncGenerator[Database]:
    """Open a database for the duration of a block.

    Args:
        place: A PostgreSQL URL, or a SQLite file, which is created if it is missing.
        breaker: The breaker that protects its queries.
    """
    if place.startswith(POSTGRESQL):
        from .postgres import Postgres  # noqa: PLC0415 - needs asyncpg

        async with Postgres.opened(place, breaker) as postgres:
            yield postgres
    else:
        from .sqlite import SQLite  # noqa: PLC0415 - as above, for symmetry

        yield SQLite(Path(place), breaker)


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever a driver returns
    """Return a value that JSON can represent: bytes become hexadecimal, and unknown types become text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)
