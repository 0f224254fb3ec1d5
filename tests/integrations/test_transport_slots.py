"""The transports for httpx and httpx2: `key` chooses the breaker of a request, `on_rejection` answers rejections."""

import functools
import gc
import json
import pickle
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError, RejectedError, rejection_of
from recloser.errors import MisuseError
from recloser.testing import ManualClock, half_open_breaker
from tests.integrations.conftest import Library
from tests.integrations.kit import client_of, names, one, totals
from tests.integrations.upstream import HEAD_OF_TEN, Upstream, answer, trickle

pytestmark = pytest.mark.anyio


def module_of(library: Library) -> Any:  # noqa: ANN401 - a module
    return __import__(library.transport.__module__, fromlist=["BreakerTransport"])


def opened() -> CircuitBreaker:
    """Makes a breaker that is open for the next 41.3 seconds."""
    breaker = one()
    breaker.force_open("maintenance", for_seconds=41.3)
    return breaker


async def coroutine_function(*_: object) -> None: ...


def model_of(request: Any) -> str | None:  # noqa: ANN401 - of httpx or httpx2
    model: str | None = json.loads(request.content or b"{}").get("model")
    return model


# key


async def test_each_key_has_a_breaker_of_its_own(library: Library, upstream: Upstream) -> None:
    upstream.scripts["/large"] = answer("529 Overloaded")
    registry = BreakerRegistry(failure_threshold=1)
    transport = library.transport(registry=registry, key=model_of)
    async with library.web.AsyncClient(transport=transport) as client:
        await client.post(upstream.url("/large"), json={"model": "large"})
        await client.post(upstream.url("/small"), json={"model": "small"})
        with pytest.raises(CircuitBreakerOpenError):
            await client.post(upstream.url("/large"), json={"model": "large"})
    assert names(registry) == {"large", "small"}
    assert totals(registry.breaker("small")) == {"success": 1}
    assert upstream.hits == ["/large", "/small"]


async def test_without_a_key_a_request_has_the_breaker_of_its_origin(library: Library, upstream: Upstream) -> None:
    transport = library.transport(key=model_of)
    async with library.web.AsyncClient(transport=transport) as client:
        await client.get(upstream.url())
    assert names(transport.registry) == {upstream.url("")}


def test_the_breaker_of_a_request_is_found_by_its_key(library: Library) -> None:
    transport = library.transport(key=model_of)
    request = library.web.Request("POST", "https://api.example/", json={"model": "large"})
    assert transport.breaker_for(request).name == "large"
    with pytest.raises(TypeError, match=rf"breaker_for\(\) needs a {library.web.__name__}\.Request"):
        transport.breaker_for("https://api.example/")
    assert library.transport().breaker_for(request).name == "https://api.example"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (7, "not an object of type int"),
        ("", "not ''"),
        (b"large", "not an object of type bytes"),
        (["secret"], "not an object of type list"),
    ],
)
async def test_a_key_that_is_no_name_is_refused(
    library: Library, upstream: Upstream, returned: object, message: str
) -> None:
    transport = library.transport(key=lambda _: returned)
    async with library.web.AsyncClient(transport=transport) as client:
        with pytest.raises(MisuseError, match=f"key must return the name of a breaker, or None .*: {message}$"):
            await client.get(upstream.url())
    assert (upstream.hits, names(transport.registry)) == ([], set())


@pytest.mark.parametrize("key", ["m" * 300, "large\nmodel", "\ud800"], ids=["long", "two lines", "surrogate"])
def test_a_key_that_is_unfit_for_logs_is_abbreviated(library: Library, key: str) -> None:
    transport = library.transport(key=lambda request: request.headers.get("x-model") or key)
    request = library.web.Request("GET", "https://api.example/")
    name = transport.breaker_for(request).name
    assert len(name) <= 100
    assert name.isprintable()
    assert transport.breaker_for(request) is transport.registry.breaker(name)
    other = library.web.Request("GET", "https://api.example/", headers={"x-model": f"{'m' * 300}2"})
    assert transport.breaker_for(other).name != name


