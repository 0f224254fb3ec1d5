"""Connections by redis-py: one that several tasks share for operations, and one that messages are read from.

Replies arrive in the order of the commands. A task sends its commands without waiting for the replies to earlier ones,
takes its turn in the same step, and reads once the turn before it has ended. As soon as anything fails, nobody knows
which reply belongs to which command any more: the connection is closed for all tasks, and for good.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from recloser.errors import FleetStoreError
from recloser.fleet._store.wire import read_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recloser.fleet._store.values import Message

_SCHEMES: Final = ("redis", "rediss", "unix")
_OPTIONS_OF_POOLS: Final = ("connection_class", "max_connections", "timeout")
_LONGEST_REASON: Final = 300


class AbortableConnection(AbstractConnection):
    """A connection that can be closed at once. redis-py's own ways to close one may wait for a peer that is frozen."""

    def abort(self) -> None:
        """Close the connection at once."""
        writer = self._writer
        if writer is not None:
            writer.transport.abort()
        self._reader = self._writer = None


class TcpConnection(AbortableConnection, Connection):
    """A connection for `redis://`."""


class TlsConnection(AbortableConnection, SSLConnection):
    """A connection for `rediss://`."""


class UnixConnection(AbortableConnection, UnixDomainSocketConnection):
    """A connection for `unix://`."""


_CLASSES: Final[dict[type[AbstractConnection], type[AbortableConnection]]] = {
    Connection: TcpConnection,
    SSLConnection: TlsConnection,
    UnixDomainSocketConnection: UnixConnection,
}


class RedisEndpoint:
    """Where a server is and how it is reached.

    Args:
        url: The server, with credentials.
        op_timeout_seconds: Longest wait for a reply.
        connect_timeout_seconds: Longest wait for a connection.

    Attributes:
        label: Scheme, host, port and path of the server, without credentials.
        options: What redis-py makes a connection from.
        op_timeout_seconds: As the argument; may be changed at any time.
        connect_timeout_seconds: As the argument; may be changed at any time.

    Raises:
        TypeError: The URL is no string.
        ValueError: redis-py does not take the URL. The message holds nothing that may be a credential.
    """

    def __init__(self, url: str, op_timeout_seconds: float, connect_timeout_seconds: float) -> None:
        self.label: str = _without_credentials(url)
        self.op_timeout_seconds = op_timeout_seconds
        self.connect_timeout_seconds = connect_timeout_seconds
        try:
            parsed: dict[str, Any] = dict(parse_url(url))
            self._class = _CLASSES[parsed.get("connection_class", Connection)]
            self.options: dict[str, Any] = {
                name: value for name, value in parsed.items() if name not in _OPTIONS_OF_POOLS
            } | {
                "decode_responses": False,
                "health_check_interval": 0,
                "protocol": 2,
                "retry": Retry(NoBackoff(), 0),
                "retry_on_timeout": False,
                "socket_connect_timeout": connect_timeout_seconds,
                "socket_timeout": op_timeout_seconds,
            }
            self._class(**self.options)
        except (KeyError, TypeError, ValueError, RedisError):
            raise ValueError(f"url must have parameters that redis-py takes, not those of {self.label}") from None

    async def open(self, *command: str) -> AbortableConnection:
        """Return a new connection that has answered a first command.

        Raises:
            FleetStoreError: The server can't be reached.
            RuntimeError: The running event loop is not asyncio's.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError("RedisStore runs on asyncio only, as redis.asyncio does; this is another loop") from None
        connection = self._class(**self.options)
        try:
            with anyio.fail_after(self.connect_timeout_seconds):
                await connection.connect()  # type: ignore[no-untyped-call] # redis-py leaves it untyped
            with anyio.fail_after(self.op_timeout_seconds):
                await connection.send_command(*command, check_health=False)
                await connection.read_response()
        except BaseException as error:
            connection.abort()
            if isinstance(error, Exception):
                raise self.failure(error) from None
            raise
        return connection

    def failure(self, error: Exception) -> FleetStoreError:
        """Return the error that callers get in place of another, without credentials."""
        if isinstance(error, FleetStoreError):
            return error
        text = str(error) or "no answer in time"
        for secret in (self.options.get("password"), self.options.get("username")):
            text = text.replace(secret, "***") if secret else text
        line = " ".join(f"{type(error).__name__}: {text}".split())
        return FleetStoreError(line[:_LONGEST_REASON])


class PipelinedConnection:
    """A connection that several tasks send commands on, each in its turn.

    Args:
        connection: An open connection that nothing else uses.
    """

    def __init__(self, connection: AbortableConnection) -> None:
        self._connection = connection
        self._sending = asyncio.Lock()
        self._previous = asyncio.Event()
        self._previous.set()
        self._is_closed = False

    async def exchange(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands and return their replies; None in place of one where the server does not know the script.

        Raises:
            Exception: Any other error, of redis-py or not. It closes the connection, and so does a cancellation.
        """
        mine = asyncio.Event()
        try:
            async with self._sending:
                self._check()
                packed = self._connection.pack_commands(commands)
                previous, self._previous = self._previous, mine
                await self._connection.send_packed_command(packed, check_health=False)
            await previous.wait()
            self._check()
            return [await self._read() for _ in commands]
        except BaseException:
            self.abort()
            raise
        finally:
            mine.set()

    def abort(self) -> None:
        """Close the connection at once."""
        self._is_closed = True
        self._connection.abort()

    def _check(self) -> None:
        if self._is_closed:
            raise RedisConnectionError("the connection was given up")

    async def _read(self) -> Any:  # noqa: ANN401 - whatever a script returns
        try:
            return await self._connection.read_response()
        except NoScriptError:
            return None


