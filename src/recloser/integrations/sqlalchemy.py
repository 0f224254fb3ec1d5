"""Circuit breakers for SQLAlchemy: `async with guard(breaker, engine.begin()) as connection:`.

For `sqlalchemy.ext.asyncio`, over asyncpg, psycopg, aiosqlite or another driver.

Failures are lost, refused and timed out connections, and the SQLSTATEs and SQLite codes of an outage. Any other error
of the database is a success, because the database has answered. Ignored are cancelled statements (57014) unless
`failure_sqlstates` contains them, an engine whose pool has lent all its connections, misuse, and exceptions of the
block itself. Of drivers other than those three, lost connections are recognised (`connection_invalidated`, OSErrors),
but no codes.

A block that neither made nor used a connection is ignored: a session that executed nothing, or a connection that the
pool had at hand. Connecting, a pre-ping and each statement that SQLAlchemy executes count as a use. What a block does
with the driver's own connection, past SQLAlchemy, is not seen. SQLite reads nothing to open a file, so that only
statements count there.

The block is guarded, not the engine's events: `handle_error` is not called when asyncpg cannot connect.

`sqlalchemy.ext.asyncio` runs on asyncio only, and so does this module.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from recloser.events import Outcome
from recloser.integrations._network import came_out_of
from recloser.integrations._scope import GuardedScope, Rules, address, checked_breaker, driver_error, has_failure
from recloser.integrations._sqlite import classify_sqlite
from recloser.integrations._sqlstate import checked_sqlstates, classify_sqlstate, severity_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractAsyncContextManager

    from recloser import CircuitBreaker

try:
    from sqlalchemy import exc as errors
    from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

    from recloser.integrations._sqlalchemy_usage import ScopeUsage
except ModuleNotFoundError as _error:
    raise ImportError(
        "recloser.integrations.sqlalchemy needs SQLAlchemy: pip install 'recloser[sqlalchemy]'"
    ) from _error

__all__ = ["guard", "is_failure"]

T = TypeVar("T")

DEFAULT_PORTS = {"mariadb": 3306, "mysql": 3306, "postgresql": 5432}

WAITING_FOR_A_CONNECTION = ("sqlalchemy.util.queue",)
INVALIDATED = "8s2b"
"""SQLAlchemy's code for a transaction whose connection has been lost."""
ANSWERS = (errors.NoResultFound, errors.MultipleResultsFound)
"""Errors about rows that the database has delivered."""


def is_failure(exc: BaseException, *, failure_sqlstates: Collection[str] = ()) -> bool:
    """Return whether an exception means that the database failed; for `expected_exception=` of a breaker.

    Use it with functions that talk to nothing but the database: a network error counts wherever it was raised.

    Args:
        exc: Any exception; a group is a failure if one of its exceptions is.
        failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.

    Raises:
        TypeError: `failure_sqlstates` is no collection of strings.
        ValueError: One of them is no SQLSTATE.
    """
    return has_failure(exc, _rules(failure_sqlstates))


def guard(
    breaker: CircuitBreaker, scope: AbstractAsyncContextManager[T, Any], *, failure_sqlstates: Collection[str] = ()
) -> GuardedScope[T]:
    """Put a block of `async with` under a breaker; it is one call, from connecting to the end of the COMMIT.

    The breaker classifies a cancellation as it does for any call. Its `expected_exception` has no effect on the block.

    Args:
        breaker: The breaker of the database; use one for each engine.
        scope: `engine.begin()`, `engine.connect()`, a session, `sessions.begin()`, `session.begin()`, or another async
            context manager of SQLAlchemy; entered if the breaker admits.
        failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: One of `failure_sqlstates` is no SQLSTATE.
        CircuitBreakerOpenError: On entering: the breaker rejects the block.
    """
    rules = replace(_rules(failure_sqlstates), peer=partial(_peer, scope))
    return GuardedScope(checked_breaker(breaker), scope, rules)


def _peer(scope: object, entered: object) -> str | None:
    """Return the host and the port of the engine that the connection or the session of a scope belongs to."""
    for owner in (entered, scope):
        part: Any = owner
        if isinstance(owner, AsyncSessionTransaction):
            part = owner.session.bind
        elif isinstance(owner, AsyncSession):
            part = owner.bind
        engine = getattr(part, "sync_engine", None) or getattr(part, "engine", None)
        if engine is not None:
            url = engine.url
            return address(url.host, url.port or DEFAULT_PORTS.get(url.get_backend_name()))
    return None


def _is_wait(exc: BaseException, _connection: object) -> bool:
    """Return whether an exception ended a wait for a connection while the pool had lent all its connections.

    A session connects when it is first used, so the wait can happen after the scope was entered.
    """
    return isinstance(exc, errors.TimeoutError) or came_out_of(WAITING_FOR_A_CONNECTION, exc)


def _rules(failure_sqlstates: Collection[str]) -> Rules:
    """Return the rules; a driver that the block uses by itself may talk to another database, so `is_own_only`."""
    classify = partial(_classify, checked_sqlstates("failure_sqlstates", failure_sqlstates))
    return Rules(("sqlalchemy",), classify, _is_wait, is_own_only=True, watch=ScopeUsage)


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
