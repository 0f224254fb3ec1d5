"""A real server on loopback that answers each path as a script says, to the byte."""

import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import SocketAttribute, SocketStream

Script = Callable[[SocketStream], Awaitable[None]]

HOST = "127.0.0.1"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody"
HEAD_OF_TEN = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\n"
HEAD_OF_EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n"
_LINGER_ZERO = struct.pack("ii", 1, 0)


class Upstream:
    """The server; `scripts` may be changed at any time, `hits` are the targets of the requests that arrived.

    Args:
        port: Where it listens.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.scripts: dict[str, Script] = {}
        self.hits: list[str] = []

    def url(self, path: str = "/", *, host: str = HOST, user: str = "") -> str:
        return f"http://{user}{host}:{self.port}{path}"

    async def converse(self, stream: SocketStream) -> None:
        """Reads one request, plays the script of its path, and closes the connection."""
        async with stream:
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                await self.scripts.get(await self._read(stream), send(OK))(stream)

    async def _read(self, stream: SocketStream) -> str:
        """Reads one request; returns its target."""
        request = b""
        while b"\r\n\r\n" not in request:
            request += await stream.receive()
        while b"chunked" in request and not request.endswith(b"\r\n0\r\n\r\n"):
            request += await stream.receive()
        target = request.split(b" ", 2)[1].decode()
        self.hits.append(target)
        return target


@asynccontextmanager
async def serving() -> AsyncGenerator[Upstream]:
    """Runs a server for the time of the block."""
    listener = await anyio.create_tcp_listener(local_host=HOST, local_port=0)
    upstream = Upstream(listener.extra(SocketAttribute.local_port))
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, upstream.converse)
        yield upstream
        group.cancel_scope.cancel()


def send(*parts: bytes) -> Script:
    """Sends these bytes; the connection is closed after them."""

    async def play(stream: SocketStream) -> None:
        for part in parts:
            await stream.send(part)

    return play


def answer(status: str, *fields: str) -> Script:
    """Answers with a status, header fields, and no body."""
    lines = [f"HTTP/1.1 {status}", "content-length: 0", "connection: close", *fields, "", ""]
    return send("\r\n".join(lines).encode("latin-1"))


def reset(*parts: bytes, when: anyio.Event | None = None) -> Script:
    """Sends these bytes and resets the connection, at once or when the event is set."""

    async def play(stream: SocketStream) -> None:
        for part in parts:
            await stream.send(part)
        if when is not None:
            await when.wait()
        stream.extra(SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)

    return play


def hang(*parts: bytes, when_called: anyio.Event | None = None) -> Script:
    """Sends these bytes and nothing more until the client gives up; sets the event when it is called."""

    async def play(stream: SocketStream) -> None:
        if when_called is not None:
            when_called.set()
        for part in parts:
            await stream.send(part)
        while True:
            await stream.receive()

    return play


def trickle(first: bytes, rest: bytes, when: anyio.Event) -> Script:
    """Sends some bytes, and the rest of them when the event is set."""

    async def play(stream: SocketStream) -> None:
        await stream.send(first)
        await when.wait()
        await stream.send(rest)

    return play
