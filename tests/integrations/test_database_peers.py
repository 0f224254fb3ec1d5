"""The host and the port of a database, as scopes know them."""

import errno
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from recloser.events import CallFailed
from recloser.integrations._scope import GuardedScope, Rules, address
from recloser.integrations.sqlalchemy import guard
from tests.integrations.kit import one

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("db.internal", 5432, "db.internal:5432"),
        ("::1", "6432", "[::1]:6432"),
        ("/var/run/postgresql", 5432, None),
        ("one,two", 5432, None),
        ("me:secret@db", 5432, None),
        ("", 5432, None),
        (None, None, None),
    ],
)
def test_an_address_is_one_host_and_one_port(host: object, port: object, expected: str | None) -> None:
    assert address(host, port) == expected


async def peer_of(
    scope: AbstractAsyncContextManager[Any], connect: Callable[[], Awaitable[object]] | None = None
) -> str | None:
    """Enters a scope of a database that nobody serves, and connects; returns the peer that the failure names."""
    breaker, failures = one(), list[CallFailed]()
    breaker.subscribe(failures.append, kinds=CallFailed)
    with pytest.raises(OSError, match="refused|failed"):
        async with guard(breaker, scope) as entered:
            await (entered.connection() if connect is None else connect())
    (failure,) = failures
    return failure.peer


async def test_a_connection_and_a_session_that_fail_to_connect_name_their_database(free_port: int) -> None:
    engine = create_async_engine(f"postgresql+asyncpg://me:secret@127.0.0.1:{free_port}/shop")
    expected = f"127.0.0.1:{free_port}"
    assert await peer_of(engine.connect()) == expected
    assert await peer_of(AsyncSession(engine)) == expected
    session = AsyncSession(engine)
    assert await peer_of(session.begin(), session.connection) == expected
    assert await peer_of(async_sessionmaker(engine).begin()) == expected
    assert await peer_of(engine.begin()) is None
    await engine.dispose()


async def test_a_scope_that_can_t_be_asked_for_its_peer_fails_as_any_other() -> None:
    def peer(_: object) -> str:
        raise AttributeError

    class Refusing:
        async def __aenter__(self) -> None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

        async def __aexit__(self, *_: object) -> None: ...

    breaker = one()
    with pytest.raises(ConnectionRefusedError):
        async with GuardedScope(breaker, Refusing(), Rules(("nobody",), lambda *_: peer(_), peer=peer)):
            ...
    assert breaker.snapshot().last_error == "ConnectionRefusedError: ECONNREFUSED"
