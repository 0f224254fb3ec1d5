"""Whether a scope of SQLAlchemy made or used a connection.

Pools and engines report it by events. A listener for all pools notes when a connection was made. Of an engine whose
connections are watched, another one counts the statements. Both write into the `info` of the connection, which lives as
long as the driver's own connection. A session reports the connections on which it begins to work.

Not seen is what a block does with the driver's own connection, past SQLAlchemy. There is no event for a pre-ping
either: a pool that makes them has asked the database for each connection that it lends.
"""

from __future__ import annotations

from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, AsyncSessionTransaction, AsyncTransaction
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from recloser.integrations._scope import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import Session, SessionTransaction

MADE_AT = "recloser: made at"
STATEMENTS = "recloser: statements"
PRE_PING = "_pre_ping"
"""Undocumented; a test watches it."""
SQLITE = "sqlite"
"""It reads nothing to open a file, or to answer a pre-ping."""

counted_engines: WeakSet[Engine] = WeakSet()


class ScopeUsage(Usage):
    """Watches the connection that a scope returns, or those on which its session begins to work.

    Args:
        scope: The scope, which has not been entered.
    """

    def __init__(self, scope: object) -> None:  # noqa: ARG002 - what it returns is enough
        self._since = monotonic()
        self._is_used = False
        self._counts: list[tuple[dict[Any, Any], int, float]] = []
        self._listening: list[tuple[Session, str, Callable[..., None]]] = []

    def begin(self, entered: object) -> None:
        """Find the connection or the session; anything else can't be watched, and counts as used."""
        if isinstance(entered, AsyncTransaction):
            self._is_used = entered.nested  # a SAVEPOINT is sent at once, a BEGIN with the first statement
            self._count(entered.connection.sync_connection)
        elif isinstance(entered, AsyncConnection):
            self._lent(entered.sync_connection)
        elif isinstance(entered, AsyncSession):
            self._watch(entered.sync_session)
        elif isinstance(entered, AsyncSessionTransaction):
            self._watch(entered.session.sync_session)
        else:
            self._is_used = True

    def end(self) -> bool:
        """Stop listening to the session; return whether a connection was made or used."""
        for session, name, listener in self._listening:
            event.remove(session, name, listener)
        return self._is_used or any(
            info.get(STATEMENTS, 0) != statements or info.get(MADE_AT, -inf) >= since
            for info, statements, since in self._counts
        )

    def _watch(self, session: Session) -> None:
        """Watch the connections of a session; those on which it already works only show in what it executes."""
        self._listen(session, "after_begin", self._begun)
        if session.in_transaction():
            self._listen(session, "do_orm_execute", self._executed)
            self._listen(session, "after_flush", self._executed)

    def _listen(self, session: Session, name: str, listener: Callable[..., None]) -> None:
        event.listen(session, name, listener)
        self._listening.append((session, name, listener))

    def _begun(self, _session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
        self._lent(connection)

    def _executed(self, *_of_the_event: object) -> None:
        self._is_used = True

    def _lent(self, connection: Any) -> None:  # noqa: ANN401 - None only before a scope is entered
        """Watch a connection that a pool has lent, perhaps after a pre-ping."""
        self._is_used |= connection.dialect.name != SQLITE and getattr(connection.engine.pool, PRE_PING, False)
        self._count(connection)

    def _count(self, connection: Any) -> None:  # noqa: ANN401 - as above
        engine, info = connection.engine, connection.info
        if engine not in counted_engines:
            counted_engines.add(engine)
            event.listen(engine, "before_cursor_execute", _note_statement)
        since = inf if connection.dialect.name == SQLITE else self._since
        self._counts.append((info, info.get(STATEMENTS, 0), since))


def _note_statement(connection: Connection, *_of_the_event: object) -> None:
    connection.info[STATEMENTS] = connection.info.get(STATEMENTS, 0) + 1


@event.listens_for(Pool, "connect")
def _note_connect(_connection: object, entry: ConnectionPoolEntry) -> None:
    entry.info[MADE_AT] = monotonic()
