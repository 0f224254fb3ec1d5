"""Connections by redis-py: one that several tasks use at once, and one that messages are read from.

Replies come in the order of the commands. A task sends without waiting for the replies to earlier commands, takes its
turn in the same step, and reads when the turn before it is over. Once anything fails, nobody can know which reply is
whose: the link is broken for all, and for good.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anyio
from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from recloser.errors import FleetStoreError
from recloser.fleet.store.wire import read_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio.connection import AbstractConnection

    from recloser.fleet.store.values import Message

_SCHEMES: Final = ("redis", "rediss", "unix")
_OF_POOLS: Final = ("connection_class", "max_connections", "timeout")
_LONGEST_REASON: Final = 300


class Endpoint:
    """Where a server is and how it is reached.

    Args:
        url: The server, with credentials.
        op_timeout: Longest wait for a reply, in seconds.
        connect_timeout: Longest wait for a connection, in seconds.

    Raises:
        TypeError: The URL is no string.
        ValueError: It is none that redis-py takes. The message holds nothing of what may be a credential.
    """

    def __init__(self, url: str, op_timeout: float, connect_timeout: float) -> None:
        self.label = _without_credentials(url)
        self._op_timeout = op_timeout
        self._connect_timeout = connect_timeout
        try:
            options: dict[str, Any] = dict(parse_url(url))
            self._class: Callable[..., AbstractConnection] = options.get("connection_class", Connection)
            self._options: dict[str, Any] = {
                name: value for name, value in options.items() if name not in _OF_POOLS
            } | {
                "decode_responses": False,
                "health_check_interval": 0,
                "protocol": 2,
                "retry": Retry(NoBackoff(), 0),
                "retry_on_timeout": False,
                "socket_connect_timeout": connect_timeout,
                "socket_timeout": op_timeout,
            }
            self._class(**self._options)
        except (TypeError, ValueError, RedisError):
            raise ValueError(f"url must have parameters that redis-py takes, not those of {self.label}") from None

    async def open(self, *command: str) -> AbstractConnection:
        """Return a new connection on which a first command was answered.

        Raises:
            FleetStoreError: There is none to be had.
            RuntimeError: Not on asyncio.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError("RedisStore runs on asyncio only, as redis.asyncio does; this is another loop") from None
        connection = self._class(**self._options)
        try:
            with anyio.fail_after(self._connect_timeout):
                await connection.connect()  # type: ignore[no-untyped-call] # redis-py leaves it untyped
            with anyio.fail_after(self._op_timeout):
                await connection.send_command(*command, check_health=False)
                await connection.read_response()
        except BaseException as error:
            abort(connection)
            if isinstance(error, Exception):
                raise self.failure(error) from None
            raise
        return connection

    def failure(self, error: Exception) -> FleetStoreError:
        """Return the error that callers get in place of another, without credentials."""
        if isinstance(error, FleetStoreError):
            return error
        text = str(error) or "no answer in time"
        for secret in (self._options.get("password"), self._options.get("username")):
            text = text.replace(secret, "***") if secret else text
        line = " ".join(f"{type(error).__name__}: {text}".split())
        return FleetStoreError(line[:_LONGEST_REASON])


class Link:
    """A connection with its turns.

    Args:
        connection: An open connection; the link's alone.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._sending = asyncio.Lock()
        self._previous = asyncio.Event()
        self._previous.set()
        self._broken = False

    async def exchange(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands and return their replies; None in place of one where the server does not know the script.

        Raises:
            Exception: Any other error, of redis-py or not. The link is broken then, as it is after a cancellation.
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
            self.break_off()
            raise
        finally:
            mine.set()

    def break_off(self) -> None:
        """Close the connection at once."""
        self._broken = True
        abort(self._connection)

    def _check(self) -> None:
        if self._broken:
            raise RedisConnectionError("the connection was given up")

    async def _read(self) -> Any:  # noqa: ANN401 - whatever a script returns
        try:
            return await self._connection.read_response()
        except NoScriptError:
            return None


class Feed:
    """The messages of a connection that has subscribed; iterated by one task.

    Args:
        connection: The connection.
        endpoint: Where it leads.
        ping_interval: Seconds of silence after which the server is asked whether it lives.
        op_timeout: Seconds that the answer may take.
    """

    def __init__(
        self, connection: AbstractConnection, endpoint: Endpoint, ping_interval: float, op_timeout: float
    ) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._ping_interval = ping_interval
        self._op_timeout = op_timeout

    def __aiter__(self) -> Feed:
        """Return itself."""
        return self

    async def __anext__(self) -> Message:
        """Wait for the next message; a cancelled wait loses none.

        Raises:
            FleetStoreError: The connection was lost.
        """
        try:
            while True:
                message = _message(await self._reply())
                if message is not None:
                    return message
        except Exception as error:  # noqa: BLE001 - whatever redis-py raises
            abort(self._connection)
            raise self._endpoint.failure(error) from None

    async def _reply(self) -> Any:  # noqa: ANN401 - whatever a server sends
        reply = await self._connection.read_response(timeout=self._ping_interval, disconnect_on_error=False)
        if reply is None:
            await self._connection.send_command("PING", check_health=False)
            reply = await self._connection.read_response(timeout=self._op_timeout, disconnect_on_error=False)
        if reply is None:
            raise RedisConnectionError("no answer to PING: the connection for messages is dead")
        return reply


def abort(connection: AbstractConnection) -> None:
    """Close a connection at once: closing in good order waits for a peer that may be frozen."""
    writer = connection._writer
    if writer is not None:
        writer.transport.abort()
    connection._reader = connection._writer = None  # as its own _close() does; there is no public way that cannot wait


def _message(reply: object) -> Message | None:
    """Return the message of a reply `[b"message", channel, data]`; None for a pong, and whatever else may come."""
    if isinstance(reply, list) and len(reply) == len(("kind", "channel", "data")) and reply[0] == b"message":
        return read_message(reply[2])
    return None


def _without_credentials(url: object) -> str:
    """Return scheme, host, port and path of a URL; refuse one in which credentials may stand elsewhere."""
    if not isinstance(url, str):
        raise TypeError(f"url must be a string, not {type(url).__name__}")
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
