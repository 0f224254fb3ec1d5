"""The transports for httpx and httpx2: how an exchange with a real server is classified."""

from contextlib import aclosing

import anyio
import pytest

from recloser import CircuitBreakerOpenError, CircuitState
from recloser.errors import BulkheadFullError
from recloser.integrations._bodies import GuardedUpload
from tests.integrations.conftest import Library
from tests.integrations.kit import LEFT_EARLY, client_of, one, totals
from tests.integrations.upstream import HEAD_OF_TEN, Upstream, answer, hang, reset, send, trickle

pytestmark = [pytest.mark.anyio, LEFT_EARLY]


async def test_a_response_is_a_success_and_comes_through(library: Library, upstream: Upstream) -> None:
    breaker = one()
    async with client_of(library, breaker) as client:
        response = await client.get(upstream.url())
    assert (response.status_code, response.text) == (200, "body")
    assert totals(breaker) == {"success": 1}


@pytest.mark.parametrize("status", [400, 404, 408, 499, 501, 505])
async def test_a_status_of_the_caller_s_making_is_a_success(library: Library, upstream: Upstream, status: int) -> None:
    breaker = one()
    upstream.scripts["/"] = answer(f"{status} Oh")
    async with client_of(library, breaker) as client:
        assert (await client.get(upstream.url())).status_code == status
    assert totals(breaker) == {"success": 1}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 520, 527, 529, 599])
async def test_a_failing_status_is_one_failure_and_the_response_comes_through(
    library: Library, upstream: Upstream, status: int
) -> None:
    breaker = one()
    upstream.scripts["/"] = send(f"HTTP/1.1 {status} Oh\r\ncontent-length: 4\r\n\r\npage".encode())
    async with client_of(library, breaker) as client:
        response = await client.get(upstream.url())
    assert (response.status_code, response.text) == (status, "page")
    assert totals(breaker) == {"failure": 1}
    assert breaker.state is CircuitState.OPEN


async def test_the_failing_statuses_can_be_chosen(library: Library, upstream: Upstream) -> None:
    breaker = one(failure_threshold=9)
    upstream.scripts |= {"/404": answer("404 Not Found"), "/503": answer("503 Service Unavailable")}
    async with client_of(library, breaker, failure_statuses=[404]) as client:
        await client.get(upstream.url("/404"))
        await client.get(upstream.url("/503"))
    assert totals(breaker) == {"failure": 1, "success": 1}


async def test_a_failing_status_counts_before_its_body_has_come(library: Library, upstream: Upstream) -> None:
    breaker = one()
    upstream.scripts["/"] = hang(b"HTTP/1.1 503 Oh\r\ncontent-length: 10\r\n\r\n")
    async with client_of(library, breaker) as client, client.stream("GET", upstream.url()):
        assert totals(breaker) == {"failure": 1}
    assert totals(breaker) == {"failure": 1}


