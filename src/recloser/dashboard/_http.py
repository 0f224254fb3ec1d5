"""HTTP responses: the headers that all of them have, small bodies, and problem documents (RFC 9457)."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, ClassVar, Protocol, TypeAlias

import anyio
import anyio.lowlevel

logger = logging.getLogger("recloser.dashboard")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Headers: TypeAlias = Mapping[str, str]

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
_STUCK_SECONDS = 60.0
_EVERYWHERE = {
    "content-security-policy": "; ".join(f"{directive} {source}" for directive, source in _POLICY.items()),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
LIVE: Headers = {"cache-control": "no-store"}
"""The headers of responses that no cache may keep."""


class HttpEndpoint(Protocol):
    """Serves one path.

    Attributes:
        methods: The HTTP methods that it supports.
    """

    methods: ClassVar[tuple[str, ...]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        ...


class Response:
    """A response with a short body.

    Args:
        status: The status code.
        body: The content.
        headers: Headers besides those that all responses have; names in lower case.
    """

    def __init__(self, status: int, body: bytes, headers: Headers) -> None:
        self.status = status
        self._body = body
        self._headers = headers

    async def __call__(self, scope: Scope, send: Send) -> None:
        """Send the response; without the body if the request is a HEAD."""
        length = {} if self.status == HTTPStatus.NOT_MODIFIED else {"content-length": str(len(self._body))}
        await send(start_of(self.status, {**self._headers, **length}))
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self._body})


def start_of(status: int, headers: Headers) -> Message:
    """Return the message that begins a response."""
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in {**_EVERYWHERE, **headers}.items()]
    return {"type": "http.response.start", "status": status, "headers": encoded}


def header(scope: Scope, name: str) -> str | None:
    """Return a header of a request: the first of several, None if there is none."""
    wanted = name.encode("latin-1")
    values: list[bytes] = [value for key, value in scope["headers"] if key.lower() == wanted]
    return values[0].decode("latin-1") if values else None


def problem(status: HTTPStatus, detail: str, headers: Headers | None = None) -> Response:
    """Return a response that says what went wrong, and what to do."""
    document = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    kind = {"content-type": "application/problem+json"}
    return Response(status, to_json(document).encode("ascii"), {**kind, **LIVE, **(headers or {})})


def to_json(value: object) -> str:
    """Return a value as JSON in one line of ASCII that is safe in HTML; it holds any text, even lone surrogates."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")


class RefusedError(Exception):
    """A request is refused; the detail says what to do, and contains no secret.

    Args:
        status: The status of the response.
        detail: One or two sentences, in one line.
        headers: Headers besides those that all problem documents have.
    """

    def __init__(self, status: HTTPStatus, detail: str, headers: Headers | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self._headers = headers

    def response(self) -> Response:
        """Return the problem document."""
        return problem(self.status, self.detail, self._headers)


async def read_body(receive: Receive, most: int) -> bytes:
    """Return the body of a request.

    Raises:
        RefusedError: It has more than `most` bytes.
        GoneError: The client has disconnected.
    """
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Send at most {most} bytes.")
    return body


class GoneError(Exception):
    """The client has disconnected, or has taken nothing for a minute: a stuck browser must not keep a stream busy."""


class Body:
    """A response that is sent in pieces.

    Args:
        send: The server's `send`.

    Attributes:
        written_at: When the latest piece was written, in seconds of the event loop's clock.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.written_at = 0.0

    async def stream(self, headers: Headers, write_all: Callable[["Body"], Awaitable[None]] | None) -> None:
        """Send a whole response; it ends without an error if the client disconnects.

        Args:
            headers: Headers besides those that all responses have.
            write_all: Writes the body; None for a response without one.
        """
        with suppress(GoneError):
            await self._put(start_of(HTTPStatus.OK, headers))
            if write_all is not None:
                await write_all(self)
            await self._put({"type": "http.response.body", "body": b""})

    async def write(self, piece: str | bytes) -> None:
        """Send a piece of ASCII; always a checkpoint.

        Raises:
            GoneError: The client does not take it.
        """
        await anyio.lowlevel.checkpoint()
        body = piece.encode("ascii") if isinstance(piece, str) else piece
        await self._put({"type": "http.response.body", "body": body, "more_body": True})
        self.written_at = anyio.current_time()

    async def _put(self, message: Message) -> None:
        try:
            with anyio.fail_after(_STUCK_SECONDS):
                await self._send(message)
        except OSError as error:  # among them TimeoutError, and what servers raise after a client has disconnected
            raise GoneError from error
