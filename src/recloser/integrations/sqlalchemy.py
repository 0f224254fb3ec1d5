"""Circuit breakers for SQLAlchemy: `async with guard(breaker, engine.begin()) as connection:`.

For `sqlalchemy.ext.asyncio`, over asyncpg, psycopg, aiosqlite or another driver. `guard` takes `engine.begin()`,
`engine.connect()`, a session, `sessions.begin()` or `session.begin()`. The block is one call, from connecting to the
end of the COMMIT; use one breaker for each engine.

Failures are lost, refused and timed out connections, and the SQLSTATEs and SQLite codes of an outage. Any other error
of the database is a success, because the database has answered. Ignored are cancelled statements (57014) unless
`failure_sqlstates` contains them, an engine whose pool has lent all its connections, misuse, and exceptions of the
block itself. Of drivers other than those three, lost connections are recognised (`connection_invalidated`, OSErrors),
but no codes.

The block is guarded, not the engine's events: `handle_error` is not called when asyncpg cannot connect.

`sqlalchemy.ext.asyncio` runs on asyncio only, and so does this module.
"""

from __future__ import annotations

from recloser import Outcome
from recloser.integrations._driver import Driver
from recloser.integrations._network import came_out_of
from recloser.integrations._scope import driver_error
from recloser.integrations._sqlite import classify_sqlite
from recloser.integrations._sqlstate import classify_sqlstate, severity_of

try:
    from sqlalchemy import exc as errors
except ModuleNotFoundError as error:
    raise ImportError(
        "recloser.integrations.sqlalchemy needs SQLAlchemy: pip install 'recloser[sqlalchemy]'"
    ) from error

__all__ = ["guard", "is_failure"]

WAITING_FOR_A_CONNECTION = ("sqlalchemy.util.queue",)
INVALIDATED = "8s2b"
"""SQLAlchemy's code for a transaction whose connection has been lost."""
ANSWERS = (errors.NoResultFound, errors.MultipleResultsFound)
"""Errors about rows that the database has delivered."""


def _is_wait(exc: BaseException, _connection: object) -> bool:
    """Return whether an exception ended a wait for a connection while the pool had lent all its connections.

    A session connects when it is first used, so the wait can happen after the scope was entered.
    """
    return isinstance(exc, errors.TimeoutError) or came_out_of(WAITING_FOR_A_CONNECTION, exc)


def _classify(failures: frozenset[str], exc: Exception, _connection: object) -> Outcome:
    """Classify an exception that is no OSError: by its code first, which is more precise than a lost connection.

    SQLAlchemy 2.0 does not wrap what asyncpg raises while it connects.
    """
    cause = driver_error(exc)
    sqlstate = getattr(cause, "sqlstate", None)
    if isinstance(sqlstate, str):
        return classify_sqlstate(sqlstate, severity_of(cause), failures)
    if hasattr(cause, "sqlite_errorcode"):
        return classify_sqlite(cause)
    if not isinstance(exc, errors.DBAPIError):
        return _classify_own(exc)
    if exc.connection_invalidated or isinstance(cause, OSError) or _is_lost_by_psycopg(exc, cause):
        return Outcome.FAILURE
    return Outcome.IGNORED


def _classify_own(exc: Exception) -> Outcome:
    """Classify an error that SQLAlchemy raises itself; any other exception is ignored."""
    if isinstance(exc, ANSWERS):
        return Outcome.SUCCESS
    is_lost = isinstance(exc, errors.PendingRollbackError) and exc.code == INVALIDATED
    return Outcome.FAILURE if is_lost else Outcome.IGNORED


def _is_lost_by_psycopg(exc: errors.DBAPIError, cause: BaseException) -> bool:
    """Return whether psycopg lost a connection: only then has its OperationalError no SQLSTATE."""
    return isinstance(exc, errors.OperationalError) and hasattr(cause, "sqlstate")


# A driver that the block uses on its own may talk to another database: only what comes out of SQLAlchemy counts.
_DRIVER = Driver(("sqlalchemy",), _classify, is_wait=_is_wait, is_own_only=True)

guard = _DRIVER.guard
is_failure = _DRIVER.is_failure
