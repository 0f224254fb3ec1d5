"""A server that knows HTTP/2 alone, in the clear or over TLS."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
import h2.config
import h2.connection
import h2.events
from anyio.abc import ByteStream, Listener, SocketAttribute
from anyio.streams.tls import TLSListener

HOST = "127.0.0.1"


class Http2Upstream:
    """One connection of the server, which answers each path in its way.

    `/ok` has a body, `/503` fails, `/reset` ends its stream in the middle of its body, `/hang` does not end it, and
    `/goaway` ends the connection.
    """

    def __init__(self, stream: ByteStream) -> None:
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
async def http2_serving(context: ssl.SSLContext | None = None) -> AsyncGenerator[str]:
    """Runs a server for the time of the block, over TLS if it is given a context; yields its address."""

    async def converse(stream: ByteStream) -> None:
        await Http2Upstream(stream).converse()

    sockets = await anyio.create_tcp_listener(local_host=HOST, local_port=0)
    port = sockets.extra(SocketAttribute.local_port)
    listener: Listener[ByteStream] = sockets if context is None else TLSListener(sockets, context)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, converse)
        yield f"{'http' if context is None else 'https'}://{HOST}:{port}"
        group.cancel_scope.cancel()
