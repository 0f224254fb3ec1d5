"""A server on a loopback port that keeps its connections and counts them, for HTTP/1.1 or HTTP/2 alone."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import SocketAttribute, SocketStream

from tests.integrations.upstream_http2 import HOST, Http2Upstream

HEAD = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "/ok": HEAD + b"content-length: 4\r\n\r\nbody",
    "/parts": HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"4\r\npart\r\n" * 3 + b"4\r\nbody\r\n0\r\n\r\n",
    "/hang": HEAD + b"content-length: 10\r\n\r\nbody",
    "/reset": HEAD + b"content-length: 10\r\n\r\nbody",
}
"""What is sent for each path; after `/reset` the connection is closed in the middle of its body."""


class CountedUpstream:
    """The server; it answers as `Http2Upstream` does.

    Args:
        port: Where it listens.
        http2: Whether it knows HTTP/2 instead of HTTP/1.1.
    """

    def __init__(self, port: int, *, http2: bool) -> None:
        self.url = f"http://{HOST}:{port}"
        self.connections = 0
        self.open = 0
        self._http2 = http2

    async def converse(self, stream: SocketStream) -> None:
        """Serves one connection."""
        self.connections += 1
        self.open += 1
        try:
            await (Http2Upstream(stream).converse() if self._http2 else self._answer_requests(stream))
        finally:
            self.open -= 1

    async def _answer_requests(self, stream: SocketStream) -> None:
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                path = ""
                while path != "/reset":
                    request = b""
                    while b"\r\n\r\n" not in request:
                        request += await stream.receive()
                    path = request.split(b" ", 2)[1].decode()
                    await stream.send(ANSWERS[path])


@asynccontextmanager
async def counting(*, http2: bool) -> AsyncGenerator[CountedUpstream]:
    """Runs a server for the time of the block."""
    listener = await anyio.create_tcp_listener(local_host=HOST, local_port=0)
    upstream = CountedUpstream(listener.extra(SocketAttribute.local_port), http2=http2)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, upstream.converse)
        yield upstream
        group.cancel_scope.cancel()
