"""Sessions on real sockets: WebSockets, and streams of framed messages as of gRPC."""

import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from recloser import CircuitBreaker, CircuitState
from recloser.testing import ManualClock, half_open_breaker

pytestmark = pytest.mark.anyio

SESSIONS = 5
TEN_MINUTES = 600
ENDS = b""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)


@pytest.fixture
async def breaker(clock: ManualClock) -> CircuitBreaker:
    """Returns a breaker whose next call is a probe."""
    breaker = CircuitBreaker("sessions", failure_threshold=2, reset_timeout_seconds=30, clock=clock)
    await half_open_breaker(breaker, clock)
    return breaker


@asynccontextmanager
async def peer(*messages: bytes) -> AsyncGenerator[int]:
    """Serves framed messages and then breaks off, unless the last one is empty; yields the port."""

    async def speak(stream: SocketStream) -> None:
        async with stream:
            for message in messages:
                await stream.send(struct.pack(">BI", 0, len(message)) + message)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, speak)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def messages_of(port: int) -> AsyncGenerator[bytes]:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        source = BufferedByteReceiveStream(stream)
        while True:
            _, length = struct.unpack(">BI", await source.receive_exactly(5))
            if not length:
                return
            yield await source.receive_exactly(length)


async def test_a_stream_of_messages_is_a_probe_until_its_first_message(
    breaker: CircuitBreaker, clock: ManualClock
) -> None:
    watch = breaker(messages_of)
    async with peer(b"one", b"two", ENDS) as port, aclosing(watch(port)) as first:
        assert await anext(first) == b"one"
        clock.advance(TEN_MINUTES)
        for _ in range(SESSIONS):
            assert [message async for message in watch(port)] == [b"one", b"two"]
        assert [message async for message in first] == [b"two"]
    assert breaker.state is CircuitState.CLOSED
    assert breaker.health()["rejected_total"] == 0


async def test_a_stream_of_messages_that_breaks_off_is_one_failure_of_the_closed_breaker(
    breaker: CircuitBreaker,
) -> None:
    watch = breaker(messages_of)
    async with peer(b"one") as port:
        with pytest.raises(anyio.IncompleteRead):
            [message async for message in watch(port)]
        assert (breaker.state, breaker.failure_count) == (CircuitState.CLOSED, 1)
        with pytest.raises(anyio.IncompleteRead):
            [message async for message in watch(port)]
    assert breaker.state is CircuitState.OPEN


async def test_a_stream_that_breaks_off_before_its_first_message_is_a_failed_probe(breaker: CircuitBreaker) -> None:
    async with peer() as port:
        with pytest.raises((anyio.IncompleteRead, OSError)):
            [message async for message in breaker(messages_of)(port)]
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # that of the library
class TestWebSockets:
    @asynccontextmanager
    async def server(self, goes_down: anyio.Event) -> AsyncGenerator[str]:
        async def speak(socket: ServerConnection) -> None:
            await socket.send("hello")
            await goes_down.wait()
            await socket.close(code=1011)

        async with serve(speak, "127.0.0.1", 0) as listener:
            port = next(iter(listener.sockets)).getsockname()[1]
            yield f"ws://127.0.0.1:{port}"

    async def session(self, breaker: CircuitBreaker, url: str, begun: anyio.Event) -> None:
        with suppress(ConnectionClosedError):
            async with breaker.guard() as permit, connect(url, proxy=None) as socket:
                permit.progress()
                begun.set()
                async for message in socket:
                    assert message == "hello"

    async def test_the_handshake_settles_a_probe_and_all_others_are_admitted(
        self, breaker: CircuitBreaker, clock: ManualClock
    ) -> None:
        goes_down = anyio.Event()
        async with self.server(goes_down) as url, anyio.create_task_group() as tasks:
            for number in range(1 + SESSIONS):
                begun = anyio.Event()
                tasks.start_soon(self.session, breaker, url, begun)
                await begun.wait()
                assert breaker.state is CircuitState.CLOSED, number
                clock.advance(TEN_MINUTES)
            goes_down.set()
        assert breaker.state is CircuitState.OPEN
        health = breaker.health()
        assert (health["rejected_total"], health["late_total"]) == (0, SESSIONS - 1)
