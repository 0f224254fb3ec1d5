"""A proxy with the faults of a network: it delays, trickles and swallows data, and tears connections."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Proxy:
    """Passes bytes on, with faults that a test may change at any time.

    Attributes:
        latency_seconds: How long each way takes.
        jitter_seconds: How much longer it may take.
        one_byte_at_a_time: Whether replies trickle.
        swallow_requests: Whether requests vanish: a black hole.
        swallow_replies: Whether replies vanish; requests are carried out.
        reset_in_reply: Whether the connection is torn after the first byte of the next reply.
        refuses: Whether new connections are torn at once.
    """

    target: Path | int
    latency_seconds: float = 0.0
    jitter_seconds: float = 0.0
    one_byte_at_a_time: bool = False
    swallow_requests: bool = False
    swallow_replies: bool = False
    reset_in_reply: bool = False
    refuses: bool = False
    port: int = 0
    connections: int = 0
    requests: int = 0
    replies_may_pass: asyncio.Event = field(default_factory=asyncio.Event)
    _requested: asyncio.Condition = field(default_factory=asyncio.Condition)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def __post_init__(self) -> None:
        self.replies_may_pass.set()

    async def until_requested(self, times: int) -> None:
        """Waits until so many requests have arrived."""
        async with self._requested:
            await self._requested.wait_for(lambda: self.requests >= times)

    def cut(self) -> None:
        """Tears all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.refuses:
            writer.transport.abort()
            return
        upstream_reader, upstream_writer = await self._open_upstream()
        writers = {writer, upstream_writer}
        self._writers |= writers
        try:
            requests = asyncio.create_task(self._requests(reader, upstream_writer))
            replies = asyncio.create_task(self._replies(upstream_reader, writer))
            await asyncio.wait({requests, replies}, return_when=asyncio.FIRST_COMPLETED)
            for task in (requests, replies):
                task.cancel()
            await asyncio.gather(requests, replies, return_exceptions=True)
        finally:
            self._writers -= writers
            for each in writers:
                each.transport.abort()

    async def _open_upstream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, int):
            return await asyncio.open_connection("127.0.0.1", self.target)
        return await asyncio.open_unix_connection(str(self.target))

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            async with self._requested:
                self.requests += 1
                self._requested.notify_all()
            await self._travel()
            if not self.swallow_requests:
                writer.write(data)
                await writer.drain()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._travel()
            await self.replies_may_pass.wait()
            if self.swallow_replies:
                continue
            if self.reset_in_reply:
                self.reset_in_reply = False
                writer.write(data[:1])
                await writer.drain()
                return
            for part in [data[i : i + 1] for i in range(len(data))] if self.one_byte_at_a_time else [data]:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)

    async def _travel(self) -> None:
        if self.latency_seconds or self.jitter_seconds:
            await asyncio.sleep(self.latency_seconds + self._random.uniform(0, self.jitter_seconds))


@asynccontextmanager
async def proxy_to(target: Path | int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """Starts a proxy on a free port, to a unix socket or to a port of this machine."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.cut()
        await server.wait_closed()
        await asyncio.sleep(0)
