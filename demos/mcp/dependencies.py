"""The server's dependencies: four HTTP services and a SQLite file. They fail on cue, and count what reaches them."""

import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import anyio.to_thread

from demos.mcp.facts import Health
from examples.mcp_server.upstream import Upstream

__all__ = ["BREAKERS", "Arrival", "Dependencies"]

BREAKERS = {
    "api": "external_api",
    "users": "users",
    "primary": "primary",
    "secondary": "secondary",
    "database": "database",
}
"""Each dependency, and the breaker that protects it."""

_DATABASE = "database"
Arrival = Callable[[], Awaitable[None]]

_GARBAGE = b"This is no database. " * 50
_ARRIVAL_SECONDS = 10.0


class Dependencies:
    """All dependencies, healthy at first.

    Args:
        upstream: The HTTP services, already running.
        database: The path of the file, which does not exist yet.
    """

    def __init__(self, upstream: Upstream, database: Path) -> None:
        self._upstream = upstream
        self._database = database
        self._good = b""
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("CREATE TABLE cities (name TEXT PRIMARY KEY, inhabitants INTEGER)")
            cities = [("Oslo", 717_710), ("Bergen", 291_940), ("Trondheim", 214_565)]
            connection.executemany("INSERT INTO cities VALUES (?, ?)", cities)

    def fail(self, name: str) -> None:
        """Make a service answer 503, or overwrite the file with something that is not a database."""
        if name == _DATABASE:
            self._good = self._database.read_bytes()
            self._database.write_bytes(_GARBAGE)
        else:
            self._upstream.down.add(name)

    def repair(self) -> None:
        """Let all of them work again."""
        self._upstream.down.clear()
        self._database.write_bytes(self._good or self._database.read_bytes())

    def reached(self, health: Health) -> Counter[str]:
        """Return how many calls have reached each so far: services count requests, the breaker counts reads."""
        return Counter(self._upstream.counts) + Counter({_DATABASE: health[_DATABASE].admitted})

    def holding(self, name: str, half_open: Callable[[], Awaitable[bool]]) -> AbstractAsyncContextManager[Arrival]:
        """Hold the next call until the end of a block.

        Args:
            name: The dependency.
            half_open: Reads from health whether a probe is running; a file does not report its readers.

        Returns:
            A context manager that yields a function which waits for the call, and raises TimeoutError after 10 s.
        """
        return self._holding_reader(half_open) if name == _DATABASE else self._holding_request(name)

    @asynccontextmanager
    async def _holding_request(self, service: str) -> AsyncGenerator[Arrival]:
        hold = self._upstream.hold_next(service)

        async def arrived() -> None:
            if not await anyio.to_thread.run_sync(hold.arrived.wait, _ARRIVAL_SECONDS):
                raise TimeoutError

        try:
            yield arrived
        finally:
            hold.released.set()

    @asynccontextmanager
    async def _holding_reader(self, half_open: Callable[[], Awaitable[bool]]) -> AsyncGenerator[Arrival]:
        async def arrived() -> None:
            deadline = anyio.current_time() + _ARRIVAL_SECONDS
            while not await half_open():
                if anyio.current_time() > deadline:
                    raise TimeoutError

        with closing(sqlite3.connect(self._database, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")  # readers wait, for a second at most
            yield arrived
