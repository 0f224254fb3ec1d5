"""A circuit breaker around the blocks of SQLAlchemy: `async with guard(breaker, engine.begin()) as connection:`.

For `sqlalchemy.ext.asyncio`, which runs on asyncio alone, over asyncpg, psycopg, aiosqlite, or another driver: of
others, lost connections are known (`connection_invalidated`, OSErrors), but not their codes. `_sqlstate` and `_sqlite`
say which answers of a database are failures.

The block is the sensor, and no event of the engine: `handle_error` is not told of a connection that asyncpg can't make.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from recloser import Outcome
from recloser.integrations._network import came_out_of
from recloser.integrations._scope import GuardedScope, Rules, checked_breaker, driver_error, has_failure
from recloser.integrations._sqlite import judge_sqlite
from recloser.integrations._sqlstate import checked_sqlstates, judge_sqlstate, severity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from contextlib import AbstractAsyncContextManager

    from recloser import CircuitBreaker

try:
    from sqlalchemy import exc as errors
except ModuleNotFoundError as error:
    raise ImportError(
        "recloser.integrations.sqlalchemy needs SQLAlchemy: pip install 'recloser[sqlalchemy]'"
    ) from error

__all__ = ["guard", "is_failure"]

T = TypeVar("T")

PACKAGES = ("sqlalchemy",)
WAITING_FOR_A_CONNECTION = ("sqlalchemy.util.queue",)
INVALIDATED = "8s2b"
"""SQLAlchemy's code for a transaction whose connection has been lost."""
ANSWERS = (errors.NoResultFound, errors.MultipleResultsFound)
"""Errors about rows, which the database has delivered."""


def is_failure(exc: BaseException, *, failure_sqlstates: Collection[str] = ()) -> bool:
    """Return whether an exception means that the database failed; for `expected_exception=` of a breaker.

    For functions that talk to the database alone: an OSError that tells of a network counts wherever it comes from.

    Args:
        exc: Any exception; a group is a failure if one of its exceptions is.
        failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.

    Raises:
        TypeError: `failure_sqlstates` is no collection of strings.
        ValueError: One of them is no SQLSTATE.
    """
    return has_failure(exc, _judge_by(failure_sqlstates))


def guard(
    breaker: CircuitBreaker, scope: AbstractAsyncContextManager[T, Any], *, failure_sqlstates: Collection[str] = ()
) -> GuardedScope[T]:
    """Put a block under a breaker; the block is one call, from connecting to the end of the COMMIT.

    Failures are lost, refused and timed out connections, and the SQLSTATEs and SQLite codes that tell of an outage. Any
    other error of the database is a success: it answered. Ignored are cancelled statements (57014) unless
    `failure_sqlstates` has them, the engine's own pool when it has lent all connections, misuse, and exceptions of
    the block's own. A cancellation is judged as that of any call. The breaker's own `expected_exception` is not asked.

    Args:
        breaker: The database's; one for each engine.
        scope: `engine.begin()`, `engine.connect()`, a session, `sessions.begin()`, `session.begin()`, or another async
            context manager of SQLAlchemy; entered if the breaker admits.
        failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: One of `failure_sqlstates` is no SQLSTATE.
        CircuitBreakerOpenError: On entering: the breaker rejects the block.
    """
    judge = partial(_judge_in_block, _judge_by(failure_sqlstates))
    return GuardedScope(checked_breaker(breaker), scope, Rules(PACKAGES, judge, _is_wait))


def _is_wait(exc: BaseException, _entered: bool) -> bool:  # noqa: FBT001 - as `Rules` calls it
    """Return whether an exception ended a wait for a connection while all that there may be were lent.

    A session connects when it is first used, so that this is not known by the place.
    """
    return isinstance(exc, errors.TimeoutError) or came_out_of(WAITING_FOR_A_CONNECTION, exc)


def _judge_in_block(judge: Callable[[Exception, object], Outcome], exc: Exception, connection: object) -> Outcome:
    """Judge what came out of SQLAlchemy; a driver that the block uses by itself talks to somebody else."""
    return judge(exc, connection) if came_out_of(PACKAGES, exc) else Outcome.IGNORED


def _judge_by(failure_sqlstates: Collection[str]) -> Callable[[Exception, object], Outcome]:
    return partial(_judge, checked_sqlstates("failure_sqlstates", failure_sqlstates))


def _judge(failures: frozenset[str], exc: Exception, _connection: object) -> Outcome:
    """Return what an exception means that is no OSError: by codes first, which say more than a lost connection does.

    SQLAlchemy 2.0 does not wrap what asyncpg raises while it connects.
    """
    cause = driver_error(exc)
    sqlstate = getattr(cause, "sqlstate", None)
    if isinstance(sqlstate, str):
        return judge_sqlstate(sqlstate, severity_of(cause), failures)
    if hasattr(cause, "sqlite_errorcode"):
        return judge_sqlite(cause)
    if not isinstance(exc, errors.DBAPIError):
        return _judge_own(exc)
    if exc.connection_invalidated or isinstance(cause, OSError) or _is_lost_by_psycopg(exc, cause):
        return Outcome.FAILURE
    return Outcome.IGNORED


def _judge_own(exc: Exception) -> Outcome:
    """Return what an error of SQLAlchemy's own means, or one of anybody else."""
    if isinstance(exc, ANSWERS):
        return Outcome.SUCCESS
    is_lost = isinstance(exc, errors.PendingRollbackError) and exc.code == INVALIDATED
    return Outcome.FAILURE if is_lost else Outcome.IGNORED


def _is_lost_by_psycopg(exc: errors.DBAPIError, cause: BaseException) -> bool:
    """Return whether an error is psycopg's of a connection: the one kind of OperationalError without an SQLSTATE."""
    return isinstance(exc, errors.OperationalError) and hasattr(cause, "sqlstate")
