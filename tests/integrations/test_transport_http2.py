"""The transports for httpx and httpx2 over HTTP/2: many exchanges on one connection, each classified by itself."""

import anyio
import pytest

from recloser import CircuitState
from recloser.testing import ManualClock, half_open_breaker
from tests.integrations.conftest import Library
from tests.integrations.kit import LEFT_EARLY, client_of, one, totals
from tests.integrations.upstream_http2 import http2_serving

pytestmark = [pytest.mark.anyio, LEFT_EARLY]


def http2(library: Library) -> object:
    return library.web.AsyncHTTPTransport(http1=False, http2=True)


async def test_a_response_is_a_success_at_the_end_of_its_body(library: Library) -> None:
    breaker = one()
    async with http2_serving() as url, client_of(library, breaker, transport=http2(library)) as client:
        async with client.stream("GET", f"{url}/ok") as response:
            assert response.http_version == "HTTP/2"
            assert totals(breaker) == {}
            assert await response.aread() == b"body"
        assert totals(breaker) == {"success": 1}


async def test_a_failing_status_is_a_failure(library: Library) -> None:
    breaker = one()
    async with http2_serving() as url, client_of(library, breaker, transport=http2(library)) as client:
        assert (await client.get(f"{url}/503")).status_code == 503
    assert totals(breaker) == {"failure": 1}


@pytest.mark.parametrize("path", ["/reset", "/goaway"])
async def test_a_stream_or_a_connection_that_the_server_ends_is_one_failure(library: Library, path: str) -> None:
    breaker = one(failure_threshold=9)
    async with http2_serving() as url, client_of(library, breaker, transport=http2(library)) as client:
        with pytest.raises(library.web.RemoteProtocolError):
            await client.get(f"{url}{path}")
    assert totals(breaker) == {"failure": 1}


async def test_exchanges_on_one_connection_are_classified_apart(library: Library) -> None:
    breaker = one(failure_threshold=9)
    async with (
        http2_serving() as url,
        client_of(library, breaker, transport=http2(library)) as client,
        client.stream("GET", f"{url}/hang"),
    ):
        await client.get(f"{url}/ok")
        with pytest.raises(library.web.RemoteProtocolError):
            await client.get(f"{url}/reset")
        assert totals(breaker) == {"success": 1, "failure": 1}
    assert totals(breaker) == {"success": 2, "failure": 1}


async def test_a_probe_that_is_cancelled_in_its_body_gives_its_permit_back(library: Library) -> None:
    clock = ManualClock()
    breaker = one(clock=clock)
    await half_open_breaker(breaker, clock)
    async with http2_serving() as url, client_of(library, breaker, transport=http2(library)) as client:
        with anyio.CancelScope() as scope:
            async with client.stream("GET", f"{url}/hang") as response:
                async for _ in response.aiter_raw():
                    scope.cancel()
        assert breaker.health()["probes_in_flight"] == 0
        await client.get(f"{url}/ok")
    assert breaker.state is CircuitState.CLOSED
