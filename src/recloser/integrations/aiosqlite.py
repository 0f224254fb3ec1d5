"""Circuit breakers for aiosqlite: `async with guard(breaker, aiosqlite.connect(path)) as db:`.

Failures are the result codes of SQLite for a database that is locked, full or corrupt, or that cannot be opened, read
or written. Any other error of SQLite is a success, because SQLite has answered. Misuse of the driver and exceptions of
the block itself are ignored. So is a block that executed no statement: SQLite reads nothing to open a file.

aiosqlite runs on asyncio only, and so does this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, ref

from recloser.events import Outcome
from recloser.integrations._scope import GuardedScope, Rules, Usage, checked_breaker, has_failure
from recloser.integrations._sqlite import classify_sqlite

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from recloser import CircuitBreaker

try:
    import aiosqlite
except ModuleNotFoundError as _error:
    raise ImportError("recloser.integrations.aiosqlite needs aiosqlite: pip install 'recloser[aiosqlite]'") from _error

__all__ = ["guard", "is_failure"]

T = TypeVar("T")

EXECUTE, CONNECTION, COROUTINE = "_execute", "_conn", "_coro"
"""A connection has its thread call SQLite by the first; the others are attributes of a cursor and of a scope that is to
return one. All are undocumented; tests watch them."""
NO_STATEMENTS = frozenset(
    {
        "close",
        "commit",
        "create_function",
        "cursor",
        "enable_load_extension",
        "rollback",
        "set_authorizer",
        "set_progress_handler",
        "set_trace_callback",
    }
)
"""What a connection and a cursor do without a statement. A COMMIT needs none of its own: it follows others."""


def is_failure(exc: BaseException) -> bool:
    """Return whether an exception means that SQLite failed; for `expected_exception=` of a breaker.

    Args:
        exc: Any exception; a group is a failure if one of its exceptions is.
    """
    return has_failure(exc, RULES)


def guard(breaker: CircuitBreaker, scope: AbstractAsyncContextManager[T, Any]) -> GuardedScope[T]:
    """Put a block of `async with` under a breaker; it is one call.

    The breaker classifies a cancellation as it does for any call. Its `expected_exception` has no effect on the block.

    Args:
        breaker: The breaker of the database; use one for each file.
        scope: `aiosqlite.connect()`, `db.execute()`, or another async context manager of aiosqlite; entered if the
            breaker admits.

    Returns:
        An async context manager that enters the scope and returns what it returns.

    Raises:
        TypeError: `breaker` is no breaker.
        CircuitBreakerOpenError: On entering: the breaker rejects the block.
    """
    return GuardedScope(checked_breaker(breaker), scope, RULES)


def _classify(exc: Exception, _connection: object) -> Outcome:
    return classify_sqlite(exc) if isinstance(exc, aiosqlite.Error) else Outcome.IGNORED


class CallCounter:
    """Counts the calls of a connection that execute statements, from now on.

    Args:
        connection: Its own method for these calls is replaced.
    """

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self.calls: int = 0
        self._connection = ref(connection)
        vars(connection)[EXECUTE] = self.execute

    async def execute(self, call: Callable[..., Any], *args: object, **options: object) -> Any:  # noqa: ANN401 - of any type
        """Count a call, and have the connection make it."""
        if getattr(call, "__name__", None) not in NO_STATEMENTS:
            self.calls += 1
        connection = self._connection()
        return await getattr(type(connection), EXECUTE)(connection, call, *args, **options)


counters: WeakKeyDictionary[aiosqlite.Connection, CallCounter] = WeakKeyDictionary()


class StatementUsage(Usage):
    """Counts the statements of a connection; a scope that is neither one nor a cursor executes one when it is entered.

    Args:
        scope: The scope, which has not been entered.
    """

    def __init__(self, scope: object) -> None:
        self._counter: CallCounter | None = None
        self._calls = 0
        self._is_cursor = getattr(getattr(scope, COROUTINE, None), "__name__", None) == "cursor"

    def begin(self, entered: object) -> None:
        """Find the connection, and count its statements."""
        connection = getattr(entered, CONNECTION) if self._is_cursor else entered
        if isinstance(connection, aiosqlite.Connection) and hasattr(connection, EXECUTE):
            self._counter = counter = counters.get(connection) or CallCounter(connection)
            counters[connection] = counter
            self._calls = counter.calls

    def end(self) -> bool:
        """Return whether a statement was executed."""
        return self._counter is None or self._counter.calls != self._calls


RULES = Rules(("aiosqlite",), _classify, is_own_only=True, watch=StatementUsage)
