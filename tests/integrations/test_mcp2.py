"""What mcp 2 alone offers: subscriptions, direct calls; and how it gets on with fastmcp in one process."""

import json
import re
import sys
from pathlib import Path

import anyio
import pytest
from fastmcp import FastMCP
from fastmcp.exceptions import ToolError as FastMcpToolError
from mcp import ClientSession, MCPError, StdioServerParameters, stdio_client
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from recloser import BreakerRegistry, CircuitBreakerOpenError
from recloser.integrations.mcp import HEALTH_URI, add_health_resource, explain_rejections
from tests.integrations import sdk_fastmcp, sdk_mcp2

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
SERVER = StdioServerParameters(command=sys.executable, args=["-m", "tests.integrations.mcp_server", "mcp2"])
REJECTION = CircuitBreakerOpenError("upstream", 5.0)

only_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@explain_rejections
async def fetch() -> str:
    await anyio.lowlevel.checkpoint()
    raise REJECTION


@pytest.fixture
def registry() -> BreakerRegistry:
    return BreakerRegistry()


@pytest.fixture
def server(registry: BreakerRegistry) -> MCPServer:
    server = MCPServer("tested")
    add_health_resource(server, registry)
    return server


async def test_with_two_sdks_in_a_process_each_takes_the_error_for_its_own() -> None:
    with pytest.raises(FastMcpToolError) as first:
        await fetch()
    with pytest.raises(ToolError) as second:
        await fetch()
    assert type(first.value) is type(second.value)


@only_asyncio
async def test_a_rejection_is_explained_where_fastmcp_masks_errors() -> None:
    server = FastMCP("tested", mask_error_details=True)
    server.tool(fetch)
    async with sdk_fastmcp.connect(server) as session:
        answer = await session.call("fetch")
    assert answer.text.endswith("Retry in 5 s.")


async def test_a_rejection_is_a_cause_of_what_a_direct_call_of_a_tool_raises(server: MCPServer) -> None:
    server.tool()(fetch)
    with pytest.raises(ToolError) as caught:
        await server.call_tool("fetch", {})
    assert caught.value.__cause__.__cause__ is REJECTION


async def test_a_client_of_the_protocol_of_2025_is_served_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with (tmp_path / "stderr").open("w") as errlog:
        async with stdio_client(SERVER, errlog=errlog) as streams, ClientSession(*streams) as session:
            assert (await session.initialize()).protocol_version == "2025-11-25"
            answers = [await session.call_tool("fetch", {}) for _ in range(2)]
            health = await session.read_resource(HEALTH_URI)
    assert re.search(r"Retry in \d+ s\.$", answers[1].content[0].text)
    assert json.loads(health.contents[0].text)["breakers"]["upstream"]["state"] == "open"


async def test_a_state_change_reaches_those_who_listen_to_the_resource(
    server: MCPServer, registry: BreakerRegistry
) -> None:
    breaker = registry.breaker("upstream")
    async with (
        sdk_mcp2.connect(server) as session,
        session.client.listen(resource_subscriptions=[HEALTH_URI]) as stream,
    ):
        breaker.force_open("maintenance")
        event = await anext(aiter(stream))
        _, text = await session.read(event.uri)
    assert json.loads(text)["breakers"]["upstream"]["state"] == "forced_open"


async def test_a_state_change_reaches_those_who_listen_by_stdio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with (tmp_path / "stderr").open("w") as errlog:
        async with (
            sdk_mcp2.by_stdio([SERVER.command, *SERVER.args], errlog) as session,
            session.client.listen(resource_subscriptions=[HEALTH_URI]) as stream,
        ):
            await session.call("fetch")
            event = await anext(aiter(stream))
    assert event.uri == HEALTH_URI


async def test_calls_that_change_no_state_notify_nobody(server: MCPServer, registry: BreakerRegistry) -> None:
    breaker = registry.breaker("upstream")
    async with (
        sdk_mcp2.connect(server) as session,
        session.client.listen(resource_subscriptions=[HEALTH_URI]) as stream,
        anyio.create_task_group() as tasks,
    ):
        told: list[str] = []

        async def listen() -> None:
            async for event in stream:
                told.append(event.uri)  # noqa: PERF401 - the stream has no end

        tasks.start_soon(listen)
        await breaker.call(anyio.lowlevel.checkpoint)
        await anyio.wait_all_tasks_blocked()
        assert told == []
        breaker.force_open("maintenance")
        await anyio.wait_all_tasks_blocked()
        assert told == [HEALTH_URI]
        tasks.cancel_scope.cancel()


async def test_the_registry_is_listened_to_only_while_a_client_listens(
    server: MCPServer, registry: BreakerRegistry
) -> None:
    def listeners() -> int:
        return len(registry.fan_in.dispatcher.entries)

    async with sdk_mcp2.connect(server) as session:
        before = listeners()
        async with session.client.listen(resource_subscriptions=[HEALTH_URI]):
            during = listeners()
    assert (before, during, listeners()) == (0, 1, 0)


async def test_what_a_server_publishes_by_itself_still_reaches_those_who_listen(server: MCPServer) -> None:
    @server.tool()
    async def touch(context: Context) -> str:
        await context.notify_resource_updated("data://x")
        return "touched"

    async with (
        sdk_mcp2.connect(server) as session,
        session.client.listen(resource_subscriptions=["data://x"]) as stream,
    ):
        await session.call("touch")
        event = await anext(aiter(stream))
    assert event.uri == "data://x"


async def test_a_server_without_subscriptions_stays_without(registry: BreakerRegistry) -> None:
    server = MCPServer("tested", subscriptions=False)
    add_health_resource(server, registry)
    async with sdk_mcp2.connect(server) as session:
        with pytest.raises(MCPError):
            await session.client.listen(resource_subscriptions=[HEALTH_URI]).__aenter__()