class RedisSubscription:
    """The messages of a connection that has subscribed; one task iterates over them.

    Args:
        connection: The connection.
        endpoint: Where it leads, and how long the server may take to answer.
        ping_interval_seconds: After so long without a message the server is asked whether it lives.
    """

    def __init__(self, connection: AbortableConnection, endpoint: RedisEndpoint, ping_interval_seconds: float) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._ping_interval = ping_interval_seconds

    def __aiter__(self) -> RedisSubscription:
        """Return itself."""
        return self

    async def __anext__(self) -> Message:
        """Wait for the next message; a wait that is cancelled loses none.

        Raises:
            FleetStoreError: The connection was lost.
        """
        try:
            while True:
                message = _message(await self._reply())
                if message is not None:
                    return message
        except Exception as error:  # noqa: BLE001 - whatever redis-py raises
            self._connection.abort()
            raise self._endpoint.failure(error) from None

    async def _reply(self) -> Any:  # noqa: ANN401 - whatever a server sends
        connection, limit = self._connection, self._endpoint.op_timeout_seconds
        reply = await connection.read_response(timeout=self._ping_interval, disconnect_on_error=False)
        if reply is None:
            await connection.send_command("PING", check_health=False)
            reply = await connection.read_response(timeout=limit, disconnect_on_error=False)
        if reply is None:
            raise RedisConnectionError("no answer to PING: the connection for messages is dead")
        return reply


def _message(reply: object) -> Message | None:
    """Return the message of a reply `[b"message", channel, data]`; None for a pong, and for anything else."""
    if isinstance(reply, list) and len(reply) == len(("kind", "channel", "data")) and reply[0] == b"message":
        return read_message(reply[2])
    return None


def _without_credentials(url: object) -> str:
    """Return scheme, host, port and path of a URL; refuse one in which credentials may stand elsewhere."""
    if not isinstance(url, str):
        raise TypeError(f"url must be a string, not {type(url).__name__}")
    scheme, _, rest = url.partition("://")
    if "sentinel" in scheme.lower():
        raise ValueError(
            "url must not name Redis Sentinel, which is not supported: name the server itself, redis://host"
        )
    if "," in rest.partition("/")[0].rpartition("@")[2]:
        raise ValueError("url must name one server; Sentinel and Cluster, which have several, are not supported")
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        raise ValueError(
            "url must have a port that is a number; percent-encode what is special in the password"
        ) from None
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"url must begin with redis://, rediss:// or unix://, not {parts.scheme[:20]!r}")
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError("url must have no @ behind the host; percent-encode what is special in the password")
    if parts.scheme == "unix" and not parts.path:
        raise ValueError("url must name the path of a socket: unix:///path")
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
