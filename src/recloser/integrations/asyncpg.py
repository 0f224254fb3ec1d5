"""Circuit breakers for asyncpg: `BreakerPool(pool, breaker=breaker)`.

Failures are lost, refused and timed out connections, `command_timeout`, and the SQLSTATEs of an outage. Any other error
of the server is a success, because the server has answered. Ignored are cancelled statements (57014) unless
`failure_sqlstates` contains them, misuse of the driver, and exceptions of the block itself.

A block that sent nothing is ignored: a connection that the pool had at hand, and that nobody used. By default a pool
resets each connection that comes back, which is a query.

asyncpg runs on asyncio only, and so does this module.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from recloser.events import Outcome
from recloser.integrations._network import came_out_of, frames_of
from recloser.integrations._scope import GuardedScope, Rules, Usage, address, checked_breaker, has_failure
from recloser.integrations._sqlstate import checked_sqlstates, classify_sqlstate, severity_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from contextlib import AbstractAsyncContextManager

    from recloser import CircuitBreaker

try:
    # It has no types.
    import asyncpg  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
except ModuleNotFoundError as _error:
    raise ImportError("recloser.integrations.asyncpg needs asyncpg: pip install 'recloser[asyncpg]'") from _error

__all__ = ["BreakerPool", "guard", "is_failure"]

T = TypeVar("T")

ADDRESS = "_addr"
"""Undocumented; a test watches it."""

WRONG_SERVERS = (asyncpg.ProtocolError, asyncpg.TargetServerAttributeNotMatched)
"""The host that responds is no PostgreSQL, or none of the hosts is a primary."""
PROTOCOL, QUERIES = "_protocol", "queries_count"
"""Where a connection counts its queries. Undocumented; a test watches it."""


def is_failure(exc: BaseException, *, failure_sqlstates: Collection[str] = ()) -> bool:
    """Return whether an exception means that PostgreSQL failed; for `expected_exception=` of a breaker.

    Use it with functions that talk to nothing but the database: a network error counts wherever it was raised. A
    timeout of waiting for a connection of the pool counts as well, because asyncpg reports it like any other;
    `BreakerPool` recognises it.

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

    Use it with connections that belong to no pool. The breaker's own `expected_exception` has no effect on the block.

    Args:
        breaker: The breaker of the database.
        scope: An async context manager of asyncpg; entered if the breaker admits.
        failure_sqlstates: Further SQLSTATEs that are failures, or their classes of two characters.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: One of `failure_sqlstates` is no SQLSTATE.
        CircuitBreakerOpenError: On entering: the breaker rejects the block.
    """
    return GuardedScope(checked_breaker(breaker), scope, _rules(failure_sqlstates))


class BreakerPool:
    """A pool of asyncpg behind a breaker; each block and each method is one call.

    A wait for a connection is ignored while the pool has lent all its connections. The breaker classifies a
    cancellation as it does for any call. Its `expected_exception` has no effect here.

    Open, close and monitor the pool itself.

    Args:
        pool: Made by `asyncpg.create_pool()`. Give it a `command_timeout`; without one, a server that hangs goes
            unnoticed.
        breaker: The breaker of the database.
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
        self._rules = replace(_rules(failure_sqlstates), is_wait=self._is_wait)

    def acquire(self, *, timeout: float | None = None) -> GuardedScope[Any]:
        """Return an async context manager that lends a connection. Unlike the pool's own, it cannot be awaited.

        Args:
            timeout: As in `Pool.acquire()`.

        Raises:
            CircuitBreakerOpenError: On entering: the breaker rejects the block.
        """
        return GuardedScope(self._breaker, self._pool.acquire(timeout=timeout), self._rules)

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:  # noqa: ASYNC109 - asyncpg's own
        """Execute a statement, or several without arguments, as `Pool.execute()` does."""
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
        """Execute a statement once for each sequence of arguments, as `Pool.executemany()` does."""
        async with self.acquire() as connection:
            await connection.executemany(query, args, timeout=timeout)

    async def fetch(self, query: str, *args: object, **options: object) -> list[Any]:
        """Run a query and return its rows, as `Pool.fetch()` does."""
        async with self.acquire() as connection:
            rows: list[Any] = await connection.fetch(query, *args, **options)
            return rows

    async def fetchrow(self, query: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - a record, or None
        """Run a query and return its first row, or None, as `Pool.fetchrow()` does."""
        async with self.acquire() as connection:
            return await connection.fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: object, **options: object) -> Any:  # noqa: ANN401 - of any type
        """Run a query and return a value of its first row, or None, as `Pool.fetchval()` does."""
        async with self.acquire() as connection:
            return await connection.fetchval(query, *args, **options)

    def _is_wait(self, exc: BaseException, _connection: object) -> bool:
        """Return whether an exception ended a wait for a connection while the pool had lent all its connections."""
        if not came_out_of(("asyncpg.pool",), exc) or (
            isinstance(exc, Exception) and not isinstance(exc, TimeoutError)
        ):
            return False
        if any(frame.f_code is asyncpg.Pool.release.__code__ for frame in frames_of(exc)):
            return False  # releasing a connection sends a query
        pool = self._pool
        return bool(pool.get_size() == pool.get_max_size() and pool.get_idle_size() == 0)


class QueryUsage(Usage):
    """Counts the queries of the connection that a scope returns; what returns none can't be watched."""

    def __init__(self) -> None:
        self._protocol: Any = None
        self._queries: Any = None

    def begin(self, entered: object) -> None:
        """Find the counter of the connection, which a pool takes away from its proxy at the end."""
        self._protocol = getattr(entered, PROTOCOL, None)
        self._queries = getattr(self._protocol, QUERIES, None)

    def end(self) -> bool:
        """Return whether a query was sent, also at the end of the scope; a transaction has begun with one."""
        return self._queries is None or bool(getattr(self._protocol, QUERIES) != self._queries)


def _rules(failure_sqlstates: Collection[str]) -> Rules:
    classify = partial(_classify, checked_sqlstates("failure_sqlstates", failure_sqlstates))
    return Rules(("asyncpg",), classify, watch=lambda _scope: QueryUsage(), peer=_peer)


def _peer(connection: object) -> str | None:
    """Return the host and the port of a connection; None for any other scope, and for a socket's path."""
    at = getattr(connection, ADDRESS, None)
    return address(*at) if isinstance(at, tuple) else None


def _classify(failures: frozenset[str], exc: Exception, connection: object) -> Outcome:
    """Classify an exception that is no OSError."""
    if isinstance(exc, asyncpg.PostgresError):
        sqlstate = getattr(exc, "sqlstate", None)
        return Outcome.IGNORED if sqlstate is None else classify_sqlstate(sqlstate, severity_of(exc), failures)
    if isinstance(exc, WRONG_SERVERS):
        return Outcome.FAILURE
    if isinstance(exc, asyncpg.InterfaceError) and _is_lost(exc, connection):
        return Outcome.FAILURE
    return Outcome.IGNORED


def _is_lost(exc: asyncpg.InterfaceError, connection: object) -> bool:
    """Return whether an InterfaceError, which usually means misuse, is due to a lost connection.

    The connection knows whether it is closed. A connection of a pool that is lost goes back to the pool and raises
    another InterfaceError when it is used. Without a connection only the message tells, which asyncpg does not
    translate.
    """
    is_closed: Any = getattr(connection, "is_closed", None)
    if is_closed is None:
        return "connection is closed" in str(exc)
    try:
        return bool(is_closed())
    except asyncpg.InterfaceError:
        return True
