"""The transports for httpx and httpx2 over TLS, where client and server agree on HTTP/2 (ALPN)."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
import trustme

from recloser import BreakerRegistry, CircuitState
from tests.integrations.conftest import Library
from tests.integrations.http2_upstream import HOST, http2_serving
from tests.integrations.kit import LEFT_EARLY, names

pytestmark = [pytest.mark.anyio, LEFT_EARLY]


class Trust(NamedTuple):
    """What the server shows, and what a client trusts."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def trust() -> Trust:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    server.set_alpn_protocols(["h2"])
    authority.issue_cert(HOST).configure_cert(server)
    authority.configure_trust(client)
    return Trust(server, client)


@asynccontextmanager
async def talking(
    library: Library, server: ssl.SSLContext, trusted: ssl.SSLContext
) -> AsyncGenerator[tuple[Any, BreakerRegistry, str]]:
    """Opens a client of a server; yields it with its registry and the server's address."""
    registry = BreakerRegistry(failure_threshold=9)
    inner = library.web.AsyncHTTPTransport(http2=True, verify=trusted)
    transport = library.transport(inner, registry=registry)
    async with (
        http2_serving(server) as url,
        library.web.AsyncClient(transport=transport, timeout=5) as client,
    ):
        yield client, registry, url


def counted(registry: BreakerRegistry, url: str) -> tuple[int, int]:
    """Returns the successes and the failures of an origin."""
    health = registry.breaker(url).health()
    return health["success_total"], health["failure_total"]


async def test_both_sides_agree_on_http2_and_the_end_of_the_body_settles(library: Library, trust: Trust) -> None:
    async with talking(library, *trust) as (client, registry, url):
        async with client.stream("GET", f"{url}/ok") as response:
            assert response.http_version == "HTTP/2"
            assert counted(registry, url) == (0, 0)
            assert await response.aread() == b"body"
        assert names(registry) == {url}
        assert counted(registry, url) == (1, 0)


async def test_a_stream_that_is_reset_leaves_the_others_of_its_connection_alone(library: Library, trust: Trust) -> None:
    async with talking(library, *trust) as (client, registry, url):
        async with client.stream("GET", f"{url}/hang"):
            with pytest.raises(library.web.RemoteProtocolError):
                await client.get(f"{url}/reset")
            assert counted(registry, url) == (0, 1)
        assert counted(registry, url) == (1, 1)


async def test_a_connection_that_the_server_ends_is_a_failure(library: Library, trust: Trust) -> None:
    async with talking(library, *trust) as (client, registry, url):
        with pytest.raises(library.web.RemoteProtocolError):
            await client.get(f"{url}/goaway")
        assert counted(registry, url) == (0, 1)


async def test_a_server_that_is_not_trusted_is_a_failure(library: Library, trust: Trust) -> None:
    async with talking(library, trust.server, ssl.create_default_context()) as (client, registry, url):
        with pytest.raises(library.web.ConnectError):
            await client.get(f"{url}/ok?token=secret", headers={"authorization": "secret"})
        assert counted(registry, url) == (0, 1)
        assert registry.breaker(url).state is CircuitState.CLOSED
        assert "secret" not in str(registry.health())
