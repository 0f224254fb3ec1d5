import socket
from http import HTTPStatus
from importlib import metadata
from random import Random

import anyio
import httpx
import pytest

from recloser.cli.demo.plan import Fault, Phase
from recloser.cli.demo.upstream import GENERATION_HEADER, HOST, Hit, PortError, Upstream
from recloser.testing import ManualClock
from tests.cli.demo.stage import FAILING, HANGING, HEALTHY, RESETTING, serving

pytestmark = pytest.mark.anyio


def causes(error: BaseException | None) -> list[type[BaseException]]:
    return [] if error is None else [type(error), *causes(error.__cause__ or error.__context__)]


async def test_the_client_gets_the_order_that_it_asks_for() -> None:
    async with serving(HEALTHY) as (_, client):
        response = await client.get("/lane/orders/7")
    assert response.status_code == HTTPStatus.OK
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"order": "7", "read_at_seconds": 0.0}


@pytest.mark.parametrize("status", [HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE], ids=str)
async def test_the_client_gets_the_phase_s_status(status: HTTPStatus) -> None:
    async with serving(Phase(name="any", seconds=1, replies=(status,), latency_seconds=0)) as (_, client):
        response = await client.get("/lane/orders/7")
    assert response.headers["content-type"] == "text/plain"
    assert response.status_code == status
    assert response.text == f"{status.value} {status.phrase}\n"


async def test_a_connection_is_kept_alive_through_failures() -> None:
    async with serving(FAILING) as (upstream, client):
        connections = set[object]()
        for _ in range(3):
            response = await client.post("/lane/orders/7", content=b"a body that is dropped")
            connections.add(response.extensions["network_stream"].get_extra_info("client_addr"))
    assert upstream.counts["lane"] == 3
    assert len(connections) == 1


async def test_a_client_that_asks_for_it_gets_its_connection_closed() -> None:
    async with serving(HEALTHY) as (_, client):
        stream = await anyio.connect_tcp(HOST, client.base_url.port or 0)
        async with stream:
            await stream.send(b"GET /lane/orders/7 HTTP/1.1\r\nHost: upstream\r\nConnection: close\r\n\r\n")
            received = b"".join([chunk async for chunk in stream])
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_client_that_does_not_speak_http_gets_its_connection_closed_and_is_no_hit() -> None:
    async with serving(HEALTHY) as (upstream, client):
        stream = await anyio.connect_tcp(HOST, client.base_url.port or 0)
        async with stream:
            await stream.send(b"hello\r\n\r\n")
            received = b"".join([chunk async for chunk in stream])
    assert received == b""
    assert upstream.hits == []


async def test_hits_are_counted_by_lane_with_their_generation_and_the_phase_they_met() -> None:
    async with serving(HEALTHY) as (upstream, client):
        await client.get("/one/orders/7", headers={GENERATION_HEADER: "7"})
        upstream.phase = FAILING
        await client.get("/two/orders/7")
        await client.get("/two/orders/7")
    assert upstream.counts == {"one": 1, "two": 2}
    two = Hit(0.0, "two", "", FAILING)
    assert upstream.hits == [Hit(0.0, "one", "7", HEALTHY), two, two]


async def test_a_reset_reaches_the_client_as_a_transport_error_and_is_a_hit() -> None:
    async with serving(RESETTING) as (upstream, client):
        with pytest.raises(httpx.TransportError):
            await client.get("/lane/orders/7")
    assert upstream.counts["lane"] == 1


async def test_a_reset_is_a_reset_on_the_wire(anyio_backend_name: str) -> None:
    if anyio_backend_name == "asyncio" and metadata.version("anyio") < "4.16":
        pytest.skip("on asyncio, anyio before 4.16 ends the stream in order before it closes the socket")
    async with serving(RESETTING) as (_, client):
        with pytest.raises(httpx.ReadError) as raised:
            await client.get("/lane/orders/7")
    assert ConnectionResetError in causes(raised.value)


async def test_a_hanging_upstream_takes_the_request_and_does_not_answer() -> None:
    async with serving(HANGING) as (upstream, client):
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/lane/orders/7", timeout=0.05)
    assert upstream.counts["lane"] == 1


async def test_a_hanging_upstream_lets_go_when_the_client_gives_up() -> None:
    async with serving(HANGING) as (upstream, client):
        stream = await anyio.connect_tcp(HOST, client.base_url.port or 0)
        async with stream:
            await stream.send(b"GET /lane/orders/7 HTTP/1.1\r\nHost: upstream\r\n\r\n")
            await stream.send(b"a second request that nobody reads")
            await stream.send_eof()
            received = b"".join([chunk async for chunk in stream])
    assert received == b""
    assert upstream.counts["lane"] == 1


async def test_a_taken_port_is_named() -> None:
    upstream = Upstream(HEALTHY, random=Random(1), clock=ManualClock())
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortError, match=rf"^port {port} on 127\.0\.0\.1 cannot be used: .*in use"):
            async with upstream.serving(port):
                pytest.fail("served")


async def test_a_cancelled_block_is_served_until_its_end() -> None:
    with anyio.CancelScope() as scope:
        async with serving(HEALTHY) as (_, client):
            scope.cancel()
            with anyio.CancelScope(shield=True):
                response = await client.get("/lane/orders/7")
    assert response.status_code == HTTPStatus.OK


def test_a_phase_is_down_when_nothing_can_succeed() -> None:
    mixed = Phase(name="mixed", seconds=1, replies=(HTTPStatus.OK, Fault.RESET))
    assert [phase.down for phase in (HEALTHY, FAILING, HANGING, mixed)] == [False, True, True, False]
