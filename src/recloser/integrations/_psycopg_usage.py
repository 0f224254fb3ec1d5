"""Whether a scope of psycopg made or used a connection.

A connection performs each operation in its `wait()`, as a generator that yields when it has to wait for the server. A
COMMIT or ROLLBACK outside a transaction waits for nothing. These waits are counted from the first time that a
connection is watched; its own `wait()` is replaced for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary, ref

import psycopg

from recloser.integrations._scope import Usage

if TYPE_CHECKING:
    from collections.abc import Generator

    import psycopg_pool

CHECK = "_check"
"""Where a pool has its `check` argument. Undocumented; a test watches it."""


class WaitCounter:
    """Counts how often a connection waits for its server, from now on.

    Args:
        connection: Its own method `wait()` is replaced.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.waits = 0
        self._connection = ref(connection)
        vars(connection)["wait"] = self.wait

    async def wait(self, steps: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:  # noqa: ANN401 - of any type
        """Have the connection perform an operation."""
        connection = cast("psycopg.AsyncConnection[Any]", self._connection())
        return await type(connection).wait(connection, self._counted(steps), *args, **options)

    def _counted(self, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        ready = None
        while True:
            try:
                step = steps.send(ready)
            except StopIteration as end:
                return end.value
            self.waits += 1
            ready = yield step


counters: WeakKeyDictionary[psycopg.AsyncConnection[Any], WaitCounter] = WeakKeyDictionary()


class ConnectionUsage(Usage):
    """Counts the waits of the connection that a scope belongs to, or else of the one that it returns.

    Args:
        scope: The scope, which has not been entered.
    """

    def __init__(self, scope: object) -> None:
        self._is_used = False
        self._counter: WaitCounter | None = None
        self._waits = 0
        for connection in (scope, getattr(scope, "connection", None)):
            self._find(connection)

    def begin(self, entered: object) -> None:
        """Find the connection; what belongs to none can't be watched, and counts as used."""
        self._is_used |= self._counter is None and not self._find(entered)

    def end(self) -> bool:
        """Return whether the connection has waited for its server."""
        return self._is_used or (self._counter is not None and self._counter.waits != self._waits)

    def _find(self, connection: object) -> bool:
        if not isinstance(connection, psycopg.AsyncConnection):
            return False
        self._counter = counter = counters.get(connection) or WaitCounter(connection)
        counters[connection] = counter
        self._waits = counter.waits
        return True


class PoolUsage(ConnectionUsage):
    """Watches a connection that a pool lends: it may be made or checked first.

    Args:
        pool: The pool, which connects in the background.
    """

    def __init__(self, pool: psycopg_pool.AsyncConnectionPool[Any]) -> None:
        super().__init__(None)
        self._is_checked = getattr(pool, CHECK, None) is not None
        self._is_empty = not pool.get_stats()["pool_available"]

    def begin(self, entered: object) -> None:
        """Find the connection; it has just been made if the pool had none, and has never lent it."""
        self._is_used = self._is_checked or (self._is_empty and entered not in counters)
        super().begin(entered)
