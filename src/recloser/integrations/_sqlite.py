"""What SQLite says about a database by a result code (https://sqlite.org/rescode.html).

The classes of `sqlite3` do not tell: a table that does not exist and a disk that is full are both OperationalError.

Two codes are split. SQLITE_BUSY_SNAPSHOT is contention between two transactions, to be tried again, like PostgreSQL's
40001. Plain SQLITE_READONLY is a write through a connection that may only read. SQLite opens a file without the
permission to write just like that, without an error, and says the same for both; reads go on working, and no waiting
will make the writes work. Its extended codes are conditions of the file or its directory.
"""

from __future__ import annotations

import sqlite3

from recloser import Outcome

OUTAGES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
NO_OUTAGES = frozenset({sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_READONLY})
PRIMARY = 0xFF
"""An extended code keeps its primary one in the low byte."""


def judge_sqlite(exc: BaseException) -> Outcome:
    """Return what an error of `sqlite3` means; one without a code never got as far as SQLite."""
    code: int | None = getattr(exc, "sqlite_errorcode", None)
    if code is None:
        return Outcome.IGNORED
    return Outcome.FAILURE if code & PRIMARY in OUTAGES and code not in NO_OUTAGES else Outcome.SUCCESS
