"""The transports for httpx and httpx2 in clients that they are not for."""

import gc
import importlib

import pytest

from tests.integrations.conftest import Library
from tests.integrations.kit import one, totals
from tests.integrations.upstream import Upstream

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("name", "other"), [("httpx", "httpx2"), ("httpx2", "httpx")])
async def test_a_client_of_the_other_library_is_told_which_transport_it_needs(
    upstream: Upstream, name: str, other: str
) -> None:
    breaker = one()
    transport = importlib.import_module(f"recloser.integrations.{name}").BreakerTransport(breaker=breaker)
    expected = (
        f"this BreakerTransport is for {name}.AsyncClient; "
        f"{other}.AsyncClient needs recloser.integrations.{other}.BreakerTransport"
    )
    async with importlib.import_module(other).AsyncClient(transport=transport) as client:
        with pytest.raises(TypeError) as caught:
            await client.get(upstream.url("/?key=secret"))
    assert str(caught.value) == expected
    gc.collect()
    assert (upstream.hits, totals(breaker)) == ([], {})


async def test_a_request_of_neither_library_is_refused_without_its_text(library: Library) -> None:
    class Request:
        url = "http://api.example/?key=secret"

        def __repr__(self) -> str:
            return self.url

    breaker = one()
    async with library.transport(breaker=breaker) as transport:
        with pytest.raises(TypeError, match=r"AsyncClient; it can't send a tests\..*\.Request$") as caught:
            await transport.handle_async_request(Request())
    assert "secret" not in str(caught.value)
    assert totals(breaker) == {}


async def test_a_synchronous_client_is_refused(library: Library) -> None:
    breaker = one()
    name = library.web.__name__
    expected = rf"is for {name}\.AsyncClient, not for the synchronous {name}\.Client"
    transport = library.transport(breaker=breaker)
    with pytest.raises(TypeError, match=expected):
        library.web.Client(transport=transport).get("http://127.0.0.1:1/")
    with pytest.raises(TypeError, match=expected):
        library.web.Client(transport=transport).__enter__()
    assert totals(breaker) == {}
    await transport.aclose()
