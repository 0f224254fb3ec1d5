"""A store in memory for tests: several workers in one process, a clock under control, and every fault on demand."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from recloser._core import checks
from recloser._core.homes import publish as _publish
from recloser.errors import FleetStoreError
from recloser.fleet._store.operations import check_batch
from recloser.fleet._store.server import InMemoryServer
from recloser.fleet._store.wire import Namespace, read_message

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from typing import NoReturn, Self

    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from recloser.fleet._store.operations import AnyOperation
    from recloser.fleet._store.values import Message, Reply

__all__ = ["InMemoryServer", "InMemoryStore"]


class InMemoryStore:
    """A `FleetStore` in memory for one worker; deterministic, on asyncio and trio.

    It follows the same rules as `RedisStore`. Its faults are for tests: set the attributes at any time.

    Args:
        server: The server that the workers share.
        namespace: As for `RedisStore`.
        op_timeout_seconds: Longest wait of `execute`, in seconds of the event loop, > 0.

    Attributes:
        delay_seconds: How long an operation takes to arrive, in seconds of the event loop, >= 0.
        lose_replies: Whether operations are carried out, and their replies are lost.
        drop_messages: Whether messages are lost.
        double_messages: Whether messages arrive twice.
        hold_messages: Whether messages wait for `release_messages()`.
    """

    def __init__(self, server: InMemoryServer, *, namespace: str = "default", op_timeout_seconds: float = 0.1) -> None:
        if not isinstance(server, InMemoryServer):
            raise TypeError(f"server must be an InMemoryServer, not {server!r}")
        self._server = server
        self._namespace = Namespace(namespace)
        self._op_timeout = checks.seconds("op_timeout_seconds", op_timeout_seconds)
        self._connected = False
        self._cut = False
        self._closed = False
        self._inboxes: set[MemoryObjectSendStream[bytes]] = set()
        self._held: list[bytes] = []
        self.delay_seconds: float = 0.0
        self.lose_replies = False
        self.drop_messages = False
        self.double_messages = False
        self.hold_messages = False
        server.join(self)

    @property
    def op_timeout_seconds(self) -> float:
        """Longest wait of `execute`, in seconds."""
        return self._op_timeout

    async def connect(self) -> None:
        """Connect, or connect again after a failure; see `FleetStore.connect`.

        Raises:
            FleetStoreError: The server was stopped or frozen, this store cut off or closed.
        """
        await self._reach()
        self._connected = True

    async def execute(self, operations: Sequence[AnyOperation]) -> list[Reply]:
        """Carry out operations; see `FleetStore.execute`.

        Args:
            operations: The operations, a tuple or a list.

        Returns:
            One reply per operation, in their order.

        Raises:
            FleetStoreError: Not connected, or a fault; it is not known what took effect.
            TypeError: The batch holds something that is no operation.
        """
        batch = check_batch(operations)
        if not self._connected:
            raise FleetStoreError("not connected")
        replies: list[Reply] = []
        try:
            with anyio.CancelScope(shield=True):
                replies = await self._run(batch)
        except BaseException:
            self._connected = False
            raise
        return replies

    @asynccontextmanager
    async def subscribe(self) -> AsyncGenerator[AsyncIterator[Message], None]:
        """Subscribe to the transitions of all breakers of the namespace; see `FleetStore.subscribe`.

        Raises:
            FleetStoreError: The server was stopped or frozen, this store cut off or closed.
        """
        await self._reach()
        send, receive = anyio.create_memory_object_stream[bytes](math.inf)
        self._inboxes.add(send)
        try:
            yield _Messages(receive)
        finally:
            self._inboxes.discard(send)
            send.close()
            receive.close()

    async def aclose(self) -> None:
        """Close for good."""
        self._closed = True
        self.disconnect()
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()

    def cut(self) -> None:
        """Cut this worker off: it loses its connections, and gets no new ones."""
        self._cut = True
        self.disconnect()

    def mend(self) -> None:
        """End `cut()`."""
        self._cut = False

    def disconnect(self) -> None:
        """Lose the current connections."""
        self._connected = False
        for inbox in self._inboxes:
            inbox.close()
        self._inboxes.clear()

    def receive(self, channel: str, data: bytes) -> None:
        """Take a message from the server."""
        if channel != self._namespace.channel or self.drop_messages:
            return
        copies = [data, data] if self.double_messages else [data]
        if self.hold_messages:
            self._held += copies
        else:
            self._deliver(copies)

    def release_messages(self, *, in_reverse: bool = False) -> None:
        """Deliver the messages that were held.

        Args:
            in_reverse: Whether to deliver the latest message first.
        """
        held, self._held = self._held, []
        self._deliver(held[::-1] if in_reverse else held)

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            FleetStoreError: As for `connect()`.
        """
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close for good."""
        await self.aclose()

    def __repr__(self) -> str:
        """Name the namespace's channel."""
        return f"InMemoryStore(channel={self._namespace.channel!r})"

    def _deliver(self, messages: Sequence[bytes]) -> None:
        for data in messages:
            for inbox in self._inboxes:
                inbox.send_nowait(data)

    async def _reach(self) -> None:
        """Make a round trip to the server without an operation."""
        await anyio.lowlevel.checkpoint()
        if self._closed:
            raise FleetStoreError("the store is closed")
        if self._cut or self._server.is_stopped:
            raise FleetStoreError("no connection to be had")
        if self._server.is_frozen:
            await self._time_out()

    async def _run(self, batch: Sequence[AnyOperation]) -> list[Reply]:
        await anyio.sleep(min(self.delay_seconds, self._op_timeout))
        if not self._connected:
            raise FleetStoreError("the connection was lost")
        replies = self._server.reach(lambda: [self._server.run(self._namespace, operation) for operation in batch])
        if replies is None:
            await self._time_out()
        if self.delay_seconds >= self._op_timeout:
            raise FleetStoreError("no answer in time")
        if self.lose_replies or replies is None:
            raise FleetStoreError("the reply was lost")
        return replies

    async def _time_out(self) -> NoReturn:
        await anyio.sleep(self._op_timeout)
        raise FleetStoreError("no answer in time")


class _Messages:
    """The messages of one subscription."""

    def __init__(self, inbox: MemoryObjectReceiveStream[bytes]) -> None:
        self._inbox = inbox

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        while True:
            try:
                message = read_message(await self._inbox.receive())
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                raise FleetStoreError("the connection for messages was lost") from None
            if message is not None:
                return message


_publish(globals())