async def test_a_refused_connection_is_a_failure(library: Library) -> None:
    breaker = one()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with client_of(library, breaker) as client:
        with pytest.raises(library.web.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/")
    assert totals(breaker) == {"failure": 1}


async def test_a_connection_that_is_reset_before_the_headers_is_a_failure(library: Library, upstream: Upstream) -> None:
    breaker = one()
    upstream.scripts["/"] = reset(b"HTTP/1.1 200")
    async with client_of(library, breaker) as client:
        with pytest.raises(library.web.TransportError):
            await client.get(upstream.url())
    assert totals(breaker) == {"failure": 1}


async def test_a_timeout_before_the_headers_is_a_failure(library: Library, upstream: Upstream) -> None:
    breaker = one()
    upstream.scripts["/"] = hang()
    async with client_of(library, breaker) as client:
        with pytest.raises(library.web.ReadTimeout):
            await client.get(upstream.url(), timeout=library.web.Timeout(5, read=0.01))
    assert totals(breaker) == {"failure": 1}


async def test_nothing_is_settled_until_the_body_has_ended(library: Library, upstream: Upstream) -> None:
    breaker = one()
    rest = anyio.Event()
    upstream.scripts["/"] = trickle(HEAD_OF_TEN + b"12345", b"67890", rest)
    async with client_of(library, breaker) as client, client.stream("GET", upstream.url()) as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"12345"
        assert totals(breaker) == {}
        rest.set()
        assert b"".join([chunk async for chunk in chunks]) == b"67890"
        assert totals(breaker) == {"success": 1}
    assert totals(breaker) == {"success": 1}


async def test_the_end_of_the_body_settles_whether_anybody_closes_or_not(library: Library, upstream: Upstream) -> None:
    breaker = one()
    async with library.transport(breaker=breaker) as transport:
        response = await transport.handle_async_request(library.web.Request("GET", upstream.url()))
        assert [chunk async for chunk in response.stream] == [b"body"]
        assert totals(breaker) == {"success": 1}
        await response.aclose()


async def test_a_truncated_body_is_one_failure(library: Library, upstream: Upstream) -> None:
    breaker = one(failure_threshold=9)
    upstream.scripts["/"] = send(HEAD_OF_TEN, b"12345")
    async with client_of(library, breaker) as client:
        with pytest.raises(library.web.RemoteProtocolError):
            await client.get(upstream.url())
    assert totals(breaker) == {"failure": 1}


async def test_a_body_that_is_reset_is_one_failure(library: Library, upstream: Upstream) -> None:
    breaker = one(failure_threshold=9)
    begun = anyio.Event()
    upstream.scripts["/"] = reset(HEAD_OF_TEN, b"12345", when=begun)
    async with client_of(library, breaker) as client, client.stream("GET", upstream.url()) as response:
        chunks = response.aiter_raw()
        await anext(chunks)
        begun.set()
        with pytest.raises(library.web.ReadError):
            await anext(chunks)
    assert totals(breaker) == {"failure": 1}


async def test_a_body_that_is_too_slow_is_one_failure(library: Library, upstream: Upstream) -> None:
    breaker = one(failure_threshold=9)
    upstream.scripts["/"] = hang(HEAD_OF_TEN, b"12345")
    async with client_of(library, breaker) as client:
        with pytest.raises(library.web.ReadTimeout):
            await client.get(upstream.url(), timeout=library.web.Timeout(5, read=0.02))
    assert totals(breaker) == {"failure": 1}


@pytest.mark.parametrize("chunks", [0, 1])
async def test_closing_a_response_early_is_a_success(library: Library, upstream: Upstream, chunks: int) -> None:
    breaker = one()
    upstream.scripts["/"] = hang(HEAD_OF_TEN, b"12345")
    async with (
        client_of(library, breaker) as client,
        client.stream("GET", upstream.url()) as response,
        aclosing(response.aiter_raw()) as body,
    ):
        for _ in range(chunks):
            await anext(body)
        assert totals(breaker) == {}
    assert totals(breaker) == {"success": 1}


async def test_an_error_of_the_reader_is_no_failure(library: Library, upstream: Upstream) -> None:
    breaker = one()
    upstream.scripts["/"] = hang(HEAD_OF_TEN, b"12345")
    async with client_of(library, breaker) as client:
        with pytest.raises(ValueError, match="mine"):  # noqa: PT012 - the block's end is what is tested
            async with client.stream("GET", upstream.url()) as response, aclosing(response.aiter_raw()) as body:
                async for _ in body:
                    raise ValueError("mine")
    assert totals(breaker) == {"success": 1}


async def test_closing_twice_counts_once(library: Library, upstream: Upstream) -> None:
    breaker = one()
    async with client_of(library, breaker) as client, client.stream("GET", upstream.url()) as response:
        body = response.stream
        await body.aclose()
        await body.aclose()
    assert totals(breaker) == {"success": 1}


async def test_reading_a_response_synchronously_fails_as_ever(library: Library, upstream: Upstream) -> None:
    breaker = one()
    async with client_of(library, breaker) as client, client.stream("GET", upstream.url()) as response:
        with pytest.raises(RuntimeError, match="sync"):
            response.read()
    assert totals(breaker) == {"success": 1}


async def test_a_full_pool_is_ignored(library: Library, upstream: Upstream) -> None:
    breaker = one()
    upstream.scripts["/"] = hang(HEAD_OF_TEN)
    inner = library.web.AsyncHTTPTransport(limits=library.web.Limits(max_connections=1))
    async with client_of(library, breaker, transport=inner) as client, client.stream("GET", upstream.url()):
        with pytest.raises(library.web.PoolTimeout):
            await client.get(upstream.url(), timeout=library.web.Timeout(5, pool=0.01))
        assert totals(breaker) == {"ignored": 1}


async def test_requests_that_are_wrong_are_ignored(library: Library, upstream: Upstream) -> None:
    breaker = one()
    async with client_of(library, breaker) as client:
        with pytest.raises(library.web.LocalProtocolError):
            await client.get(upstream.url(), headers={"x-wrong": "line\nbreak"})
        with pytest.raises(library.web.UnsupportedProtocol):
            await client.get("ftp://127.0.0.1/")
    assert totals(breaker) == {"ignored": 2}


async def test_an_error_of_the_request_s_own_body_is_ignored(library: Library, upstream: Upstream) -> None:
    async def upload():  # noqa: ANN202 - an async generator
        yield b"begin"
        raise OSError("the file is gone")

    breaker = one()
    async with client_of(library, breaker) as client:
        with pytest.raises(OSError, match="the file is gone"):
            await client.post(upstream.url(), content=upload())
    assert totals(breaker) == {"ignored": 1}


async def test_a_transport_error_of_another_origin_that_comes_with_the_request_is_ignored(
    library: Library, upstream: Upstream
) -> None:
    breaker = one()
    upstream.scripts["/source"] = send(HEAD_OF_TEN, b"12345")
    async with (
        client_of(library, breaker) as client,
        library.web.AsyncClient() as other,
        other.stream("GET", upstream.url("/source")) as source,
    ):
        request = client.build_request("POST", upstream.url("/"), content=source.aiter_raw())
        body = request.stream
        with pytest.raises(library.web.RemoteProtocolError):
            await client.send(request)
        assert request.stream is body
    assert totals(breaker) == {"ignored": 1}


async def test_a_request_may_stream_its_body(library: Library, upstream: Upstream) -> None:
    async def upload():  # noqa: ANN202 - an async generator
        yield b"1"
        yield b"2"

    breaker = one()
    async with client_of(library, breaker) as client:
        assert (await client.post(upstream.url(), content=upload())).status_code == 200
    assert totals(breaker) == {"success": 1}


async def test_an_upload_that_cannot_be_sent_is_a_failure(library: Library, upstream: Upstream) -> None:
    async def upload():  # noqa: ANN202 - an async generator
        yield b"1"

    breaker = one()
    upstream.scripts["/"] = reset()
    async with client_of(library, breaker) as client:
        with pytest.raises(library.web.TransportError):
            await client.post(upstream.url(), content=upload())
    assert totals(breaker) == {"failure": 1}


async def test_closing_the_body_of_a_request_closes_its_source() -> None:
    class Source:
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    source = Source()
    await GuardedUpload(source).aclose()
    assert source.closed


@pytest.mark.parametrize(
    ("leaves", "expected"),
    [(("ConnectError", "PoolTimeout"), {"failure": 1}), (("PoolTimeout", "UnsupportedProtocol"), {"ignored": 1})],
)
async def test_a_group_of_errors_is_classified_by_its_leaves(
    library: Library, leaves: tuple[str, ...], expected: dict[str, int]
) -> None:
    def race(_: object) -> None:
        raise ExceptionGroup("attempts", [ExceptionGroup("more", [getattr(library.web, leaf)("")]) for leaf in leaves])

    breaker = one()
    async with client_of(library, breaker, transport=library.web.MockTransport(race)) as client:
        with pytest.raises(ExceptionGroup):
            await client.get("http://api.example/")
    assert totals(breaker) == expected


async def test_a_rejection_by_something_further_inside_is_ignored(library: Library) -> None:
    def reject(_: object) -> None:
        raise BulkheadFullError("connections")

    breaker = one()
    async with client_of(library, breaker, transport=library.web.MockTransport(reject)) as client:
        with pytest.raises(BulkheadFullError):
            await client.get("http://api.example/")
    assert totals(breaker) == {"ignored": 1}


async def test_further_exceptions_can_be_ignored(library: Library, upstream: Upstream) -> None:
    breaker = one()
    upstream.scripts["/"] = hang()
    async with client_of(library, breaker, ignored_exception=library.web.ReadTimeout) as client:
        with pytest.raises(library.web.ReadTimeout):
            await client.get(upstream.url(), timeout=library.web.Timeout(5, read=0.01))
    assert totals(breaker) == {"ignored": 1}


async def test_a_rejection_reaches_the_caller_as_it_is_and_sends_nothing(library: Library, upstream: Upstream) -> None:
    breaker = one()
    breaker.force_open("maintenance")
    async with client_of(library, breaker) as client:
        with pytest.raises(CircuitBreakerOpenError, match="maintenance") as caught:
            await client.get(upstream.url())
    assert type(caught.value) is CircuitBreakerOpenError
    assert upstream.hits == []


async def test_a_response_that_another_transport_has_read_is_settled_at_once(library: Library) -> None:
    breaker = one()
    inner = library.web.MockTransport(lambda _: library.web.Response(200, text="made up"))
    async with client_of(library, breaker, transport=inner) as client:
        assert (await client.get("http://api.example/")).text == "made up"
        assert totals(breaker) == {"success": 1}


async def test_a_connection_that_changes_its_protocol_is_a_success_at_once(
    library: Library, upstream: Upstream
) -> None:
    breaker = one()
    upstream.scripts["/"] = hang(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: talk\r\nconnection: upgrade\r\n\r\n")
    headers = {"upgrade": "talk", "connection": "upgrade"}
    async with client_of(library, breaker) as client, client.stream("GET", upstream.url(), headers=headers) as response:
        assert response.status_code == 101
        assert totals(breaker) == {"success": 1}


async def test_the_request_is_left_as_it_is(library: Library, upstream: Upstream) -> None:
    extensions = {"trace": None, "timeout": {"read": 4.0}, "own": object()}
    extensions.pop("trace")
    request = library.web.Request("GET", upstream.url(), extensions=dict(extensions), headers={"x-own": "1"})
    stream, headers = request.stream, request.headers.copy()
    async with client_of(library, one()) as client:
        await client.send(request)
    assert request.extensions == extensions
    assert request.stream is stream
    assert request.headers == headers
