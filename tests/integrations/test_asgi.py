"""Rejections in the real frameworks, over real requests."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import anyio
import httpx
import pytest
from fastapi import FastAPI
from litestar import Litestar, Request, Response, WebSocket, get, head, websocket
from litestar.exceptions import WebSocketDisconnect as LitestarDisconnect
from litestar.response import Stream
from litestar.testing import TestClient as LitestarClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket as StarletteSocket
from starlette.websockets import WebSocketDisconnect

from recloser import CircuitBreaker, CircuitBreakerOpenError, NoAnswer
from recloser.errors import BulkheadFullError, FallbackExhaustedError, RateLimitedError
from recloser.integrations.asgi import RejectionMiddleware, exception_handlers, litestar_exception_handlers
from recloser.testing import ManualClock

pytestmark = pytest.mark.anyio

INTERNAL = "internal-host:8443"
OPEN = CircuitBreakerOpenError(INTERNAL, 41.2, "open", 5, f"OSError: {INTERNAL} refused")

QUIET = {"openapi_config": None, "logging_config": None}  # its default logging takes over the root logger

Endpoint = Callable[[], Awaitable[str]]
Build = Callable[..., object]
Send = Callable[[dict[str, object]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, object]]]


def starlette(endpoint: Endpoint, **options: object) -> Starlette:
    async def answer(_request: object) -> PlainTextResponse:
        return PlainTextResponse(await endpoint())

    return Starlette(routes=[Route("/", answer)], exception_handlers=exception_handlers(**options))


def fastapi(endpoint: Endpoint, **options: object) -> FastAPI:
    app = FastAPI(exception_handlers=exception_handlers(**options))
    app.api_route("/", methods=["GET", "HEAD"])(endpoint)
    return app


def litestar(endpoint: Endpoint, **options: object) -> Litestar:
    @get("/")
    async def answer() -> str:
        return await endpoint()

    @head("/")
    async def answer_head() -> None:
        await endpoint()

    return Litestar([answer, answer_head], exception_handlers=litestar_exception_handlers(**options), **QUIET)


def middleware(endpoint: Endpoint, **options: object) -> RejectionMiddleware:
    async def app(scope: dict[str, object], _receive: object, send: Send) -> None:
        assert scope["type"] == "http"
        text = await endpoint()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

    return RejectionMiddleware(app, **options)


@pytest.fixture(params=[starlette, fastapi, litestar, middleware], ids=lambda build: build.__name__)
def build(request: pytest.FixtureRequest) -> Build:
    return request.param


async def ask(app: object, method: str = "GET", *, raises: bool = True) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=raises)
    async with httpx.AsyncClient(transport=transport, base_url="http://tested") as client:
        return await client.request(method, "/")


def failing(error: Exception) -> Endpoint:
    async def endpoint() -> str:
        await anyio.lowlevel.checkpoint()
        raise error

    return endpoint


async def reject(error: Exception = OPEN) -> NoReturn:
    await anyio.lowlevel.checkpoint()
    raise error


async def answer_in_a_task_group() -> str:
    async with anyio.create_task_group() as group:
        group.start_soon(reject)
    return "never"


async def test_an_open_breaker_is_a_503_with_a_problem_document(build: Build) -> None:
    response = await ask(build(failing(OPEN)))
    assert response.status_code == 503
    assert response.headers["retry-after"] == "42"
    assert response.headers["content-type"].partition(";")[0] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "Please try again in 42 s.",
        "retry_after": 42,
    }


async def test_a_real_breaker_that_opens_turns_into_503(build: Build) -> None:
    breaker = CircuitBreaker(INTERNAL, failure_threshold=1, reset_timeout_seconds=60, clock=ManualClock())
    dependency = breaker(failing(OSError(INTERNAL)))
    app = build(dependency)
    with pytest.raises(OSError, match=INTERNAL):
        await breaker.call(failing(OSError(INTERNAL)))
    response = await ask(app)
    assert (response.status_code, response.headers["retry-after"]) == (503, "60")


async def test_nothing_internal_leaks_into_the_answer(build: Build) -> None:
    response = await ask(build(failing(OPEN)))
    assert INTERNAL not in response.text + str(response.headers)
    assert "OSError" not in response.text


async def test_a_rejection_in_a_task_group_is_a_503(build: Build) -> None:
    response = await ask(build(answer_in_a_task_group))
    assert (response.status_code, response.headers["retry-after"]) == (503, "42")


async def test_an_exhausted_fallback_chain_of_rejections_is_a_503(build: Build) -> None:
    error = FallbackExhaustedError("all failed", [OPEN, NoAnswer("miss")], "users", ["primary", "cache"])
    response = await ask(build(failing(error)))
    assert (response.status_code, response.headers["retry-after"]) == (503, "42")


@pytest.mark.parametrize("error", [BulkheadFullError(INTERNAL), CircuitBreakerOpenError(INTERNAL, None, "half_open")])
async def test_without_a_time_there_is_no_retry_after(build: Build, error: Exception) -> None:
    response = await ask(build(failing(error)))
    assert response.status_code == 503
    assert "retry-after" not in response.headers
    assert response.json()["detail"] == "Please try again later."
    assert "retry_after" not in response.json()


async def test_a_wait_of_less_than_a_second_is_one_second(build: Build) -> None:
    response = await ask(build(failing(RateLimitedError(INTERNAL, 0.0))))
    assert response.headers["retry-after"] == "1"


async def test_a_rate_limit_is_a_503_as_the_client_need_not_be_its_cause(build: Build) -> None:
    assert (await ask(build(failing(RateLimitedError(INTERNAL, 3.0))))).status_code == 503


async def test_a_rate_limit_of_each_client_can_be_a_429(build: Build) -> None:
    response = await ask(build(failing(RateLimitedError(INTERNAL, 3.0)), rate_limited_status=429))
    assert response.status_code == 429
    assert response.json() == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "Please try again in 3 s.",
        "retry_after": 3,
    }


@pytest.mark.parametrize("error", [OPEN, ExceptionGroup("two", [OPEN, RateLimitedError(INTERNAL, 3.0)])])
async def test_an_open_breaker_stays_a_503_beside_it(build: Build, error: Exception) -> None:
    assert (await ask(build(failing(error), rate_limited_status=429))).status_code == 503


async def test_a_head_request_gets_the_header_without_the_body(build: Build) -> None:
    app = build(failing(OPEN))
    response, full = await ask(app, "HEAD"), await ask(app)
    assert response.content == b""
    assert response.headers == full.headers


async def test_no_body_is_sent_to_a_head_request() -> None:
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        await anyio.lowlevel.checkpoint()
        sent.append(message)

    await middleware(failing(OPEN))({"type": "http", "method": "HEAD"}, anyio.sleep_forever, send)
    assert [message.get("body") for message in sent] == [None, b""]


async def test_a_websocket_is_not_closed_twice() -> None:
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        await anyio.lowlevel.checkpoint()
        sent.append(message)

    async def app(_scope: object, _receive: object, send: Send) -> None:
        await send({"type": "websocket.close"})
        await reject()

    with pytest.raises(CircuitBreakerOpenError):
        await RejectionMiddleware(app)({"type": "websocket"}, anyio.sleep_forever, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_an_answer_passes_untouched(build: Build) -> None:
    async def endpoint() -> str:
        await anyio.lowlevel.checkpoint()
        return "fine"

    response = await ask(build(endpoint))
    assert (response.status_code, response.text.strip('"')) == (200, "fine")


@pytest.mark.parametrize("build", [starlette, fastapi, middleware])
@pytest.mark.parametrize(
    "error", [ExceptionGroup("mixed", [OPEN, OSError("down")]), ExceptionGroup("other", [OSError("down")])]
)
async def test_what_a_group_holds_besides_is_raised_again(build: Build, error: Exception) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await ask(build(failing(error)))
    assert repr(caught.value.exceptions) == "(OSError('down'),)"


async def test_a_mixed_group_is_a_500_without_a_retry_after() -> None:
    error = ExceptionGroup("mixed", [OPEN, OSError(INTERNAL)])
    for build in (starlette, fastapi, litestar):
        response = await ask(build(failing(error)), raises=False)
        assert response.status_code == 500
        assert "retry-after" not in response.headers
        assert INTERNAL not in response.text


async def test_another_exception_is_left_to_the_framework(build: Build) -> None:
    app = build(failing(LookupError("gone")))
    if isinstance(app, Litestar):
        assert (await ask(app)).status_code == 500
    else:
        with pytest.raises(LookupError):
            await ask(app)


class ClientError(Exception):
    """Raised by a client from whatever ended its request."""


def client_error(cause: Exception) -> ClientError:
    error = ClientError(INTERNAL)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("grouped", [False, True])
async def test_what_a_client_raised_from_a_rejection_is_a_503(build: Build, *, grouped: bool) -> None:
    error = ExceptionGroup("one", [client_error(OPEN)]) if grouped else client_error(OPEN)
    options = {} if build is middleware else {"wrappers": [ClientError]}
    response = await ask(build(failing(error), **options))
    assert (response.status_code, response.headers["retry-after"]) == (503, "42")
    assert INTERNAL not in response.text


async def test_what_a_client_raised_from_something_else_is_left_to_the_framework(build: Build) -> None:
    app = build(
        failing(client_error(OSError(INTERNAL))), **({} if build is middleware else {"wrappers": [ClientError]})
    )
    if isinstance(app, Litestar):
        assert (await ask(app)).status_code == 500
    else:
        with pytest.raises(ClientError):
            await ask(app)


async def test_the_middleware_in_a_framework_finds_what_a_client_raised_from_a_rejection() -> None:
    app = FastAPI()
    app.add_middleware(RejectionMiddleware)
    app.get("/")(failing(client_error(OPEN)))
    assert (await ask(app)).status_code == 503


@pytest.mark.parametrize("wrappers", [7, Exception, [Exception], [KeyboardInterrupt], ["ClientError"]])
@pytest.mark.parametrize("use", [exception_handlers, litestar_exception_handlers])
def test_wrappers_that_are_no_exceptions_of_a_client_are_refused(use: Callable[..., object], wrappers: object) -> None:
    with pytest.raises(TypeError, match="wrappers must be subclasses of Exception that a client raises, not "):
        use(wrappers=wrappers)


async def test_a_response_that_has_begun_is_cut_off_by_the_middleware() -> None:
    async def app(_scope: object, _receive: object, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise OPEN

    with pytest.raises(CircuitBreakerOpenError) as caught:
        await ask(RejectionMiddleware(app))
    assert caught.value is OPEN


async def half_a_body() -> AsyncIterator[bytes]:
    yield b"half"
    await reject()


async def test_a_stream_that_has_begun_gets_no_second_answer_in_starlette() -> None:
    async def answer(_request: object) -> StreamingResponse:
        await anyio.lowlevel.checkpoint()
        return StreamingResponse(half_a_body())

    app = Starlette(routes=[Route("/", answer)], exception_handlers=exception_handlers())
    with pytest.raises(RuntimeError, match="response already started"):
        await ask(app)


async def test_a_stream_that_has_begun_gets_no_second_answer_in_litestar() -> None:
    @get("/")
    async def answer() -> Stream:
        await anyio.lowlevel.checkpoint()
        return Stream(half_a_body)

    app = Litestar([answer], exception_handlers=litestar_exception_handlers(), **QUIET)
    with pytest.raises(Exception, match="after response started"):
        await ask(app)


async def test_the_middleware_answers_for_other_middlewares() -> None:
    async def rejecting(_scope: object, _receive: object, _send: object) -> None:
        await reject()

    app = starlette(failing(LookupError()))
    app.add_middleware(lambda _app: rejecting)
    app.add_middleware(RejectionMiddleware)
    assert (await ask(app)).status_code == 503


async def test_fastapi_takes_the_middleware_too() -> None:
    app = FastAPI()
    app.add_middleware(RejectionMiddleware)
    app.get("/")(answer_in_a_task_group)
    assert (await ask(app)).status_code == 503


async def test_handlers_can_be_added_to_an_application_that_is_there() -> None:
    app = FastAPI()
    app.get("/")(answer_in_a_task_group)
    app.exception_handlers |= exception_handlers()
    assert (await ask(app)).status_code == 503


@pytest.mark.parametrize("key", [Exception, 500])
async def test_in_litestar_the_rest_of_a_group_goes_to_the_handler_of_the_application(key: object) -> None:
    def tell(_request: Request[Any, Any, Any], exc: Exception) -> Response[str]:
        return Response(repr(exc), status_code=500)

    @get("/")
    async def answer() -> str:
        return await reject(ExceptionGroup("mixed", [OPEN, OSError("down")]))

    handlers = {**litestar_exception_handlers(), key: tell}
    response = await ask(Litestar([answer], exception_handlers=handlers, **QUIET))
    assert response.text == "ExceptionGroup('mixed', [OSError('down')])"


async def test_in_litestar_debug_mode_shows_the_rest_of_a_group() -> None:
    @get("/")
    async def answer() -> str:
        return await reject(ExceptionGroup("mixed", [OPEN, OSError("shown")]))

    app = Litestar([answer], exception_handlers=litestar_exception_handlers(), **QUIET, debug=True)
    assert "shown" in (await ask(app)).text


def test_a_websocket_is_closed_with_try_again_later_by_starlette() -> None:
    async def talk(websocket: StarletteSocket) -> None:
        await websocket.accept()
        await reject()

    app = Starlette(routes=[WebSocketRoute("/", talk)], exception_handlers=exception_handlers())
    with TestClient(app).websocket_connect("/") as session, pytest.raises(WebSocketDisconnect) as caught:
        session.receive_text()
    assert (caught.value.code, caught.value.reason) == (1013, "Try again later")


def test_a_websocket_is_refused_with_try_again_later_by_the_middleware() -> None:
    async def app(_scope: object, receive: Receive, _send: object) -> None:
        await receive()
        await reject()

    with pytest.raises(WebSocketDisconnect) as caught, TestClient(RejectionMiddleware(app)).websocket_connect("/"):
        pass
    assert caught.value.code == 1013


def test_a_websocket_in_litestar_says_nothing_internal() -> None:
    @websocket("/")
    async def talk(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        await reject()

    app = Litestar([talk], exception_handlers=litestar_exception_handlers(), **QUIET)
    with (
        LitestarClient(app) as client,
        client.websocket_connect("/") as session,
        pytest.raises(LitestarDisconnect) as caught,
    ):
        session.receive_text()
    assert INTERNAL not in str(caught.value.__dict__)


def test_the_lifespan_of_an_application_is_left_alone() -> None:
    begun = []

    async def lifespan(_app: object) -> AsyncIterator[None]:
        begun.append(True)
        yield

    app = Starlette(lifespan=asynccontextmanager(lifespan))
    with TestClient(RejectionMiddleware(app)):
        pass
    assert begun == [True]


@pytest.mark.parametrize(
    "use", [exception_handlers, litestar_exception_handlers, lambda **options: RejectionMiddleware(print, **options)]
)
def test_another_status_is_refused(use: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="rate_limited_status must be 429 or 503, not 418"):
        use(rate_limited_status=418)


def test_a_middleware_around_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match="app must be an ASGI application, not None"):
        RejectionMiddleware(None)
