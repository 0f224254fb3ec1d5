"""The transports for httpx and httpx2: one breaker per origin, in a bounded number, and no secret anywhere."""

import json
import logging
from contextlib import suppress

import anyio
import pytest

from recloser import BreakerRegistry, CircuitBreakerOpenError, CircuitState
from recloser.testing import ManualClock, RecordingListener
from tests.integrations.conftest import Library
from tests.integrations.kit import names, one
from tests.integrations.upstream import Upstream, answer, send

pytestmark = pytest.mark.anyio

SECRET = "s3cr3t"  # noqa: S105 - that no secret gets out is what is tested


def made_up(library: Library, status: int = 200) -> object:
    """Returns a transport that answers everything without a server."""
    return library.web.MockTransport(lambda _: library.web.Response(status))


async def test_each_origin_has_a_breaker_of_its_own(library: Library, upstream: Upstream) -> None:
    upstream.scripts["/bad"] = answer("503 Service Unavailable")
    transport = library.transport(registry=BreakerRegistry(failure_threshold=1))
    async with library.web.AsyncClient(transport=transport) as client:
        await client.get(upstream.url("/bad"))
        with pytest.raises(CircuitBreakerOpenError, match=f"http://127.0.0.1:{upstream.port}"):
            await client.get(upstream.url("/"))
        assert (await client.get(upstream.url("/", host="localhost"))).status_code == 200
    assert names(transport.registry) == {f"http://127.0.0.1:{upstream.port}", f"http://localhost:{upstream.port}"}


async def test_each_hop_of_a_redirect_is_an_exchange_with_its_own_origin(library: Library, upstream: Upstream) -> None:
    registry = BreakerRegistry()
    upstream.scripts["/from"] = answer("302 Found", f"location: {upstream.url('/to', host='localhost')}")
    async with library.web.AsyncClient(transport=library.transport(registry=registry), follow_redirects=True) as client:
        assert (await client.get(upstream.url("/from"))).status_code == 200
    for host in ("127.0.0.1", "localhost"):
        breaker = registry.get(f"http://{host}:{upstream.port}")
        assert breaker is not None
        assert breaker.health()["success_total"] == 1


async def test_a_redirect_to_the_same_origin_passes_a_probe(library: Library, upstream: Upstream) -> None:
    breaker = one(reset_timeout_seconds=0, success_threshold=2)
    upstream.scripts |= {
        "/bad": answer("503 Service Unavailable"),
        "/from": send(b"HTTP/1.1 302 Found\r\nlocation: /to\r\ncontent-length: 4\r\n\r\npage"),
    }
    transport = library.transport(breaker=breaker)
    async with library.web.AsyncClient(transport=transport, follow_redirects=True) as client:
        await client.get(upstream.url("/bad"))
        assert (await client.get(upstream.url("/from"))).status_code == 200
    assert breaker.state is CircuitState.CLOSED


async def test_the_breaker_of_an_address_can_be_got_and_configured(library: Library, upstream: Upstream) -> None:
    registry = BreakerRegistry()
    own = registry.breaker(f"http://127.0.0.1:{upstream.port}", failure_threshold=1)
    upstream.scripts["/bad"] = answer("503 Service Unavailable")
    transport = library.transport(registry=registry)
    async with library.web.AsyncClient(transport=transport) as client:
        await client.get(upstream.url("/bad"))
    assert own.state is CircuitState.OPEN
    assert transport.breaker_for(upstream.url("/any")) is own
    assert transport.breaker_for(library.web.URL(upstream.url("/any"))) is own


async def test_one_breaker_for_everything_is_possible(library: Library) -> None:
    breaker = one()
    transport = library.transport(made_up(library), breaker=breaker)
    assert transport.registry is None
    assert transport.breaker_for("https://anywhere.example/") is breaker


async def test_two_transports_may_share_a_registry(library: Library) -> None:
    registry = BreakerRegistry()
    first, second = (library.transport(made_up(library), registry=registry) for _ in range(2))
    assert first.breaker_for("https://api.example/") is second.breaker_for("https://api.example/")


async def test_an_empty_registry_of_the_caller_s_is_used(library: Library) -> None:
    registry = BreakerRegistry()
    assert library.transport(made_up(library), registry=registry).registry is registry


