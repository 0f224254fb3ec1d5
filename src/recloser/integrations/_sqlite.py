"""How errors of SQLite are classified, by their result codes (https://sqlite.org/rescode.html).

The exception classes of `sqlite3` are too coarse: a missing table and a full disk are both an OperationalError.

Two codes differ from the rest of their families. SQLITE_BUSY_SNAPSHOT is a conflict between two transactions, like
PostgreSQL's 40001, and the transaction can be run again. SQLITE_READONLY itself is a write through a read-only
connection: SQLite opens a file without write permission as read-only, without an error. Reads still work, and waiting
does not help the writes. Its extended codes are conditions of the file or its directory, and are failures.
"""

from __future__ import annotations

import sqlite3

from recloser.events import Outcome

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
"""The low byte of an extended code is its primary code."""


def classify_sqlite(exc: BaseException) -> Outcome:
    """Classify an error of `sqlite3`; one without a code was raised before SQLite was called."""
    code: int | None = getattr(exc, "sqlite_errorcode", None)
    if code is None:
        return Outcome.IGNORED
    return Outcome.FAILURE if code & PRIMARY in OUTAGES and code not in NO_OUTAGES else Outcome.SUCCESS
