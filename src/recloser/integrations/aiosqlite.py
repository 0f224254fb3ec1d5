"""A circuit breaker around the blocks of aiosqlite: `async with guard(breaker, aiosqlite.connect(path)) as db:`.

aiosqlite runs on asyncio alone, and so does this. `_sqlite` says which answers of SQLite are failures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from recloser import Outcome
from recloser.integrations._network import came_out_of
from recloser.integrations._scope import GuardedScope, Rules, checked_breaker, has_failure
from recloser.integrations._sqlite import judge_sqlite

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from recloser import CircuitBreaker

try:
    import aiosqlite
except ModuleNotFoundError as error:
    raise ImportError("recloser.integrations.aiosqlite needs aiosqlite: pip install 'recloser[aiosqlite]'") from error

__all__ = ["guard", "is_failure"]

T = TypeVar("T")

PACKAGES = ("aiosqlite",)


def is_failure(exc: BaseException) -> bool:
    """Return whether an exception means that SQLite failed; for `expected_exception=` of a breaker.

    Args:
        exc: Any exception; a group is a failure if one of its exceptions is.
    """
    return has_failure(exc, _judge)


def guard(breaker: CircuitBreaker, scope: AbstractAsyncContextManager[T, Any]) -> GuardedScope[T]:
    """Put a block under a breaker; the block is one call.

    Failures are the codes of SQLite that tell of a database that is locked, full, corrupt, or not to be opened, read or
    written. Any other error of SQLite is a success: it answered. Misuse of the driver and exceptions of the block's own
    are ignored. A cancellation is judged as that of any call. The breaker's own `expected_exception` is not asked.

    Args:
        breaker: The database's; one for each file.
        scope: `aiosqlite.connect()`, `db.execute()`, or another async context manager of aiosqlite; entered if the
            breaker admits.

    Raises:
        TypeError: `breaker` is none.
        CircuitBreakerOpenError: On entering: the breaker rejects the block.
    """
    return GuardedScope(checked_breaker(breaker), scope, RULES)


def _judge(exc: Exception, _connection: object) -> Outcome:
    return judge_sqlite(exc) if isinstance(exc, aiosqlite.Error) else Outcome.IGNORED


def _judge_in_block(exc: Exception, connection: object) -> Outcome:
    return _judge(exc, connection) if came_out_of(PACKAGES, exc) else Outcome.IGNORED


RULES = Rules(PACKAGES, _judge_in_block)