async def test_any_number_of_hosts_stays_within_the_registry_s_bound(library: Library) -> None:
    registry = BreakerRegistry(max_breakers=50)
    transport = library.transport(made_up(library), registry=registry)
    for number in range(2_000):
        await transport.handle_async_request(library.web.Request("GET", f"https://{SECRET}{number}.example:{number}/"))
    assert len(registry) == 50


async def test_no_secret_of_a_request_or_a_response_gets_out(
    library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    def lose(request: object) -> object:
        raise library.web.ConnectError(f"cannot reach {request.url} with {request.headers}")

    def refuse(_: object) -> object:
        return library.web.Response(503, headers={"set-cookie": SECRET}, extensions={"reason_phrase": SECRET.encode()})

    seen = RecordingListener()
    registry = BreakerRegistry(failure_threshold=1)
    registry.subscribe(seen)
    texts = []
    caplog.set_level(logging.DEBUG, logger="recloser")
    for handler in (lose, refuse):
        host = f"{handler.__name__}.example"
        url = f"https://{SECRET}:{SECRET}@{host}/{SECRET}?token={SECRET}#{SECRET}"
        transport = library.transport(library.web.MockTransport(handler), registry=registry)
        async with library.web.AsyncClient(transport=transport, headers={"authorization": SECRET}) as client:
            with suppress(library.web.ConnectError):
                await client.get(url)
            with pytest.raises(CircuitBreakerOpenError) as caught:
                await client.get(url)
        breaker = registry.breaker(f"https://{host}")
        texts += [str(caught.value), repr(caught.value), repr(breaker), breaker.explain()]
    texts += [
        json.dumps(registry.health()),
        *map(repr, seen.events),
        *(record.getMessage() for record in caplog.records),
    ]
    assert len(registry) == 2
    assert len(texts) > 12
    assert [text for text in texts if SECRET in text] == []
    assert any("ConnectError" in text for text in texts)
    assert any("StatusError: 503 Service Unavailable" in text for text in texts)


@pytest.mark.parametrize(("field", "expected"), [("7", 7.0), ("86400", 300.0), ("0", 60.0), ("nonsense", 60.0)])
async def test_retry_after_sets_the_reset_timeout_within_its_bound(
    library: Library, upstream: Upstream, field: str, expected: float
) -> None:
    clock = ManualClock()
    breaker = one(clock=clock)
    upstream.scripts["/"] = answer("503 Service Unavailable", f"Retry-After: {field}")
    async with library.web.AsyncClient(transport=library.transport(breaker=breaker)) as client:
        await client.get(upstream.url())
        assert breaker.retry_after == expected
        clock.advance(expected)
        upstream.scripts["/"] = answer("429 Too Many Requests", "Retry-After: 11")
        await client.get(upstream.url())
        assert breaker.retry_after == 11


async def test_retry_after_need_not_be_heeded(library: Library, upstream: Upstream) -> None:
    breaker = one(clock=ManualClock())
    upstream.scripts["/"] = answer("503 Service Unavailable", "Retry-After: 7")
    transport = library.transport(breaker=breaker, max_retry_after_seconds=None)
    async with library.web.AsyncClient(transport=transport) as client:
        await client.get(upstream.url())
    assert breaker.retry_after == 60


async def test_retry_after_of_a_success_means_nothing(library: Library, upstream: Upstream) -> None:
    breaker = one()
    upstream.scripts["/"] = answer("200 OK", "Retry-After: 7")
    async with library.web.AsyncClient(transport=library.transport(breaker=breaker)) as client:
        await client.get(upstream.url())
    assert breaker.state is CircuitState.CLOSED


async def test_many_requests_at_once_make_one_probe(library: Library, upstream: Upstream) -> None:
    breaker = one(reset_timeout_seconds=0.0, failure_threshold=1)
    upstream.scripts["/bad"] = answer("503 Service Unavailable")
    rejected = []
    async with library.web.AsyncClient(transport=library.transport(breaker=breaker)) as client:
        await client.get(upstream.url("/bad"))

        async def get() -> None:
            try:
                await client.get(upstream.url("/ok"))
            except CircuitBreakerOpenError as error:
                rejected.append(error)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(get)
    assert upstream.hits == ["/bad", "/ok"]
    assert len(rejected) == 19
