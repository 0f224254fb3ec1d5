"""A circuit breaker before a pool of asyncpg: `BreakerPool(pool, breaker=breaker)`.

asyncpg runs on asyncio alone, and so does this. `_sqlstate` says which answers of the server are failures.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from recloser import Outcome
from recloser.integrations._network import came_out_of, frames_of
from recloser.integrations._scope import GuardedScope, Rules, checked_breaker, has_failure
from recloser.integrations._sqlstate import checked_sqlstates, judge_sqlstate, severity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from contextlib import AbstractAsyncContextManager

    from recloser import CircuitBreaker

try:
    # It has no types.
    import asyncpg  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
except ModuleNotFoundError as error:
    raise ImportError("recloser.integrations.asyncpg needs asyncpg: pip install 'recloser[asyncpg]'") from error

__all__ = ["BreakerPool", "guard", "is_failure"]

T = TypeVar("T")

PACKAGES = ("asyncpg",)
BROKEN = (asyncpg.ProtocolError, asyncpg.TargetServerAttributeNotMatched)
"""What a server does not say, but is: no PostgreSQL, or none of its hosts a primary."""


def is_failure(exc: BaseException, *, failure_sqlstates: Collection[str] = ()) -> bool:
    """Return whether an exception means that PostgreSQL failed; for `expected_exception=` of a breaker.

    For functions that talk to the database alone: an OSError that tells of a network counts wherever it comes from.
    Timeouts of waiting for a connection of the pool count as well, since they don't say so; `BreakerPool` knows.

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

    For connections that belong to no pool. The breaker's own `expected_exception` is not asked.

    Args:
        breaker: The database's.
        scope: An async context manager of asyncpg; entered if the breaker admits.
        failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: One of `failure_sqlstates` is no SQLSTATE.
    """
    return GuardedScope(checked_breaker(breaker), scope, Rules(PACKAGES, _judge_by(failure_sqlstates)))


class BreakerPool:
    """A pool of asyncpg behind a breaker; each block and each method is one call.

    Failures are lost, refused and timed out connections, `command_timeout`, and the SQLSTATEs that tell of an outage.
    Any other error of the server is a success: it answered. Ignored are cancelled statements (57014) unless
    `failure_sqlstates` has them, misuse of the driver, exceptions of the block's own, and a wait for a connection
    while the pool has lent all. A cancellation is judged as that of any call. The breaker's own `expected_exception`
    is not asked.

    Opening, closing and watching the pool remain its own methods.

    Args:
        pool: Made by `asyncpg.create_pool()`; with a `command_timeout`, without which a frozen server is not noticed.
        breaker: The database's.
        failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: One of `failure_sqlstates` is no SQLSTATE.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        breaker: CircuitBreaker,
        failure_sqlstates: Collection[str] = (),
    ) -> None:
        if not isinstance(pool, asyncpg.Pool):
            raise TypeError(f"pool must be an asyncpg.Pool, not {pool!r}")
        self._pool = pool
        self._breaker = checked_breaker(breaker)
        self._rules = Rules(PACKAGES, _judge_by(failure_sqlstates), self._is_wait)

    def acquire(self, *, timeout: float | None = None) -> GuardedScope[Any]:
        """Return an async context manager that lends a connection; unlike the pool's own, it can't be awaited.

        Args:
            timeout: As of the pool.

        Raises:
            CircuitBreakerOpenError: On entering: the breaker rejects the block.
        """
        return GuardedScope(self._breaker, self._pool.acquire(timeout=timeout), self._rules)

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:  # noqa: ASYNC109 - asyncpg's own
        """Execute a statement, or several without arguments; as of the pool."""
        async with self.acquire() as connection:
            status: str = await connection.execute(query, *args, timeout=timeout)
            return status

    async def executemany(
        self,
        query: str,
        args: Iterable[Any],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
    ) -> None:
        """Execute a statement once for each of several sequences of arguments; as of the pool."""
        async with self.acquire() as connection:
            await connection.executemany(query, args, timeout=timeout)

    async def fetch(self, query: str, *args: object, **options: object) -> list[Any]:
        """Run a query and return its rows; as of the pool."""
        async with self.acquire() as connection:
            rows: list[Any] = await connection.fetch(query, *args, **options)
            return rows

    async def fetchrow(self, query: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - a record, or None
        """Run a query and return its first row, or None; as of the pool."""
        async with self.acquire() as connection:
            return await connection.fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - of any type
        """Run a query and return a value of its first row, or None; as of the pool."""
        async with self.acquire() as connection:
            return await connection.fetchval(query, *args, **options)

    def _is_wait(self, exc: BaseException, _entered: bool) -> bool:  # noqa: FBT001 - as `Rules` calls it
        """Return whether an exception ended a wait for a connection while all that there may be were lent."""
        if not came_out_of(("asyncpg.pool",), exc) or (
            isinstance(exc, Exception) and not isinstance(exc, TimeoutError)
        ):
            return False
        if any(frame.f_code is asyncpg.Pool.release.__code__ for frame in frames_of(exc)):
            return False  # giving one back asks the server
        pool = self._pool
        return bool(pool.get_size() == pool.get_max_size() and pool.get_idle_size() == 0)


def _judge_by(failure_sqlstates: Collection[str]) -> Callable[[Exception, object], Outcome]:
    return partial(_judge, checked_sqlstates("failure_sqlstates", failure_sqlstates))


def _judge(failures: frozenset[str], exc: Exception, connection: object) -> Outcome:
    """Return what an exception means that is no OSError."""
    if isinstance(exc, asyncpg.PostgresError):
        sqlstate = getattr(exc, "sqlstate", None)
        return Outcome.IGNORED if sqlstate is None else judge_sqlstate(sqlstate, severity_of(exc), failures)
    if isinstance(exc, BROKEN):
        return Outcome.FAILURE
    if isinstance(exc, asyncpg.InterfaceError) and _is_lost(exc, connection):
        return Outcome.FAILURE
    return Outcome.IGNORED


def _is_lost(exc: asyncpg.InterfaceError, connection: object) -> bool:
    """Return whether an InterfaceError, which most often is misuse, came of a connection that has been lost.

    The connection knows. One that a pool had lent went back to it when it was lost, and says so by another such error.
    Where there is none to ask, only the text tells, which asyncpg does not translate.
    """
    is_closed: Any = getattr(connection, "is_closed", None)
    if is_closed is None:
        return "connection is closed" in str(exc)
    try:
        return bool(is_closed())
    except asyncpg.InterfaceError:
        return True
