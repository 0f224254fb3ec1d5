"""What counts as a failure of the services and of the database of the example server."""

import httpx
import pytest

from examples.mcp_server.breakers import Breakers, is_service_down

pytestmark = pytest.mark.anyio


async def fetch(status: int) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(status))) as client:
        (await client.get("https://api.example")).raise_for_status()


async def test_what_does_not_exist_leaves_the_breaker_of_a_service_closed_and_an_outage_opens_it() -> None:
    breaker = Breakers().external_api
    for status in [404] * 5 + [503] * 5:
        assert breaker.get_state() == "closed"
        with pytest.raises(httpx.HTTPStatusError):
            await breaker.call(fetch, status)
    assert breaker.get_state() == "open"


@pytest.mark.parametrize(
    ("error", "expected"),
    [(httpx.ConnectError(""), True), (httpx.PoolTimeout(""), False), (ValueError("no JSON"), False)],
)
def test_a_service_is_down_if_it_cannot_be_reached(error: Exception, *, expected: bool) -> None:
    assert is_service_down(error) is expected
