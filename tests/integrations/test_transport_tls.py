"""The transports for httpx and httpx2 over TLS, where the two sides agree on HTTP/2 by ALPN, as services do."""

import json
import ssl
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import trustme

from recloser import BreakerRegistry, CircuitBreakerOpenError
from recloser.testing import RecordingListener
from tests.integrations.conftest import Library
from tests.integrations.kit import LEFT_EARLY, names, totals
from tests.integrations.upstream_http2 import HOST, http2_serving

pytestmark = [pytest.mark.anyio, LEFT_EARLY]

SECRET = "s3cr3t"  # noqa: S105 - that no secret gets out is what is tested


class Parties(NamedTuple):
    """What each side of a connection brings to its handshake."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    """Trusts the server."""


@pytest.fixture(scope="module")
def certificate() -> tuple[trustme.CA, trustme.LeafCert]:
    authority = trustme.CA()
    return authority, authority.issue_cert(HOST)


@pytest.fixture
def tls(certificate: tuple[trustme.CA, trustme.LeafCert]) -> Parties:
    authority, leaf = certificate
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    leaf.configure_cert(server)
    server.set_alpn_protocols(["h2"])
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Parties(server, client)


def client_of(library: Library, registry: BreakerRegistry, verify: ssl.SSLContext) -> Any:  # noqa: ANN401 - of either
    """Makes a client that offers both HTTP/1.1 and HTTP/2, and has a breaker for each origin."""
    transport = library.transport(library.web.AsyncHTTPTransport(http2=True, verify=verify), registry=registry)
    return library.web.AsyncClient(transport=transport, timeout=5)


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error and what it came from, which the libraries hide from tracebacks."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def test_http2_is_agreed_on_and_the_breaker_is_the_one_of_the_https_origin(
    library: Library, tls: Parties
) -> None:
    registry = BreakerRegistry()
    async with http2_serving(tls.server) as url, client_of(library, registry, tls.client) as client:
        async with client.stream("GET", f"{url}/ok") as response:
            assert response.http_version == "HTTP/2"
            assert response.extensions["network_stream"].get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
            assert totals(registry.breaker(url)) == {}
            assert await response.aread() == b"body"
        assert url.startswith(f"https://{HOST}:")
        assert names(registry) == {url}
        assert totals(registry.breaker(url)) == {"success": 1}


@pytest.mark.parametrize("path", ["/503", "/reset", "/goaway"])
async def test_a_bad_status_a_reset_stream_and_a_lost_connection_are_one_failure_each(
    library: Library, tls: Parties, path: str
) -> None:
    registry = BreakerRegistry()
    async with http2_serving(tls.server) as url, client_of(library, registry, tls.client) as client:
        if path == "/503":
            assert (await client.get(f"{url}{path}")).status_code == 503
        else:
            with pytest.raises(library.web.RemoteProtocolError):
                await client.get(f"{url}{path}")
        assert totals(registry.breaker(url)) == {"failure": 1}


async def test_a_stream_that_is_reset_in_its_body_leaves_another_one_of_its_connection_alone(
    library: Library, tls: Parties
) -> None:
    registry = BreakerRegistry()
    async with http2_serving(tls.server) as url, client_of(library, registry, tls.client) as client:
        breaker = registry.breaker(url)
        async with client.stream("GET", f"{url}/hang") as other:
            async with client.stream("GET", f"{url}/reset") as response:
                assert response.extensions["network_stream"] is other.extensions["network_stream"]
                assert totals(breaker) == {}
                with pytest.raises(library.web.RemoteProtocolError):
                    await response.aread()
            assert totals(breaker) == {"failure": 1}
            await client.get(f"{url}/release")
            assert await other.aread() == b"body"
        assert totals(breaker) == {"success": 2, "failure": 1}


async def test_a_body_that_is_closed_before_its_end_is_a_success(library: Library, tls: Parties) -> None:
    registry = BreakerRegistry()
    async with http2_serving(tls.server) as url, client_of(library, registry, tls.client) as client:
        async with client.stream("GET", f"{url}/hang") as response:
            assert await anext(response.aiter_raw()) == b"body"
            assert totals(registry.breaker(url)) == {}
        assert totals(registry.breaker(url)) == {"success": 1}


async def test_a_certificate_that_is_not_trusted_is_a_failure_and_tells_no_secret(
    library: Library, tls: Parties
) -> None:
    seen = RecordingListener()
    registry = BreakerRegistry(failure_threshold=1)
    registry.subscribe(seen)
    stranger = ssl.create_default_context()
    async with http2_serving(tls.server) as url, client_of(library, registry, stranger) as client:
        address = f"{url.replace('//', f'//{SECRET}:{SECRET}@')}/{SECRET}?token={SECRET}"
        headers = {"cookie": SECRET}
        with pytest.raises(library.web.ConnectError) as failed:
            await client.get(address, headers=headers)
        with pytest.raises(CircuitBreakerOpenError) as rejected:
            await client.get(address, headers=headers)
        breaker = registry.breaker(url)
    reasons = list(chain_of(failed.value))
    assert any(isinstance(reason, ssl.SSLCertVerificationError) for reason in reasons)
    assert names(registry) == {url}
    assert totals(breaker) == {"failure": 1, "rejected": 1}
    texts = [
        str(rejected.value),
        repr(rejected.value),
        repr(breaker),
        breaker.explain(),
        json.dumps(registry.health()),
        *map(repr, seen.events),
    ]
    # What the libraries say may name anything: of an error the breaker keeps no more than its type.
    assert [text for text in texts if "CERTIFICATE_VERIFY_FAILED" in text] == []
    assert [text for text in [*map(repr, reasons), *texts] if SECRET in text] == []
    assert any("ConnectError" in text for text in texts)