async def test_the_error_of_a_key_function_reaches_the_caller(library: Library, upstream: Upstream) -> None:
    def key(_: object) -> str:
        raise error

    error = LookupError("which model?")
    transport = library.transport(key=key)
    async with library.web.AsyncClient(transport=transport) as client:
        with pytest.raises(LookupError) as caught:
            await client.get(upstream.url())
    assert caught.value is error
    assert (upstream.hits, names(transport.registry)) == ([], set())


def test_a_key_chooses_among_the_breakers_of_a_registry(library: Library) -> None:
    with pytest.raises(ValueError, match="key=.* chooses among the breakers of a registry; breaker=.* is only one"):
        library.transport(key=model_of, breaker=one())


# on_rejection


async def test_an_answer_to_a_rejection_is_no_outcome(library: Library, upstream: Upstream) -> None:
    seen: list[tuple[RejectedError, Any]] = []

    def respond(rejection: RejectedError, request: Any) -> Any:  # noqa: ANN401 - of httpx or httpx2
        seen.append((rejection, request))
        return library.web.Response(200, text="from the cache")

    breaker = opened()
    async with client_of(library, breaker, on_rejection=respond) as client:
        response = await client.get(upstream.url("/users/7"))
    assert (response.status_code, response.text) == (200, "from the cache")
    [(rejection, request)] = seen
    assert (rejection.name, request.url) == ("api", upstream.url("/users/7"))
    assert (totals(breaker), upstream.hits) == ({"rejected": 1}, [])


async def test_admitted_requests_do_not_ask_on_rejection(library: Library, upstream: Upstream) -> None:
    async with client_of(library, one(), on_rejection=lambda *_: pytest.fail("asked")) as client:
        assert (await client.get(upstream.url())).text == "body"


async def test_the_rejection_of_a_transport_inside_is_not_answered(library: Library, upstream: Upstream) -> None:
    inside = library.transport(breaker=opened())
    breaker, answer_503 = one(), module_of(library).answer_503
    transport = library.transport(inside, breaker=breaker, on_rejection=answer_503)
    async with library.web.AsyncClient(transport=transport) as client:
        with pytest.raises(CircuitBreakerOpenError):
            await client.get(upstream.url())
    assert totals(breaker) == {"ignored": 1}


async def test_the_ready_made_answer_is_a_503_that_says_why(library: Library, upstream: Upstream) -> None:
    async with client_of(library, opened(), on_rejection=module_of(library).answer_503) as client:
        response = await client.get(upstream.url())
        with pytest.raises(library.web.HTTPStatusError) as caught:
            response.raise_for_status()
    assert isinstance(rejection_of(caught.value), CircuitBreakerOpenError)
    assert response.status_code == 503
    assert (response.headers["retry-after"], response.headers["x-should-retry"]) == ("42", "false")
    error = response.json()["error"]
    assert (error["type"], error["code"], error["status"]) == ("circuit_breaker_open", 503, "UNAVAILABLE")
    assert error["message"].startswith("Circuit breaker 'api' is FORCED_OPEN (maintenance). Service unavailable; retry")


@pytest.mark.parametrize(
    ("seconds", "header"), [(None, None), (float("inf"), None), (float("nan"), None), (0.0, "1"), (7.2, "8")]
)
def test_the_ready_made_answer_names_a_time_that_is_known(
    library: Library, seconds: float | None, header: str | None
) -> None:
    request = library.web.Request("GET", "https://api.example/")
    response = module_of(library).answer_503(RejectedError("reports", seconds), request)
    assert response.headers.get("retry-after") == header
    assert (response.request, response.json()["error"]["type"]) == (request, "rejected")


async def test_the_ready_made_error_is_a_rejection_and_a_transport_error(library: Library, upstream: Upstream) -> None:
    breaker = opened()
    async with client_of(library, breaker, on_rejection=module_of(library).raise_transport_error) as client:
        with pytest.raises(library.web.TransportError) as caught:
            await client.get(upstream.url("/?key=secret"))
    error: Any = caught.value
    assert isinstance(error, CircuitBreakerOpenError)
    assert rejection_of(error) is error
    assert (error.name, error.reason, error.__cause__) == ("api", "maintenance", None)
    assert error.request.url == upstream.url("/?key=secret")
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own bytes
    assert (type(copied), copied.args, str(copied)) == (type(error), error.args, str(error))
    assert "secret" not in repr(vars(copied))
    assert totals(breaker) == {"rejected": 1}


