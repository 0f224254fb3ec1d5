"""The transports for httpx and httpx2 over HTTP/2: many exchanges on one connection, each judged by itself."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
import h2.config
import h2.connection
import h2.events
import pytest
from anyio.abc import SocketAttribute, SocketStream

from recloser import CircuitState
from recloser.testing import ManualClock, half_open_breaker
from tests.integrations.conftest import Library
from tests.integrations.kit import LEFT_EARLY, client_of, one, totals

pytestmark = [pytest.mark.anyio, LEFT_EARLY]

HOST = "127.0.0.1"


class Http2Upstream:
    """A server that knows HTTP/2 alone, in the clear, and answers each path in its way.

    `/ok` has a body, `/503` fails, `/reset` ends its stream in the middle of its body, `/hang` does not end it, and
    `/goaway` ends the connection.
    """

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))

    async def converse(self) -> None:
        self._h2.initiate_connection()
        async with self._stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    await self._stream.send(self._h2.data_to_send())
                    for event in self._h2.receive_data(await self._stream.receive()):
                        if isinstance(event, h2.events.RequestReceived):
                            self._answer(event.stream_id, dict(event.headers)[b":path"].decode())

    def _answer(self, number: int, path: str) -> None:
        connection = self._h2
        if path == "/goaway":
            connection.close_connection(error_code=2)
            return
        status = "503" if path == "/503" else "200"
        connection.send_headers(number, [(":status", status)], end_stream=path == "/503")
        if path != "/503":
            connection.send_data(number, b"body", end_stream=path == "/ok")
        if path == "/reset":
            connection.reset_stream(number, error_code=2)


@asynccontextmanager
async def http2_serving() -> AsyncGenerator[str]:
    """Runs a server for the time of the block; yields its address."""

    async def converse(stream: SocketStream) -> None:
        await Http2Upstream(stream).converse()

    listener = await anyio.create_tcp_listener(local_host=HOST, local_port=0)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, converse)
        yield f"http://{HOST}:{listener.extra(SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


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


async def test_exchanges_on_one_connection_are_judged_apart(library: Library) -> None:
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


async def test_a_trial_call_that_is_cancelled_in_its_body_gives_its_permit_back(library: Library) -> None:
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
