"""The database: SQLite, asked by a model that nobody supervises, so that it can read and nothing else."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

MAX_ROWS = 1000
MAX_SECONDS = 2.0
STEPS_BETWEEN_CHECKS = 10_000

Row = dict[str, Any]

READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


def create(path: Path) -> None:
    """Make a small database, for a start."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE cities (name TEXT PRIMARY KEY, inhabitants INTEGER)")
        cities = [("Oslo", 717_710), ("Bergen", 291_940), ("Trondheim", 214_565)]
        connection.executemany("INSERT INTO cities VALUES (?, ?)", cities)


def read(path: Path, sql: str, parameters: tuple[Any, ...]) -> list[Row]:
    """Run one reading statement; blocks, so call it in a thread.

    Args:
        path: The database file.
        sql: One statement with `?` for each parameter. The driver refuses a second one, the authorizer whatever
            does not read: also ATTACH and PRAGMA, which a read-only connection would allow.
        parameters: They are bound, never pasted into the statement.

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
        return [dict(row) for row in connection.execute(sql, parameters).fetchmany(MAX_ROWS)]


def _allow_reading(action: int, *_: object) -> int:
    return sqlite3.SQLITE_OK if action in READING else sqlite3.SQLITE_DENY
