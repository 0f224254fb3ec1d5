"""A real HTTP/1.1 server on loopback that fails on command, and counts the requests that reach its sockets."""

import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from random import Random

import anyio
import h11
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.stapled import MultiListener

from recloser.cli.demo.plan import Fault, Phase

__all__ = ["GENERATION_HEADER", "HOST", "Hit", "PortError", "Upstream"]

HOST = "127.0.0.1"
GENERATION_HEADER = "x-breaker-generation"
_LINGER_ZERO = struct.pack("ii", 1, 0)
_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, h11.RemoteProtocolError)


class PortError(OSError):
    """The upstream can't listen on the requested port."""


async def _bind(port: int) -> tuple[MultiListener[SocketStream], int]:
    """Listen on loopback; return the listener and its port."""
    try:
        listener = await anyio.create_tcp_listener(local_host=HOST, local_port=port)
    except OSError as error:
        raise PortError(f"port {port} on {HOST} cannot be used: {error.strerror}") from error
    return listener, listener.extra(SocketAttribute.local_port)


@dataclass(frozen=True, slots=True)
class Hit:
    """One request that arrived at a socket.

    Attributes:
        at: Seconds on the demo's clock.
        lane: The first segment of the request's path.
        generation: The breaker's generation that admitted the request, from a header; empty without the header.
        phase: The phase of the upstream.
    """

    at: float
    lane: str
    generation: str
    phase: Phase


class Upstream:
    """The server: set `phase` from outside; `hits` and `counts` contain what arrived.

    Args:
        phase: The phase to begin with.
        random: Draws replies and latencies.
        clock: The demo's clock, in seconds.
    """

    def __init__(self, phase: Phase, *, random: Random, clock: Callable[[], float]) -> None:
        self.phase = phase
        self.hits: list[Hit] = []
        self.counts: Counter[str] = Counter()
        self._random = random
        self._clock = clock

    def record(self, lane: str, generation: str) -> None:
        """Count a request that has arrived."""
        self.counts[lane] += 1
        self.hits.append(Hit(self._clock(), lane, generation, self.phase))

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncGenerator[int]:
        """Listen on loopback and answer connections until the block ends.

        A cancellation does not end the server before the block. So the clients in the block end first: if a connection
        arrives in the step that cancels its acceptance, asyncio prints a traceback.

        Args:
            port: The TCP port; 0 means any free port.

        Yields:
            The port.

        Raises:
            PortError: The port is taken or not allowed.
        """
        listener, port = await _bind(port)
        async with listener, anyio.create_task_group() as connections:
            scope = anyio.CancelScope(shield=True)
            connections.start_soon(self._serve, listener, scope)
            try:
                yield port
            finally:
                scope.cancel()

    async def _serve(self, listener: MultiListener[SocketStream], scope: anyio.CancelScope) -> None:
        with scope:
            await listener.serve(self._converse)

    async def _converse(self, stream: SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        async with stream:
            with suppress(*_GONE):
                while await self._exchange(stream, connection):
                    connection.start_next_cycle()

    async def _exchange(self, stream: SocketStream, connection: h11.Connection) -> bool:
        """Read and answer one request; False means that the connection has to end."""
        request = await _read_request(stream, connection)
        self.record(*_origin(request))
        phase = self.phase
        match self._random.choice(phase.replies):
            case Fault.RESET:
                stream.extra(SocketAttribute.raw_socket).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
                return False
            case Fault.HANG:
                await _wait_until_the_client_gives_up(stream)
                return False
            case status:
                await anyio.sleep(phase.latency_seconds * self._random.uniform(0.5, 1.5))
                body = self._order(request) if status is HTTPStatus.OK else f"{status.value} {status.phrase}\n"
                await _send_response(stream, connection, status, body.encode())
        return connection.our_state is h11.DONE

    def _order(self, request: h11.Request) -> str:
        """Return the order that the last segment of a request's path names, as JSON."""
        number = request.target.decode("ascii").rpartition("/")[2]
        return json.dumps({"order": number, "read_at_seconds": round(self._clock(), 3)})


def _origin(request: h11.Request) -> tuple[str, str]:
    """Return the lane and the generation of a request."""
    lane = request.target.decode("ascii").lstrip("/").partition("/")[0]
    generation = dict(request.headers).get(GENERATION_HEADER.encode(), b"")
    return lane, generation.decode("latin-1")


async def _read_request(stream: SocketStream, connection: h11.Connection) -> h11.Request:
    """Return the next request once it has arrived completely; drop its body."""
    request: h11.Request | None = None
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive())
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request


async def _send_response(stream: SocketStream, connection: h11.Connection, status: HTTPStatus, body: bytes) -> None:
    content_type = "application/json" if status is HTTPStatus.OK else "text/plain"
    headers = [("content-type", content_type), ("content-length", str(len(body)))]
    parts = (
        h11.Response(status_code=status.value, reason=status.phrase, headers=headers),
        h11.Data(data=body),
        h11.EndOfMessage(),
    )
    await stream.send(b"".join(connection.send(part) or b"" for part in parts))


async def _wait_until_the_client_gives_up(stream: SocketStream) -> None:
    with suppress(anyio.EndOfStream):
        while True:
            await stream.receive()
