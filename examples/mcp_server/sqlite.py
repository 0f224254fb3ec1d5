"""Read-only SQLite: a file, an authorizer, and what counts as a failure."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from recloser import CircuitBreaker

from .database import MAX_ROWS, MAX_SECONDS, QueryError, Row, plain

STEPS_BETWEEN_CHECKS = 10_000

READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
DOWN = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
}
PRIMARY_CODE = 0xFF  # an extended result code keeps its primary one in the low byte


class SQLite:
    """A SQLite file.

    Args:
        path: The file; if it doesn't exist, a small database is created there.
        breaker: The breaker that protects its queries.
    """

    def __init__(self, path: Path, breaker: CircuitBreaker) -> None:
        self._path = path
        self._breaker = breaker
        if not path.exists():
            create(path)

    async def read(self, sql: str, parameters: tuple[Any, ...]) -> list[Row]:
        """Run one reading statement with `?` for each parameter; see `Database.read()`."""
        try:
            return await self._breaker.call_in_thread(read, self._path, sql, parameters)
        except (sqlite3.Error, sqlite3.Warning) as exc:
            raise QueryError(str(exc)) from exc


def is_down(exc: BaseException) -> bool:
    """Return whether SQLite failed rather than the query; only the error code tells, not the exception class."""
    code = getattr(exc, "sqlite_errorcode", None)
    return code is not None and code & PRIMARY_CODE in DOWN


def create(path: Path) -> None:
    """Create a small database to start with."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE cities (name TEXT PRIMARY KEY, inhabitants INTEGER)")
        cities = [("Oslo", 717_710), ("Bergen", 291_940), ("Trondheim", 214_565)]
        connection.executemany("INSERT INTO cities VALUES (?, ?)", cities)


def read(path: Path, sql: str, parameters: tuple[Any, ...]) -> list[Row]:
    """Run one reading statement; blocks, so call it in a thread.

    Args:
        path: The database file.
        sql: One statement with `?` for each parameter. The driver refuses a second statement. The authorizer refuses
            everything that doesn't read, including ATTACH and PRAGMA, which a read-only connection would allow.
        parameters: The values; they are bound, never pasted into the statement.

    Returns:
        At most 1000 rows.

    Raises:
        sqlite3.Error: The statement is refused, wrong, or takes longer than 2 s, or the database fails.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
        connection.row_factory = sqlite3.Row
        connection.set_authorizer(_allow_reading)
        deadline = time.monotonic() + MAX_SECONDS
        connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_BETWEEN_CHECKS)
        return [_plain(row) for row in connection.execute(sql, parameters).fetchmany(MAX_ROWS)]


def _plain(row: sqlite3.Row) -> Row:
    return {name: plain(row[name]) for name in row.keys()}  # noqa: SIM118 - a row iterates over its values


def _allow_reading(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in READING else sqlite3.SQLITE_DENY
