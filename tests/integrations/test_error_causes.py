"""What the text of an error says about real failures: each has one of its own, and none has a secret."""

import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime

import anyio
import anyio.abc
import pytest
import trustme
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSListener

from recloser import BreakerRegistry, CircuitBreaker, StateChanged
from recloser.events import CallFailed
from tests.integrations.conftest import Library
from tests.integrations.kit import LEFT_EARLY, one
from tests.integrations.upstream import HEAD_OF_TEN, HOST, Upstream, answer, hang, reset, send

pytestmark = [pytest.mark.anyio, LEFT_EARLY]

SECRET = "S3cr3t"  # noqa: S105 - that no secret gets out is what is tested


@asynccontextmanager
async def talking_tls(*, expired: bool = False, host: str = HOST) -> AsyncGenerator[tuple[int, ssl.SSLContext]]:
    """Runs a server that accepts TLS connections; yields its port, and what a client that trusts it needs."""
    authority = trustme.CA()
    past = datetime(2020, 1, 1, tzinfo=UTC)
    leaf = authority.issue_cert(host, not_after=past) if expired else authority.issue_cert(host)
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    leaf.configure_cert(server)
    authority.configure_trust(client)
    listener = await anyio.create_tcp_listener(local_host=HOST, local_port=0)

    async def accept(stream: anyio.abc.SocketStream) -> None:
        await stream.aclose()

    async with TLSListener(listener, server) as guarded, anyio.create_task_group() as group:
        group.start_soon(guarded.serve, accept)
        yield listener.extra(SocketAttribute.local_port), client
        group.cancel_scope.cancel()


async def last_error(
    library: Library, url: str, *, verify: ssl.SSLContext | bool = False, **limits: float
) -> tuple[str, str | None]:
    """Requests a URL through a breaker; returns how the breaker describes the failure, and the peer."""
    breaker, failures = one(), list[CallFailed]()
    breaker.subscribe(failures.append, kinds=CallFailed)
    transport = library.transport(library.web.AsyncHTTPTransport(verify=verify), breaker=breaker)
    times = library.web.Timeout(5, **limits)
    async with library.web.AsyncClient(transport=transport, timeout=times) as client:
        with suppress(library.web.TransportError):
            response = await client.get(url, headers={"Authorization": f"Bearer {SECRET}"})
            assert response.status_code == 503
    (failure,) = failures
    return str(breaker.snapshot().last_error), failure.peer


async def test_each_way_to_fail_has_a_text_of_its_own(library: Library, upstream: Upstream) -> None:
    peer = f"{HOST}:{upstream.port}"
    upstream.scripts = {
        f"/reset?{SECRET}": reset(),
        f"/cut?{SECRET}": send(HEAD_OF_TEN),
        f"/hang?{SECRET}": hang(),
        f"/other?{SECRET}": send(f"SSH-2.0-{SECRET}\r\n\r\n".encode()),
        f"/503?{SECRET}": answer(f"503 {SECRET}"),
    }

    async def of(path: str, **limits: float) -> tuple[str, str | None]:
        return await last_error(library, upstream.url(f"{path}?{SECRET}", user=f"me:{SECRET}@"), **limits)

    texts = {path: await of(path) for path in ("/reset", "/cut", "/other", "/503")}
    texts["/hang"] = await of("/hang", read=0.2)
    assert {peer_of for _, peer_of in texts.values()} == {peer}
    found = {path: text for path, (text, _) in texts.items()}
    assert found["/reset"] == "ReadError: ECONNRESET"
    assert found["/cut"].startswith("RemoteProtocolError: peer closed connection without sending complete message body")
    assert found["/hang"] == "ReadTimeout: read timeout of 0.2 s"
    assert found["/other"] == "RemoteProtocolError: illegal status line: ..."
    assert found["/503"] == "StatusError: 503 Service Unavailable"


async def test_a_refused_connection_and_a_name_that_nobody_has_differ(library: Library, free_port: int) -> None:
    refused = await last_error(library, f"http://{HOST}:{free_port}/{SECRET}")
    assert refused == ("ConnectError: ECONNREFUSED", f"{HOST}:{free_port}")
    text, peer = await last_error(library, f"http://{SECRET.lower()}.invalid/")
    assert text in {f"ConnectError: {code}" for code in ("EAI_NONAME", "EAI_AGAIN", "EAI_NODATA", "EAI_FAIL")}
    assert peer == f"{SECRET.lower()}.invalid:80"


async def test_why_tls_failed_is_told(library: Library) -> None:
    async with talking_tls(expired=True) as (port, trusting):
        expired, _ = await last_error(library, f"https://{HOST}:{port}/", verify=trusting)
        unknown, _ = await last_error(library, f"https://{HOST}:{port}/", verify=ssl.create_default_context())
        plain, _ = await last_error(library, f"http://{HOST}:{port}/")
    async with talking_tls(host="other.example") as (port, trusting):
        other, _ = await last_error(library, f"https://{HOST}:{port}/", verify=trusting)
    assert expired == "ConnectError: certificate refused, code 10: certificate has expired"
    assert unknown == "ConnectError: certificate refused, code 20: unable to get local issuer certificate"
    assert other == "ConnectError: certificate refused, code 64: IP address mismatch"
    assert plain.startswith("RemoteProtocolError: ")


async def test_a_server_that_speaks_no_tls_is_told(library: Library) -> None:
    async def speak(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(f"SSH-2.0-{SECRET}\r\n".encode())

    listener = await anyio.create_tcp_listener(local_host=HOST, local_port=0)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, speak)
        text, _ = await last_error(library, f"https://{HOST}:{listener.extra(SocketAttribute.local_port)}/")
        group.cancel_scope.cancel()
    assert text.startswith(("ConnectError: TLS WRONG_VERSION_NUMBER", "ConnectError: ECONNRESET"))


async def test_a_group_of_a_real_failure_is_told_by_its_leaf(library: Library, free_port: int) -> None:
    breaker = CircuitBreaker(failure_threshold=1)

    @breaker
    async def both() -> None:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(library.web.AsyncClient(timeout=5))
            group = await stack.enter_async_context(anyio.create_task_group())
            for _ in range(2):
                group.start_soon(client.get, f"http://{HOST}:{free_port}/{SECRET}")

    with pytest.raises(ExceptionGroup):
        await both()
    assert str(breaker.snapshot().last_error).startswith("ExceptionGroup: ")
    assert str(breaker.snapshot().last_error).endswith("ConnectError: ECONNREFUSED")


async def test_what_raise_for_status_says_of_a_url_is_told_nowhere(
    library: Library, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.scripts = {f"/{SECRET}?key={SECRET}": answer("503 Busy")}
    registry = BreakerRegistry(failure_threshold=1)
    breaker, changes = registry.breaker("api"), list[StateChanged]()
    breaker.subscribe(changes.append, kinds=StateChanged)

    @breaker
    async def fetch() -> None:
        async with library.web.AsyncClient(timeout=5) as client:
            (await client.get(upstream.url(f"/{SECRET}?key={SECRET}", user=f"me:{SECRET}@"))).raise_for_status()

    with pytest.raises(library.web.HTTPStatusError, match=SECRET):
        await fetch()
    assert breaker.snapshot().last_error == "HTTPStatusError: 503 Service Unavailable"
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith("recloser"))
    assert SECRET not in json.dumps(registry.health()) + repr(breaker) + breaker.explain() + str(changes) + ours
