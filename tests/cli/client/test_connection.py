from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import anyio
import httpx
import pytest

from recloser.cli.client.connection import follow, get_status, new_client
from recloser.cli.client.errors import UnreachableError
from tests.cli.client.messages import event, snapshot, update

pytestmark = pytest.mark.anyio

URL = "http://shop.example/breakers/"
EVENTS = {"content-type": "text/event-stream; charset=utf-8"}
JSON = {"content-type": "application/json"}
ALIVE = b"event: alive\ndata: {}\n\n"


class Script(httpx.AsyncByteStream):
    """A body: bytes are sent, numbers are seconds of silence, exceptions are raised."""

    def __init__(self, *steps: bytes | float | Exception) -> None:
        self._steps = steps

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, bytes):
                yield step
            else:
                await anyio.sleep(step)


class Server:
    """Gives one response after the other, and then none."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[tuple[float, httpx.Request]] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((anyio.current_time(), request))
        if not self._answers:
            await anyio.sleep_forever()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=URL, transport=httpx.MockTransport(self))


class Recorder:
    """A listener that keeps everything."""

    def __init__(self, quiet_seconds: float = 15.0) -> None:
        self.quiet_seconds = quiet_seconds
        self.said: list[object] = []

    def snapshot(self, data: dict[str, object]) -> None:
        self.said.append(("snapshot", data["dropped"]))

    def update(self, data: dict[str, object]) -> None:
        self.said.append(("update", data["dropped"]))

    def alive(self) -> None:
        self.said.append("alive")

    def connected(self) -> None:
        self.said.append("connected")

    def lost(self, problem: str) -> None:
        self.said.append(problem)


def stream(*steps: bytes | float | Exception) -> httpx.Response:
    return httpx.Response(200, headers=EVENTS, stream=Script(*steps))


async def followed(server: Server, seconds: float, listener: Recorder | None = None) -> list[object]:
    """Follows a dashboard for some time; returns what was heard."""
    listener = listener or Recorder()
    with anyio.move_on_after(seconds):
        async with server.client() as http:
            await follow(http, listener, 5.0)
    return listener.said


def whole() -> bytes:
    return event("snapshot", snapshot(), 7)


def change(number: int) -> bytes:
    return event("update", update(), number)


async def test_the_whole_state_and_all_changes_are_passed_on() -> None:
    text = b"retry: 1000\n\n" + whole() + change(8) + ALIVE + b"event: unheard_of\ndata: 5\n\n" + change(9)
    pieces = [text[start : start + 50] for start in range(0, len(text), 50)]
    said = await followed(Server(stream(*pieces, 1000.0)), 3.0)
    assert said == [("snapshot", 0), "connected", ("update", 0), "alive", ("update", 0)]


async def test_a_stream_that_ends_is_taken_up_again_after_the_last_event() -> None:
    server = Server(stream(whole(), change(8), ALIVE), stream(change(9), 1000.0))
    said = await followed(server, 5.0)
    lost = "the server ended the stream"
    assert said == [("snapshot", 0), "connected", ("update", 0), "alive", lost, "connected", ("update", 0)]
    (_, first), (at, second) = server.requests
    assert "last-event-id" not in first.headers
    assert (second.headers["last-event-id"], at) == ("a-8", pytest.approx(server.requests[0][0] + 1))


async def test_a_server_that_is_down_is_asked_ever_more_seldom_and_the_wait_begins_anew_once_it_is_back() -> None:
    refused = httpx.ConnectError("All connection attempts failed")
    server = Server(stream(whole()), *[refused] * 6, stream(change(8)), refused, stream(change(9), 1000.0))
    said = await followed(server, 60.0)
    start = server.requests[0][0]
    waits = [1, 2, 4, 8, 10, 10, 10, 1, 2]
    expected = [sum(waits[:count]) for count in range(len(waits) + 1)]
    assert [at - start for at, _ in server.requests] == pytest.approx(expected)
    assert said.count("All connection attempts failed") == 7
    assert said[-2:] == ["connected", ("update", 0)]


async def test_a_server_that_is_silent_for_too_long_is_asked_anew() -> None:
    said = await followed(Server(stream(whole(), 37.0, ALIVE, 37.0, change(8), 1000.0)), 200.0)
    assert said[:4] == [("snapshot", 0), "connected", "alive", ("update", 0)]
    assert said[4] == "it has been silent for 37.5 s"
    assert said[5] == "no response within 5 s"


async def test_a_stream_that_is_taken_up_again_may_be_as_quiet_as_before() -> None:
    quiet = [each for _ in range(4) for each in (15.0, ALIVE)]
    said = await followed(Server(stream(whole()), stream(*quiet, change(8), 1000.0)), 62.0)
    assert said == [
        ("snapshot", 0),
        "connected",
        "the server ended the stream",
        "connected",
        *["alive"] * 4,
        ("update", 0),
    ]


async def test_a_connection_that_breaks_is_taken_up_again() -> None:
    broken = httpx.ReadError("")
    said = await followed(Server(stream(whole(), broken), stream(change(8), 1000.0)), 5.0)
    assert said == [("snapshot", 0), "connected", "ReadError", "connected", ("update", 0)]


async def test_a_message_that_makes_no_sense_is_a_lost_connection() -> None:
    first = stream(whole(), b"event: update\ndata: {\n\n")
    second = stream(b"event: update\ndata: []\n\n")
    said = await followed(Server(first, second, stream(change(8), 1000.0)), 10.0)
    assert str(said[2]).startswith("it sent what is no JSON: ")
    assert said[3:] == ["connected", "it sent JSON that is no object", "connected", ("update", 0)]


async def test_an_update_before_the_whole_state_means_nothing() -> None:
    said = await followed(Server(stream(change(8), whole(), 1000.0)), 2.0)
    assert said == [("snapshot", 0), "connected"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.ConnectError("All connection attempts failed"), "All connection attempts failed"),
        (httpx.ConnectTimeout("x"), "no connection in time"),
        (httpx.Response(404, headers=JSON), "it answers 404 Not Found"),
        (httpx.Response(799), "it answers 799"),
        (httpx.Response(304), "it answers 304 Not Modified"),
        (
            httpx.Response(307, headers={"location": "/login"}),
            "it redirects to '/login': give that address, or the headers of a login",
        ),
        (
            httpx.Response(200, html="<p>Log in"),
            "it answers with text/html instead of {wanted}: is there a dashboard?",
        ),
        (httpx.Response(200), "it answers with no content type instead of {wanted}: is there a dashboard?"),
    ],
)
async def test_what_is_no_dashboard_in_the_first_place_is_an_error_that_says_why(
    answer: httpx.Response | Exception, message: str
) -> None:
    with pytest.raises(UnreachableError) as following:
        await followed(Server(answer), 100.0)
    assert str(following.value) == message.format(wanted="text/event-stream")
    async with Server(answer).client() as http:
        with pytest.raises(UnreachableError) as asking:
            await get_status(http, 5.0)
    assert str(asking.value) == message.format(wanted="application/json")


async def test_a_server_whose_streams_are_all_in_use_is_distinguished_from_one_that_is_down() -> None:
    with pytest.raises(UnreachableError, match=": all of its streams may be in use$"):
        await followed(Server(httpx.Response(503)), 100.0)
    async with Server(httpx.Response(503)).client() as http:
        with pytest.raises(UnreachableError, match="^it answers 503 Service Unavailable$"):
            await get_status(http, 5.0)


async def test_a_server_that_never_says_anything_is_given_up() -> None:
    for server in (Server(), Server(stream(b"retry: 1000\n\n", 1000.0))):
        with pytest.raises(UnreachableError, match="no response within 5 s"):
            await followed(server, 100.0)
    async with Server().client() as http:
        with pytest.raises(UnreachableError, match="there was no complete response within 2 s"):
            await get_status(http, 2.0)


async def test_a_stream_of_something_else_is_given_up_however_much_it_says() -> None:
    said = [each for _ in range(50) for each in (ALIVE, 1.0, b"event: price\ndata: 5\n\n", change(5))]
    with pytest.raises(UnreachableError, match="no response within 5 s"):
        await followed(Server(stream(*said)), 100.0)


async def test_an_id_that_cannot_be_sent_back_is_forgotten() -> None:
    odd = event("update", update()).replace(b"id: a-1", "id: é-1".encode())
    server = Server(stream(whole(), odd), stream(whole(), 1000.0))
    await followed(server, 5.0)
    assert "last-event-id" not in server.requests[1][1].headers


@pytest.mark.parametrize("charset", ["hex", "undefined", "latin-1"])
async def test_documents_are_in_utf_8_whatever_the_server_says(charset: str) -> None:
    kind = {"content-type": f"application/json; charset={charset}"}
    async with Server(httpx.Response(200, headers=kind, content='{"größe": 1}'.encode())).client() as http:
        assert await get_status(http, 5.0) == {"größe": 1}
    answer = httpx.Response(
        200, headers={"content-type": f"text/event-stream; charset={charset}"}, stream=Script(whole(), 9.0)
    )
    assert await followed(Server(answer), 5.0) == [("snapshot", 0), "connected"]


async def test_a_body_that_never_ends_is_given_up() -> None:
    async def drip() -> AsyncGenerator[bytes]:
        while True:
            yield b" "
            await anyio.sleep(1)

    async with aclosing(drip()) as body, Server(httpx.Response(200, headers=JSON, content=body)).client() as http:
        with pytest.raises(UnreachableError, match="there was no complete response within 5 s"):
            await get_status(http, 5.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "it sent what is no JSON: "),
        ("[" * 100_000, "it sent what is no JSON: "),
        ('{"a": NaN}', "NaN is no number"),
        ("[]", "it sent JSON that is no object"),
    ],
)
async def test_an_answer_that_is_no_document_is_an_error(text: str, message: str) -> None:
    async with Server(httpx.Response(200, headers=JSON, text=text)).client() as http:
        with pytest.raises(UnreachableError, match=message):
            await get_status(http, 5.0)


async def test_headers_go_with_every_request_and_no_redirect_is_followed() -> None:
    async with new_client(httpx.URL(URL), [("Cookie", "a=1"), ("Cookie", "b=2")], 5.0) as http:
        assert http.headers.get_list("cookie") == ["a=1", "b=2"]
        assert (http.follow_redirects, str(http.base_url)) == (False, URL)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_this_machine_is_asked_without_a_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    proxies: dict[httpx.AsyncHTTPTransport, object] = {}
    used: list[object] = []
    make = httpx.AsyncHTTPTransport.__init__

    def note(transport: httpx.AsyncHTTPTransport, **options: object) -> None:
        proxies[transport] = options.get("proxy")
        make(transport, **options)

    async def handle(transport: httpx.AsyncHTTPTransport, _: httpx.Request) -> httpx.Response:
        used.append(proxies[transport])
        return httpx.Response(200)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "__init__", note)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)
    async with new_client(httpx.URL(f"http://{host}:8000/"), [], 5.0) as http:
        await http.get("status.json")
        await http.get("http://shop.example/")
    here, elsewhere = used
    assert here is None
    assert elsewhere is not None