async def test_a_transport_error_that_is_a_rejection_is_ignored_by_a_breaker_outside(
    library: Library, upstream: Upstream
) -> None:
    raising = module_of(library).raise_transport_error
    breaker = one()
    async with client_of(library, opened(), on_rejection=raising) as client:
        with pytest.raises(library.web.TransportError):
            await breaker.call(client.get, upstream.url())
    assert totals(breaker) == {"ignored": 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "an {}.Response: not None$"),
        (lambda _: "busy", "an {}.Response: not an object of type str$"),
        (lambda _: coroutine_function(), "an {}.Response: on_rejection must be synchronous, but returned a coroutine"),
        (lambda web: web.Response(200, stream=object()), "a response whose body is bytes or an asynchronous stream$"),
        (lambda web: web.Response(200, content=iter([b"body"])), "a response whose body is bytes or an asynchronous"),
    ],
)
async def test_an_answer_that_the_client_cannot_read_is_refused(
    library: Library,
    upstream: Upstream,
    make: Callable[[Any], object],
    message: str,
) -> None:
    breaker = opened()
    async with client_of(library, breaker, on_rejection=lambda *_: make(library.web)) as client:
        with pytest.raises(MisuseError, match=message.format(library.web.__name__)):
            await client.get(upstream.url())
    gc.collect()
    assert (totals(breaker), upstream.hits) == ({"rejected": 1}, [])


async def test_an_answer_of_the_other_library_is_refused(library: Library, upstream: Upstream) -> None:
    other = __import__("httpx2" if library.web.__name__ == "httpx" else "httpx")
    async with client_of(library, opened(), on_rejection=lambda *_: other.Response(503)) as client:
        with pytest.raises(MisuseError, match="not an object of type Response$"):
            await client.get(upstream.url())


async def test_an_answer_may_be_a_stream(library: Library, upstream: Upstream) -> None:
    async def parts() -> Any:  # noqa: ANN401 - an async generator
        yield b"data: busy\n\n"

    async with client_of(
        library, opened(), on_rejection=lambda *_: library.web.Response(200, content=parts())
    ) as client:
        assert (await client.get(upstream.url())).text == "data: busy\n\n"


async def test_an_error_of_on_rejection_reaches_the_caller(library: Library, upstream: Upstream) -> None:
    def respond(_: object, __: object) -> Any:  # noqa: ANN401 - never returns
        raise error

    error, breaker = LookupError("no cache"), opened()
    async with client_of(library, breaker, on_rejection=respond) as client:
        with pytest.raises(LookupError) as caught:
            await client.get(upstream.url())
    assert caught.value is error
    assert isinstance(error.__context__, CircuitBreakerOpenError)
    assert totals(breaker) == {"rejected": 1}


async def test_a_request_beside_a_probe_is_answered_without_a_time(library: Library, upstream: Upstream) -> None:
    clock = ManualClock(1_000.0)
    breaker = one(clock=clock)
    rest = anyio.Event()
    upstream.scripts["/probe"] = trickle(HEAD_OF_TEN + b"12345", b"67890", rest)
    await half_open_breaker(breaker, clock)
    async with (
        client_of(library, breaker, on_rejection=module_of(library).answer_503) as client,
        client.stream("GET", upstream.url("/probe")) as probe,
    ):
        response = await client.get(upstream.url())
        rest.set()
        await probe.aread()
    assert response.status_code == 503
    assert "retry-after" not in response.headers
    assert upstream.hits == ["/probe"]


# both


@pytest.mark.parametrize("argument", ["key", "on_rejection"])
@pytest.mark.parametrize("function", [coroutine_function, functools.partial(coroutine_function, 1)])
def test_an_asynchronous_function_is_refused(library: Library, argument: str, function: object) -> None:
    with pytest.raises(TypeError, match=f"{argument} must be a synchronous function of .*, .* is asynchronous"):
        library.transport(**{argument: function})


@pytest.mark.parametrize("argument", ["key", "on_rejection"])
def test_what_is_no_function_is_refused(library: Library, argument: str) -> None:
    with pytest.raises(TypeError, match=f"{argument} must be a synchronous function of .*, not 'model'"):
        library.transport(**{argument: "model"})
