"""The store in Redis or Valkey, through `redis.asyncio`: one connection for operations, one for messages."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from recloser._core import checks
from recloser.errors import FleetStoreError
from recloser.fleet._store.operations import check_batch
from recloser.fleet._store.scripts import lua_scripts
from recloser.fleet._store.wire import Namespace, arguments, read_reply

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Sequence
    from typing import Self

    from recloser.fleet._store.connection import AbortableConnection, PipelinedConnection
    from recloser.fleet._store.operations import AnyOperation
    from recloser.fleet._store.values import Message, Reply


class RedisStore:
    """A `FleetStore` in Redis >= 5 or Valkey; on asyncio only. Needs `pip install 'recloser[redis]'`.

    It uses two connections, however many breakers there are. It never retries: a reply that does not arrive within
    `op_timeout_seconds` is a failure. The caller's own breaker can decide better than by waiting.

    Use a store in the process and the event loop that it was made in. After a fork, make another one.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`, with user, password and database as redis-py takes them.
        namespace: The prefix of all keys, 1 to 100 bytes of UTF-8. Fleets of different namespaces share nothing.
        op_timeout_seconds: Longest wait for the replies to a batch, > 0.
        connect_timeout_seconds: Longest wait for a connection, > 0. No protected call waits for it.
        ping_interval_seconds: After so many seconds without a message, the server is asked whether it lives, > 0.

    Raises:
        ImportError: redis-py is not installed.
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range; the message never holds the URL's credentials.
    """

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "default",
        op_timeout_seconds: float = 0.1,
        connect_timeout_seconds: float = 1.0,
        ping_interval_seconds: float = 5.0,
    ) -> None:
        try:
            from recloser.fleet._store import connection  # noqa: PLC0415 - an optional dependency
        except ImportError as error:
            raise ImportError("RedisStore needs redis-py: pip install 'recloser[redis]'") from error
        op_timeout = checks.seconds("op_timeout_seconds", op_timeout_seconds)
        connect_timeout = checks.seconds("connect_timeout_seconds", connect_timeout_seconds)
        self._ping_interval = checks.seconds("ping_interval_seconds", ping_interval_seconds)
        self._namespace = Namespace(namespace)
        self._endpoint = connection.RedisEndpoint(url, op_timeout, connect_timeout)
        self._label = f"RedisStore({self._endpoint.label!r}, namespace={namespace!r})"
        self._pipeline_over, self._subscription_of = connection.PipelinedConnection, connection.RedisSubscription
        self._scripts = lua_scripts()
        self._connecting = asyncio.Lock()
        self._pipeline: PipelinedConnection | None = None
        self._subscribed: set[AbortableConnection] = set()
        self._closed = False

    @property
    def op_timeout_seconds(self) -> float:
        """Longest wait of `execute`, in seconds."""
        return self._endpoint.op_timeout_seconds

    async def connect(self) -> None:
        """Connect, or connect again after a failure; do nothing while connected.

        Raises:
            FleetStoreError: The server can't be reached.
            RuntimeError: The running event loop is not asyncio's.
        """
        async with self._connecting:
            if self._pipeline is not None:
                return
            self._pipeline = self._pipeline_over(await self._open("PING"))

    async def execute(self, operations: Sequence[AnyOperation]) -> list[Reply]:
        """Carry out operations in one round trip; see `FleetStore.execute`.

        Args:
            operations: The operations, a tuple or a list.

        Returns:
            One reply per operation, in their order.

        Raises:
            FleetStoreError: Not connected, or any failure; it is not known what took effect.
            TypeError: The batch holds something that is no operation.
        """
        batch = check_batch(operations)
        pipeline = self._pipeline
        if pipeline is None:
            raise FleetStoreError("not connected")
        try:
            with anyio.fail_after(self.op_timeout_seconds, shield=True):
                return [read_reply(reply) for reply in await self._run(pipeline, batch)]
        except BaseException as error:
            self._drop(pipeline)
            if isinstance(error, Exception):
                raise self._endpoint.failure(error) from None
            raise

    @asynccontextmanager
    async def subscribe(self) -> AsyncGenerator[AsyncIterator[Message], None]:
        """Subscribe to the transitions of all breakers of the namespace; see `FleetStore.subscribe`.

        Raises:
            FleetStoreError: The server can't be reached, or the connection was lost.
            RuntimeError: The running event loop is not asyncio's.
        """
        connection = await self._open("SUBSCRIBE", self._namespace.channel)
        self._subscribed.add(connection)
        try:
            yield self._subscription_of(connection, self._endpoint, self._ping_interval)
        finally:
            self._subscribed.discard(connection)
            connection.abort()

    async def aclose(self) -> None:
        """Close all connections, for good and at once. Tasks that wait on one get a `FleetStoreError`."""
        self._closed = True
        if self._pipeline is not None:
            self._drop(self._pipeline)
        for connection in self._subscribed:
            connection.abort()
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()  # asyncio closes the sockets in its next iteration

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            FleetStoreError: The server can't be reached.
        """
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self.aclose()

    def __repr__(self) -> str:
        """Name the server and the namespace, without credentials."""
        return self._label

    async def _open(self, *command: str) -> AbortableConnection:
        connection = None if self._closed else await self._endpoint.open(*command)
        if connection is not None and not self._closed:
            return connection
        if connection is not None:
            connection.abort()
        raise FleetStoreError("the store is closed")

    async def _run(self, pipeline: PipelinedConnection, batch: Sequence[AnyOperation]) -> list[Any]:
        """Call the scripts by their digests, and again by their texts where the server does not know the digest."""
        replies = await pipeline.exchange([self._command("EVALSHA", operation) for operation in batch])
        unknown = [index for index, reply in enumerate(replies) if reply is None]
        if unknown:
            again = await pipeline.exchange([self._command("EVAL", batch[index]) for index in unknown])
            for index, reply in zip(unknown, again, strict=True):
                replies[index] = reply
        return replies

    def _command(self, how: str, operation: AnyOperation) -> Sequence[str | int | float]:
        script = self._scripts[type(operation)]
        source = script.digest if how == "EVALSHA" else script.text
        keys = self._namespace.keys(operation.name)
        return (how, source, len(keys), *keys, *arguments(self._namespace.channel, operation))

    def _drop(self, pipeline: PipelinedConnection) -> None:
        pipeline.abort()
        if self._pipeline is pipeline:
            self._pipeline = None
