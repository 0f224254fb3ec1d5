"""Circuit breakers for psycopg 3: `BreakerPool(pool, breaker=breaker)`.

Failures are lost and refused connections, and the SQLSTATEs of an outage. Any other error of the server is a success,
because the server has answered. Ignored are cancelled statements (57014) unless `failure_sqlstates` contains them,
misuse of the driver, and exceptions of the block itself. A login that fails has no SQLSTATE, since libpq does not pass
it on: a wrong password counts like a server without free connections.

A block that did not wait for the server is ignored, such as one that used none of the connection that the pool had at
hand. A connection that was made for the block, or that the pool has checked, counts as used.

The asynchronous half of psycopg runs on asyncio only, and so does this module.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from recloser.events import Outcome
from recloser.integrations._scope import GuardedScope, Rules, address, checked_breaker, has_failure
from recloser.integrations._sqlstate import checked_sqlstates, classify_sqlstate, severity_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection
    from contextlib import AbstractAsyncContextManager

    from recloser import CircuitBreaker

try:
    import psycopg
    import psycopg_pool
    from psycopg.conninfo import conninfo_to_dict

    from recloser.integrations._psycopg_usage import ConnectionUsage, PoolUsage
except ModuleNotFoundError as _error:
    raise ImportError("recloser.integrations.psycopg needs psycopg: pip install 'recloser[psycopg]'") from _error

__all__ = ["BreakerPool", "guard", "is_failure"]

T = TypeVar("T")

DEFAULT_PORT = 5432

IGNORED = (
    psycopg_pool.PoolTimeout,
    psycopg_pool.PoolClosed,
    psycopg_pool.TooManyRequests,
    psycopg.errors.PipelineAborted,
)
"""These are no errors of the server, though psycopg derives them from OperationalError."""


def is_failure(exc: BaseException, *, failure_sqlstates: Collection[str] = ()) -> bool:
    """Return whether an exception means that PostgreSQL failed; for `expected_exception=` of a breaker.

    Use it with functions that talk to nothing but the database: a network error counts wherever it was raised.
    `PoolTimeout` does not count, because it does not say why the pool had no connection; `BreakerPool` knows.

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
    """Put a block of `async with` under a breaker, such as one of `connection.transaction()`; it is one call.

    Use it with connections that belong to no pool; `PoolTimeout` is ignored here. The breaker's own
    `expected_exception` has no effect on the block.

    Args:
        breaker: The breaker of the database.
        scope: An async context manager of psycopg; entered if the breaker admits.
        failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: One of `failure_sqlstates` is no SQLSTATE.
        CircuitBreakerOpenError: On entering: the breaker rejects the block.
    """
    return GuardedScope(checked_breaker(breaker), scope, _rules(failure_sqlstates))


class BreakerPool:
    """A pool of psycopg behind a breaker; each block is one call.

    The pool connects in the background and raises `PoolTimeout` whatever the reason. That is a failure, unless this
    object has lent as many connections as the pool may have: then it is ignored, as is `TooManyRequests`. The breaker
    classifies a cancellation as it does for any call. Its `expected_exception` has no effect here.

    psycopg has no time limit for statements. Put `anyio.fail_after()` around the block or inside it; without one, a
    server that hangs goes unnoticed.

    Open, close and monitor the pool itself.

    Args:
        pool: The pool; no one else may borrow its connections.
        breaker: The breaker of the database.
        failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.
        count_pool_timeouts: True if each `PoolTimeout` is a failure, False if none is; None to decide as above.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: One of `failure_sqlstates` is no SQLSTATE.
    """

    def __init__(
        self,
        pool: psycopg_pool.AsyncConnectionPool[Any],
        *,
        breaker: CircuitBreaker,
        failure_sqlstates: Collection[str] = (),
        count_pool_timeouts: bool | None = None,
    ) -> None:
        if not isinstance(pool, psycopg_pool.AsyncConnectionPool):
            raise TypeError(f"pool must be a psycopg_pool.AsyncConnectionPool, not {pool!r}")
        if count_pool_timeouts is not None and not isinstance(count_pool_timeouts, bool):
            raise TypeError(f"count_pool_timeouts must be True, False or None, not {count_pool_timeouts!r}")
        self._pool = pool
        self._breaker = checked_breaker(breaker)
        self._count_pool_timeouts = count_pool_timeouts
        self._lent = 0
        rules = _rules(failure_sqlstates)
        self._rules = replace(
            rules,
            classify=partial(_classify_in_pool, rules.classify),
            is_wait=self._is_wait,
            watch=self._watch,
            peer=self._peer,
        )

    def connection(self, timeout: float | None = None) -> GuardedScope[psycopg.AsyncConnection[Any]]:
        """Return an async context manager that lends a connection, and commits or rolls back at its end.

        Args:
            timeout: As in `AsyncConnectionPool.connection()`: how many seconds to wait for a connection at most.

        Raises:
            CircuitBreakerOpenError: On entering: the breaker rejects the block.
        """
        return GuardedScope(self._breaker, self._lend(timeout), self._rules)

    @asynccontextmanager
    async def _lend(self, wait_seconds: float | None) -> AsyncGenerator[psycopg.AsyncConnection[Any]]:
        lent = 0
        try:
            async with self._pool.connection(wait_seconds) as connection:
                self._lent += (lent := 1)
                yield connection
        finally:  # after the COMMIT
            self._lent -= lent

    def _peer(self, _entered: object) -> str | None:
        settings = conninfo_to_dict(str(self._pool.conninfo))
        return address(settings.get("host"), settings.get("port", DEFAULT_PORT))

    def _watch(self, _scope: object) -> PoolUsage:
        return PoolUsage(self._pool)

    def _is_wait(self, exc: BaseException, connection: object) -> bool:
        """Return whether an exception ended a wait for a connection while the pool had lent all its connections."""
        if connection is not None:
            return False
        is_exhausted = 0 < self._pool.max_size <= self._lent  # 0 means no limit
        if isinstance(exc, psycopg_pool.PoolTimeout):
            return is_exhausted if self._count_pool_timeouts is None else not self._count_pool_timeouts
        return is_exhausted and not isinstance(exc, Exception)


def _rules(failure_sqlstates: Collection[str]) -> Rules:
    sqlstates = checked_sqlstates("failure_sqlstates", failure_sqlstates)
    return Rules(("psycopg", "psycopg_pool"), partial(_classify, sqlstates), watch=ConnectionUsage)


def _classify_in_pool(classify: Callable[[Exception, object], Outcome], exc: Exception, connection: object) -> Outcome:
    """Classify as any scope of psycopg does, except a `PoolTimeout` that no wait for others explains."""
    if isinstance(exc, psycopg_pool.PoolTimeout) and connection is None:
        return Outcome.FAILURE
    return classify(exc, connection)


def _classify(failures: frozenset[str], exc: Exception, _connection: object) -> Outcome:
    """Classify an exception that is no OSError."""
    if not isinstance(exc, psycopg.Error) or isinstance(exc, IGNORED):
        return Outcome.IGNORED
    if exc.sqlstate is not None:
        return classify_sqlstate(exc.sqlstate, severity_of(exc), failures)
    return Outcome.FAILURE if isinstance(exc, psycopg.OperationalError) else Outcome.IGNORED
