"""The transports for httpx and httpx2: bodies that are read in several iterations, and bodies that are left alone."""

import gc
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest

from tests.integrations.conftest import Library
from tests.integrations.kit import LEFT_EARLY, client_of, one, totals
from tests.integrations.upstream import HEAD_OF_TEN, Upstream, hang
from tests.integrations.upstream_counted import counting

pytestmark = [pytest.mark.anyio, LEFT_EARLY]


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
async def test_the_rest_of_a_body_can_be_read_in_another_iteration(library: Library, *, http2: bool) -> None:
    breaker = one()
    inner = library.web.AsyncHTTPTransport(http1=not http2, http2=http2)
    async with counting(http2=http2) as upstream, client_of(library, breaker, transport=inner) as client:
        for _ in range(3):
            async with client.stream("GET", f"{upstream.url}/parts") as response:
                chunks = response.aiter_bytes()
                assert await anext(chunks) == b"part"
                assert [chunk async for chunk in response.stream] == [b"part", b"part", b"body"]
        assert upstream.connections == 1
    assert totals(breaker) == {"success": 3}


@pytest.mark.parametrize("way", ["aclose", "athrow", "drop"])
async def test_an_error_after_an_iteration_that_was_left_is_the_reader_s(
    library: Library, upstream: Upstream, way: str
) -> None:
    breaker = one()
    upstream.scripts["/"] = hang(HEAD_OF_TEN, b"12345")
    async with library.transport(breaker=breaker) as transport:
        response = await transport.handle_async_request(library.web.Request("GET", upstream.url()))
        chunks = aiter(response.stream)
        await anext(chunks)
        if way == "aclose":
            await chunks.aclose()
        elif way == "athrow":
            with pytest.raises(KeyError):
                await chunks.athrow(KeyError())
        del chunks
        gc.collect()
        for _ in range(9):
            await anyio.lowlevel.checkpoint()
        assert totals(breaker) == {}
        with pytest.raises(library.web.TransportError):
            await anext(aiter(response.stream))
    assert totals(breaker) == {"success": 1}


async def test_a_second_reader_at_the_same_time_settles_nothing(library: Library, upstream: Upstream) -> None:
    breaker = one()
    upstream.scripts["/"] = hang(HEAD_OF_TEN)
    async with library.transport(breaker=breaker) as transport:
        response = await transport.handle_async_request(library.web.Request("GET", upstream.url()))
        chunks = aiter(response.stream)
        async with anyio.create_task_group() as group:
            group.start_soon(anext, chunks)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RuntimeError, match="already running"):
                await anext(chunks)
            with pytest.raises(RuntimeError, match="already running"):
                await chunks.asend(5)
            assert totals(breaker) == {}
            group.cancel_scope.cancel()
        await response.aclose()
    assert totals(breaker) == {"cancelled": 1}


async def test_a_body_can_be_read_by_asend(library: Library, upstream: Upstream) -> None:
    breaker = one()
    async with library.transport(breaker=breaker) as transport:
        response = await transport.handle_async_request(library.web.Request("GET", upstream.url()))
        chunks = aiter(response.stream)
        assert await chunks.asend(None) == b"body"
        with pytest.raises(StopAsyncIteration):
            await chunks.asend(None)
    assert totals(breaker) == {"success": 1}


class Numbers:
    """A body whose iterators are no generators, each of which yields two chunks."""

    async def aclose(self) -> None:
        """Close nothing."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return Countdown()


class Countdown:
    """An iterator that goes on after an error."""

    def __init__(self) -> None:
        self.left = [b"1", OSError("a hiccup"), b"2"]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.left:
            raise StopAsyncIteration
        item = self.left.pop(0)
        if isinstance(item, Exception):
            raise item
        return item


async def test_an_iterator_behaves_as_the_one_inside(library: Library) -> None:
    body = type("Body", (Numbers, library.web.AsyncByteStream), {})()
    breaker = one()
    inner = library.web.MockTransport(lambda _: library.web.Response(200, stream=body))
    async with library.transport(inner, breaker=breaker) as transport:
        response = await transport.handle_async_request(library.web.Request("GET", "http://api.example/"))
        chunks, others = aiter(response.stream), aiter(response.stream)
        assert not hasattr(chunks, "aclose")
        assert [await anext(chunks), await anext(others)] == [b"1", b"1"]
        with pytest.raises(OSError, match="a hiccup"):
            await anext(chunks)
        assert [chunk async for chunk in chunks] == [b"2"]
    assert totals(breaker) == {"ignored": 1}


async def test_a_body_in_memory_stays_what_it_is(library: Library) -> None:
    breaker = one()
    body = library.web.ByteStream(b"body")
    inner = library.web.MockTransport(lambda _: library.web.Response(200, stream=body))
    async with library.transport(inner, breaker=breaker) as transport:
        response = await transport.handle_async_request(library.web.Request("GET", "http://api.example/"))
        assert totals(breaker) == {"success": 1}
        assert response.read() == b"body"


@pytest.mark.parametrize("answer", [None, "text"])
async def test_what_is_no_response_settles_as_ignored(library: Library, answer: object) -> None:
    class Inner(library.web.AsyncBaseTransport):
        async def handle_async_request(self, _: object) -> object:
            return answer

    breaker = one()
    async with library.transport(Inner(), breaker=breaker) as transport:
        assert await transport.handle_async_request(library.web.Request("GET", "http://api.example/")) is answer
    assert totals(breaker) == {"ignored": 1}


async def upload() -> AsyncIterator[bytes]:
    yield b"up"
    yield b"load"


async def test_a_redirect_sends_again_what_the_transport_inside_has_read(library: Library) -> None:
    read: list[bytes] = []

    async def play(request: object) -> object:
        read.append(await request.aread())
        return library.web.Response(307 if len(read) == 1 else 200, headers={"location": "/there"})

    async with client_of(library, one(), transport=library.web.MockTransport(play)) as client:
        response = await client.post("http://api.example/", content=upload(), follow_redirects=True)
    assert response.status_code == 200
    assert read == [b"upload", b"upload"]


async def test_a_form_can_be_read_synchronously_by_the_transport_inside(library: Library) -> None:
    class Inner(library.web.AsyncBaseTransport):
        async def handle_async_request(self, request: object) -> object:
            return library.web.Response(200, content=request.read())

    async with client_of(library, one(), transport=Inner()) as client:
        response = await client.post("http://api.example/", data={"a": "1"}, files={"f": b"file"})
    assert b"file" in response.content
