"""A server that knows HTTP/2 alone, on a loopback port, in the clear or over TLS."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
import h2.config
import h2.connection
import h2.events
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

HOST = "127.0.0.1"


class Http2Upstream:
    """One connection of the server, which answers each path in its way.

    `/ok` has a body, `/parts` one of several frames, `/503` fails, `/reset` ends its stream in the middle of its body,
    `/hang` does not end it, `/release` does, and ends all that hang, and `/goaway` ends the connection.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._hanging: set[int] = set()
        self._gone = False

    async def converse(self) -> None:
        self._h2.initiate_connection()
        async with self._stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    await self._stream.send(self._h2.data_to_send())
                    self._hear(await self._stream.receive())

    def _hear(self, data: bytes) -> None:
        # A socket that is closed with something unread is reset, and its client may not see why: read on after GOAWAY.
        for event in () if self._gone else self._h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self._answer(event.stream_id, dict(event.headers)[b":path"].decode())
            elif isinstance(event, h2.events.StreamReset):
                self._hanging.discard(event.stream_id)

    def _answer(self, number: int, path: str) -> None:
        connection = self._h2
        if path == "/goaway":
            connection.close_connection(error_code=2)
            self._gone = True
            return
        status = "503" if path == "/503" else "200"
        connection.send_headers(number, [(":status", status)], end_stream=path == "/503")
        if path != "/503":
            for _ in range(3 if path == "/parts" else 0):
                connection.send_data(number, b"part")
            connection.send_data(number, b"body", end_stream=path in {"/ok", "/parts", "/release"})
        if path == "/reset":
            connection.reset_stream(number, error_code=2)
        elif path == "/hang":
            self._hanging.add(number)
        elif path == "/release":
            self._release()

    def _release(self) -> None:
        while self._hanging:
            self._h2.end_stream(self._hanging.pop())


@asynccontextmanager
async def http2_serving(tls: ssl.SSLContext | None = None) -> AsyncGenerator[str]:
    """Runs a server for the time of the block; yields its address.

    Args:
        tls: What the server shows of itself to clients; None for a server in the clear.
    """

    async def converse(stream: ByteStream) -> None:
        await Http2Upstream(stream).converse()

    listener = await anyio.create_tcp_listener(local_host=HOST, local_port=0)
    port = listener.extra(SocketAttribute.local_port)
    # HTTP does not need the closing handshake of TLS, and clients leave it out.
    door = listener if tls is None else TLSListener(listener, tls, standard_compatible=False)
    async with door, anyio.create_task_group() as group:
        group.start_soon(door.serve, converse)
        yield f"{'http' if tls is None else 'https'}://{HOST}:{port}"
        group.cancel_scope.cancel()
