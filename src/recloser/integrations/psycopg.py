"""A circuit breaker before a pool of psycopg 3: `BreakerPool(pool, breaker=breaker)`.

The asynchronous half of psycopg runs on asyncio alone, and so does this. `_sqlstate` says which answers of the server
are failures. A login that fails has no SQLSTATE, as libpq keeps that to itself: a wrong password counts like a server
that is full.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from recloser import Outcome
from recloser.integrations._scope import GuardedScope, Rules, checked_breaker, has_failure
from recloser.integrations._sqlstate import checked_sqlstates, judge_sqlstate, severity_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection
    from contextlib import AbstractAsyncContextManager

    from recloser import CircuitBreaker

try:
    import psycopg
    import psycopg_pool
except ModuleNotFoundError as error:
    raise ImportError("recloser.integrations.psycopg needs psycopg: pip install 'recloser[psycopg]'") from error

__all__ = ["BreakerPool", "guard", "is_failure"]

T = TypeVar("T")

PACKAGES = ("psycopg", "psycopg_pool")
IGNORED = (
    psycopg_pool.PoolTimeout,
    psycopg_pool.PoolClosed,
    psycopg_pool.TooManyRequests,
    psycopg.errors.PipelineAborted,
)
"""What is no error of the server, though psycopg derives it from OperationalError."""


def is_failure(exc: BaseException, *, failure_sqlstates: Collection[str] = ()) -> bool:
    """Return whether an exception means that PostgreSQL failed; for `expected_exception=` of a breaker.

    For functions that talk to the database alone: an OSError that tells of a network counts wherever it comes from.
    `PoolTimeout` does not, since it does not say why the pool had no connection; `BreakerPool` knows.

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
    """Put a block under a breaker, such as one of `connection.transaction()`.

    For connections that belong to no pool; `PoolTimeout` is ignored here. The breaker's own `expected_exception` is not
    asked.

    Args:
        breaker: The database's.
        scope: An async context manager of psycopg; entered if the breaker admits.
        failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: One of `failure_sqlstates` is no SQLSTATE.
    """
    return GuardedScope(checked_breaker(breaker), scope, Rules(PACKAGES, _judge_by(failure_sqlstates)))


class BreakerPool:
    """A pool of psycopg behind a breaker; each block is one call.

    Failures are lost and refused connections, and the SQLSTATEs that tell of an outage. Any other error of the server
    is a success: it answered. Ignored are cancelled statements (57014) unless `failure_sqlstates` has them, misuse of
    the driver, and exceptions of the block's own. A cancellation is judged as that of any call. The breaker's own
    `expected_exception` is not asked.

    The pool connects in the background, and says `PoolTimeout` whatever the reason. It is a failure, unless as many
    connections as the pool may have are lent by this object: then it is ignored, as is `TooManyRequests`.

    psycopg has no time limit for a statement of its own, without which a frozen server is not noticed: put
    `anyio.fail_after()` around the block or into it.

    Opening, closing and watching the pool remain its own methods.

    Args:
        pool: Its connections are to be lent by this object alone.
        breaker: The database's.
        failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.
        count_pool_timeouts: True if each `PoolTimeout` is a failure, False if none is; None as above.

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
        self._rules = Rules(PACKAGES, partial(self._judge, _judge_by(failure_sqlstates)), self._is_wait)

    def connection(self, timeout: float | None = None) -> GuardedScope[psycopg.AsyncConnection[Any]]:
        """Return an async context manager that lends a connection, and commits or rolls back at its end.

        Args:
            timeout: As of the pool: how many seconds to wait for a connection at most.

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

    def _is_wait(self, exc: BaseException, entered: bool) -> bool:  # noqa: FBT001 - as `Rules` calls it
        """Return whether an exception ended a wait for a connection while all that there may be were lent."""
        if entered:
            return False
        is_exhausted = 0 < self._pool.max_size <= self._lent  # 0: as many as one likes
        if isinstance(exc, psycopg_pool.PoolTimeout):
            return is_exhausted if self._count_pool_timeouts is None else not self._count_pool_timeouts
        return is_exhausted and not isinstance(exc, Exception)

    def _judge(self, judge: Callable[[Exception, object], Outcome], exc: Exception, connection: object) -> Outcome:
        """Judge like any scope of psycopg, but for a timeout of this pool, which no wait for others explains."""
        if isinstance(exc, psycopg_pool.PoolTimeout) and connection is None:
            return Outcome.FAILURE
        return judge(exc, connection)


def _judge_by(failure_sqlstates: Collection[str]) -> Callable[[Exception, object], Outcome]:
    return partial(_judge, checked_sqlstates("failure_sqlstates", failure_sqlstates))


def _judge(failures: frozenset[str], exc: Exception, _connection: object) -> Outcome:
    """Return what an exception means that is no OSError."""
    if not isinstance(exc, psycopg.Error) or isinstance(exc, IGNORED):
        return Outcome.IGNORED
    if exc.sqlstate is not None:
        return judge_sqlstate(exc.sqlstate, severity_of(exc), failures)
    return Outcome.FAILURE if isinstance(exc, psycopg.OperationalError) else Outcome.IGNORED
