"""Responds to requests that end in a rejection with 503, `Retry-After` and a problem document; for ASGI frameworks.

An open breaker, a full bulkhead and the rate limit of a dependency are all a "temporary overload", which "will likely
be alleviated after some delay" (RFC 9110, 15.6.4): a 503. A 429 means that this client has sent too many requests (RFC
6585, 4), which is wrong for a limit that all clients share. If each client has its own `RateLimit`, use
`rate_limited_status=429`.

The response reveals no names, states or errors; the problem document (RFC 9457) holds the status and the time to retry.
Only rejections are handled: whatever else a group contains is raised again, so a rejection never hides an error. An
exception that a client has raised from a rejection (see `recloser.rejection_of`) is handled as the rejection.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from recloser import RejectedError
from recloser.errors import RateLimitedError
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
    """Responds to the rejections of the application that it wraps, in any ASGI framework.

    Add it last, so that it is the outermost middleware: `app.add_middleware(RejectionMiddleware)`. Unlike the handlers
    of a framework, it also handles the rejections that other middlewares raise, and rejections behind exceptions of any
    type. Litestar turns the exceptions of its routes into responses before a middleware sees them, and needs its
    handlers as well. Exceptions that are no rejections pass through. So does a rejection after the response has begun,
    which leaves the server no choice but to drop the connection. A WebSocket is closed with code 1013.

    Args:
        app: The ASGI application.
        rate_limited_status: 503, or 429 if each client has its own `RateLimit`.

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
        """Handle one connection, or the lifespan of the application."""
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
        except Exception as exc:
            if has_begun:
                raise
            await _RejectionResponse(rejection_in(exc), self._rate_limited_status)(scope, receive, send)


def exception_handlers(
    *, rate_limited_status: Literal[429, 503] = 503, wrappers: type[Exception] | Iterable[type[Exception]] = ()
) -> dict[Any, Any]:
    """Return the exception handlers for Starlette and FastAPI: `FastAPI(exception_handlers=exception_handlers())`.

    They handle `RejectedError` and `ExceptionGroup`, because a child of a task group raises its rejection inside a
    group. Rejections that a middleware raises do not reach them; `RejectionMiddleware` handles those.

    Args:
        rate_limited_status: 503, or 429 if each client has its own `RateLimit`.
        wrappers: The exception types that a client raises from a rejection, such as `anthropic.APIConnectionError`. If
            no rejection is behind such an exception, it is raised again.

    Raises:
        TypeError: `wrappers` are no exception types.
        ValueError: `rate_limited_status` is another number.
    """
    status = _checked(rate_limited_status)
    kinds = _kinds(wrappers)

    async def handle(_connection: object, exc: Exception) -> _RejectionResponse:  # synchronous ones run in a thread
        return _RejectionResponse(rejection_in(exc), status)

    return dict.fromkeys(kinds, handle)


def litestar_exception_handlers(
    *, rate_limited_status: Literal[429, 503] = 503, wrappers: type[Exception] | Iterable[type[Exception]] = ()
) -> dict[Any, Any]:
    """Return the exception handlers for Litestar: `Litestar(exception_handlers=litestar_exception_handlers())`.

    They handle `RejectedError` and `ExceptionGroup`, as those for Starlette do. A handler of Litestar cannot raise an
    exception again, because Litestar would call the same handler with it. An exception that is no rejection goes to the
    handler of the route or of the application for `Exception` or 500; without one, Litestar's default response is sent.

    Args:
        rate_limited_status: 503, or 429 if each client has its own `RateLimit`.
        wrappers: The exception types that a client raises from a rejection, such as `anthropic.APIConnectionError`.

    Raises:
        ImportError: Litestar is not installed.
        TypeError: `wrappers` are no exception types.
        ValueError: `rate_limited_status` is another number.
    """
    from litestar import Response  # noqa: PLC0415 - not a dependency
    from litestar.exceptions.responses import create_debug_response, create_exception_response  # noqa: PLC0415 - as above

    status = _checked(rate_limited_status)
    kinds = _kinds(wrappers)

    def handle(request: Any, exc: Exception) -> Any:  # noqa: ANN401 - Litestar's types are not at hand
        try:
            made = _RejectionResponse(rejection_in(exc), status)
        except Exception as rest:  # noqa: BLE001 - any exception that is no rejection
            return other_handler(request)(request, rest)
        return Response(made.body, status_code=made.status, headers=made.headers, media_type=MEDIA_TYPE)

    def other_handler(request: Any) -> Callable[[Any, Exception], Any]:  # noqa: ANN401 - as above
        handlers: Mapping[Any, Any] = request.route_handler.resolve_exception_handlers()
        default = create_debug_response if request.app.debug else create_exception_response
        chosen: Callable[[Any, Exception], Any] = handlers.get(Exception) or handlers.get(500) or default
        return chosen

    return dict.fromkeys(kinds, handle)


class _RejectionResponse:
    """The response to a rejection: an ASGI application for one connection."""

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
    """Return a problem document. Its type is about:blank, so its title is that of the status (RFC 9457, 4.2.1)."""
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


def _kinds(wrappers: type[Exception] | Iterable[type[Exception]]) -> tuple[type[Exception], ...]:
    """Return the exception types that are handled.

    A handler for `Exception` would be called for every error; the frameworks log those and raise them again.
    """
    kinds = tuple(wrappers) if isinstance(wrappers, Iterable) else (wrappers,)
    if not all(isinstance(kind, type) and issubclass(kind, Exception) and kind is not Exception for kind in kinds):
        raise TypeError(f"wrappers must be subclasses of Exception that a client raises, not {wrappers!r}")
    return (RejectedError, ExceptionGroup, *kinds)
