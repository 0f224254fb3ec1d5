"""The client of mcp 2 over a guarded transport: what a rejection does to its session."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import anyio
import httpx2
import pytest

from recloser import CircuitBreaker
from recloser.integrations.httpx2 import BreakerTransport, answer_503
from recloser.lowlevel import leaves
from tests.integrations.kit import LEFT_EARLY, totals

mcp = pytest.importorskip("mcp", reason="mcp is not installed: pip install mcp")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install uvicorn")
if version("mcp").startswith("1."):
    pytest.skip("mcp 1 takes no client of httpx2", allow_module_level=True)

import uvicorn  # noqa: E402 - may be missing
from mcp import ClientSession, MCPError  # noqa: E402 - as above
from mcp.client.streamable_http import streamable_http_client  # noqa: E402 - as above
from mcp.server import MCPServer  # noqa: E402 - as above

pytestmark = [pytest.mark.anyio, LEFT_EARLY, pytest.mark.filterwarnings("default")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # uvicorn needs it


@asynccontextmanager
async def serving() -> AsyncGenerator[str]:
    """Runs a server with one tool; yields its address."""
    tools = MCPServer("tools")

    @tools.tool()
    async def echo(text: str) -> str:
        return text

    config = uvicorn.Config(tools.streamable_http_app(json_response=True), port=0, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve)
        with anyio.fail_after(20):
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await anyio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/mcp"
        server.should_exit = True


@asynccontextmanager
async def session(url: str, breaker: CircuitBreaker, **options: Any) -> AsyncGenerator[ClientSession]:  # noqa: ANN401 - of the transport
    transport = BreakerTransport(breaker=breaker, **options)
    async with (
        httpx2.AsyncClient(transport=transport) as client,
        streamable_http_client(url, http_client=client, terminate_on_close=False) as (reading, writing, *_),
        ClientSession(reading, writing) as opened,
    ):
        await opened.initialize()
        yield opened


async def test_calls_of_tools_are_successes() -> None:
    breaker = CircuitBreaker("tools")
    async with serving() as url, session(url, breaker) as opened:
        before = totals(breaker)["success"]
        assert (await opened.call_tool("echo", {"text": "7"})).content[0].text == "7"
        assert totals(breaker)["success"] > before
    assert "failure" not in totals(breaker)


async def test_an_answer_to_a_rejection_fails_one_request_and_the_session_lives_on() -> None:
    breaker = CircuitBreaker("tools")
    async with serving() as url, session(url, breaker, on_rejection=answer_503) as opened:
        breaker.force_open("maintenance")
        with pytest.raises(MCPError):
            await opened.call_tool("echo", {"text": "7"})
        breaker.reset("maintenance is over")
        assert (await opened.call_tool("echo", {"text": "8"})).content[0].text == "8"


async def test_a_rejection_ends_the_session() -> None:
    breaker = CircuitBreaker("tools")
    async with serving() as url:
        with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012 - the session ends in the middle
            async with session(url, breaker) as opened:
                breaker.force_open("maintenance")
                await opened.call_tool("echo", {"text": "7"})
    assert [str(leaf) for leaf in leaves(caught.value)] == ["Connection closed"]
    assert totals(breaker)["rejected"] >= 1
