"""Circuit breakers for aiosqlite: `async with guard(breaker, aiosqlite.connect(path)) as db:`.

Failures are the result codes of SQLite for a database that is locked, full or corrupt, or that cannot be opened, read
or written. Any other error of SQLite is a success, because SQLite has answered. Misuse of the driver and exceptions of
the block itself are ignored.

aiosqlite runs on asyncio only, and so does this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from recloser.events import Outcome
from recloser.integrations._scope import GuardedScope, Rules, checked_breaker, has_failure
from recloser.integrations._sqlite import classify_sqlite

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from recloser import CircuitBreaker

try:
    import aiosqlite
except ModuleNotFoundError as _error:
    raise ImportError("recloser.integrations.aiosqlite needs aiosqlite: pip install 'recloser[aiosqlite]'") from _error

__all__ = ["guard", "is_failure"]

T = TypeVar("T")


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


RULES = Rules(("aiosqlite",), _classify, is_own_only=True)
