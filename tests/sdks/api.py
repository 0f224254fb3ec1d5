"""A model API on a loopback port that answers every request as a script says, to the byte."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import SocketAttribute, SocketStream

from tests.integrations.upstream import HOST, Script


class Api:
    """The server; `script` answers all requests and may be changed at any time, `hits` counts them.

    Args:
        port: Where it listens.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self.script: Script = _nothing
        self.hits = 0
        self.bodies: list[bytes] = []

    async def converse(self, stream: SocketStream) -> None:
        """Reads one request, plays the script, and closes the connection."""
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                self.bodies.append(await _read(stream))
                self.hits += 1
                await self.script(stream)


async def _nothing(_: SocketStream) -> None:
    """Answers nothing."""


async def _read(stream: SocketStream) -> bytes:
    """Reads a request; returns its body."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += await stream.receive()
    head, _, body = request.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields.get(b"content-length", b"0")):
        body += await stream.receive()
    while b"transfer-encoding" in fields and not body.endswith(b"0\r\n\r\n"):
        body += await stream.receive()
    return body


@asynccontextmanager
async def serving() -> AsyncGenerator[Api]:
    """Runs a server for the time of the block."""
    listener = await anyio.create_tcp_listener(local_host=HOST, local_port=0)
    api = Api(listener.extra(SocketAttribute.local_port))
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, api.converse)
        yield api
        group.cancel_scope.cancel()


def document(status: str, text: str, *fields: str) -> bytes:
    """Returns a response with a JSON document."""
    head = [f"HTTP/1.1 {status}", "content-type: application/json", "connection: close", *fields]
    return "\r\n".join([*head, f"content-length: {len(text)}", "", text]).encode()


def events(*texts: str) -> bytes:
    """Returns the beginning of a stream of events, each of which is sent as one chunk; `END` ends it."""
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + b"".join(b"%x\r\n%s\r\n" % (len(text), text.encode()) for text in texts)


END = b"0\r\n\r\n"
