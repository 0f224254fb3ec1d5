"""A hand-made ASGI client, and calls that fail on demand."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from recloser import BreakerRegistry, CircuitBreaker

TOKEN = "an-excellent-token-0123456789"  # noqa: S105 - of tests
AUTHORISED = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}


class DownError(Exception):
    """What a dependency raises that is down."""


async def work() -> str:
    return "done"


async def fail(message: str = "down") -> None:
    raise DownError(message)


async def trip(breaker: CircuitBreaker, message: str = "down") -> None:
    """Opens a breaker whose threshold is 1."""
    try:
        await breaker.call(fail, message)
    except DownError:
        return


def registry_of(count: int, **defaults: object) -> BreakerRegistry:
    registry = BreakerRegistry(clock=anyio.current_time, **{"failure_threshold": 1, **defaults})
    for number in range(count):
        registry.breaker(f"host-{number}")
    return registry


@dataclass(frozen=True, slots=True)
class SentEvent:
    """A server-sent event, as a browser would take it apart."""

    kind: str
    id: str
    data: dict[str, Any]


class Connection:
    """One request, answered by an application in a task of its own.

    Args:
        app: The application.
        path: Where to.
        method: Of HTTP.
        headers: Names in lower case.
        body: The parts in which the body arrives.
        **scope: What else the scope says, or says otherwise.
    """

    def __init__(
        self,
        app: object,
        path: str,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: tuple[bytes, ...] = (b"",),
        **scope: object,
    ) -> None:
        self._app = app
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        self._scope = {"type": "http", "method": method, "path": path, "headers": encoded, "query_string": b"", **scope}
        self._parts = list(body)
        self._left = anyio.Event()
        self._news = anyio.Event()
        self.takes = True
        self.waits_to_send = anyio.Event()
        self.error_of_send: Exception | None = None
        self.start: dict[str, Any] | None = None
        self.body = bytearray()
        self.ended = False
        self._read = 0

    async def run(self) -> "Connection":
        """Has the request answered, to the end."""
        await self._app(self._scope, self._receive, self._send)
        self.ended = True
        self._tell()
        return self

    @property
    def status(self) -> int:
        assert self.start is not None
        return int(self.start["status"])

    @property
    def headers(self) -> dict[str, str]:
        assert self.start is not None
        return {name.decode(): value.decode() for name, value in self.start["headers"]}

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(bytes(self.body))

    async def wait_for_block(self) -> str:
        """Returns the next block of a stream of events, as text."""
        while (end := self.body.find(b"\n\n", self._read)) < 0:
            assert not self.ended, "the stream has ended"
            await self._news.wait()
        block, self._read = self.body[self._read : end], end + 2
        return block.decode("ascii")

    async def wait_for_event(self) -> SentEvent:
        """Returns the next event of a stream; comments are passed over."""
        while True:
            lines = dict(line.partition(": ")[::2] for line in (await self.wait_for_block()).split("\n"))
            if "data" in lines:
                return SentEvent(lines["event"], lines["id"], json.loads(lines["data"]))

    async def wait_for_end(self) -> None:
        while not self.ended:
            await self._news.wait()

    def leave(self) -> None:
        """Closes the connection."""
        self._left.set()

    def take_again(self) -> None:
        """Ends a time in which the client took nothing."""
        self.takes = True
        self._tell()

    async def _receive(self) -> dict[str, Any]:
        if self._parts:
            part = self._parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._parts)}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if self.error_of_send is not None:
            raise self.error_of_send
        while not self.takes:
            self.waits_to_send.set()
            await self._news.wait()
        if message["type"] == "http.response.start":
            assert self.start is None
            self.start = message
        else:
            assert self.start is not None
            assert not self.ended
            self.body += message["body"]
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()


async def ask(app: object, path: str, **options: object) -> Connection:
    """Has one request answered."""
    return await Connection(app, path, **options).run()


@asynccontextmanager
async def connected(app: object, path: str = "/events", **options: object) -> AsyncGenerator[Connection]:
    """Keeps a connection open for a block."""
    connection = Connection(app, path, **options)
    async with anyio.create_task_group() as group:
        group.start_soon(connection.run)
        yield connection
        connection.leave()
