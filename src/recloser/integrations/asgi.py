"""Answers requests that end in a rejection: 503, `Retry-After` and a problem document (RFC 9457); for ASGI frameworks.

Every rejection is a 503: "temporary overload", which "will likely be alleviated after some delay" (RFC 9110, 15.6.4),
is what an open breaker, a full bulkhead and the rate limit of a dependency have in common. A 429 says that this client
has sent too many requests (RFC 6585, 4), which a limit that all clients share can't claim; where each client has a
`RateLimit` of its own, `rate_limited_status=429` says it.

The answer holds nothing but this: no names, no states, no errors. It is made only of rejections. What else a group
holds is raised again, so that a rejection never hides an error.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from recloser import RateLimitedError, RejectedError
from recloser.integrations._rejections import Rejection, is_all, rejection_in, retry_after

__all__ = ["RejectionMiddleware", "exception_handlers", "litestar_exception_handlers"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MEDIA_TYPE = "application/problem+json"
TRY_AGAIN_LATER = 1013  # of the close codes that IANA registers for WebSockets


class RejectionMiddleware:
    """Answers rejections for everything inside of it, in any ASGI framework.

    It sees the rejections that other middlewares raise as well, which the handlers of a framework don't: put it
    outermost. A framework that turns the exceptions of its routes into answers before a middleware sees them, as
    Litestar does, needs its handlers too. A rejection after the response has begun goes on to the server, which can
    only cut the connection; so do exceptions that are no rejections. A WebSocket is closed with code 1013.

    Args:
        app: The ASGI application.
        rate_limited_status: 503, or 429 where each client has a `RateLimit` of its own.

    Raises:
        TypeError: `app` is not callable.
        ValueError: `rate_limited_status` is another number.
    """

    def __init__(self, app: App, *, rate_limited_status: Literal[429, 503] = 503) -> None:
        if not callable(app):
            raise TypeError(f"app must be an ASGI application, not {app!r}")
        self._app = app
        self._rate_limited_status = _checked(rate_limited_status)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or the lifespan of the application."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] in {"http.response.start", "websocket.close"}
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except (RejectedError, ExceptionGroup) as exc:
            if has_begun:
                raise
            await _Answer(rejection_in(exc), self._rate_limited_status)(scope, receive, send)


def exception_handlers(*, rate_limited_status: Literal[429, 503] = 503) -> dict[Any, Any]:
    """Return the exception handlers for Starlette and FastAPI: `FastAPI(exception_handlers=exception_handlers())`.

    They handle `RejectedError` and `ExceptionGroup`, because a child of a task group raises its rejection inside of a
    group. Rejections that a middleware raises don't reach them; `RejectionMiddleware` serves those.

    Args:
        rate_limited_status: 503, or 429 where each client has a `RateLimit` of its own.

    Raises:
        ValueError: `rate_limited_status` is another number.
    """
    status = _checked(rate_limited_status)

    async def handle(_connection: object, exc: Exception) -> _Answer:  # others run in a worker thread
        return _Answer(rejection_in(exc), status)

    return {RejectedError: handle, ExceptionGroup: handle}


def litestar_exception_handlers(*, rate_limited_status: Literal[429, 503] = 503) -> dict[Any, Any]:
    """Return the exception handlers for Litestar: `Litestar(exception_handlers=litestar_exception_handlers())`.

    They handle `RejectedError` and `ExceptionGroup`, as those for Starlette do. What Litestar must not raise again,
    since it would ask the same handler about it, goes to the handler of the route or of the application for
    `Exception` or 500, and otherwise gets Litestar's own answer.

    Args:
        rate_limited_status: 503, or 429 where each client has a `RateLimit` of its own.

    Raises:
        ImportError: Litestar is not installed.
        ValueError: `rate_limited_status` is another number.
    """
    from litestar import Response  # noqa: PLC0415 - only Litestar's users have it
    from litestar.exceptions.responses import create_debug_response, create_exception_response  # noqa: PLC0415 - too

    status = _checked(rate_limited_status)

    def handle(request: Any, exc: Exception) -> Any:  # noqa: ANN401 - Litestar's types are not at hand
        try:
            answer = _Answer(rejection_in(exc), status)
        except Exception as rest:  # noqa: BLE001 - what there is besides rejections
            return otherwise(request)(request, rest)
        return Response(answer.body, status_code=answer.status, headers=answer.headers, media_type=MEDIA_TYPE)

    def otherwise(request: Any) -> Callable[[Any, Exception], Any]:  # noqa: ANN401 - as above
        handlers: Mapping[Any, Any] = request.route_handler.resolve_exception_handlers()
        default = create_debug_response if request.app.debug else create_exception_response
        chosen: Callable[[Any, Exception], Any] = handlers.get(Exception) or handlers.get(500) or default
        return chosen

    return {RejectedError: handle, ExceptionGroup: handle}


class _Answer:
    """What a client hears of a rejection: an ASGI application that answers one connection."""

    def __init__(self, rejection: Rejection, rate_limited_status: int) -> None:
        seconds = retry_after(rejection)
        self.status = rate_limited_status if is_all(RateLimitedError, rejection) else 503
        self.body = _document(self.status, seconds)
        self.headers = {} if seconds is None else {"Retry-After": str(seconds)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": "Try again later"})
            return
        headers = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(self.body)), **self.headers}
        encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self.body})


def _document(status: int, seconds: int | None) -> bytes:
    """Return a problem document; its type is about:blank, so the title is that of the status (RFC 9457, 4.2.1)."""
    when = "later" if seconds is None else f"in {seconds} s"
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": f"Please try again {when}.",
    }
    if seconds is not None:
        document["retry_after"] = seconds
    return json.dumps(document).encode()


def _checked(rate_limited_status: int) -> int:
    if rate_limited_status not in {429, 503}:
        raise ValueError(f"rate_limited_status must be 429 or 503, not {rate_limited_status!r}")
    return rate_limited_status
