"""`FastMCP` and `ClientSession` of mcp 1."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TextIO

from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.server.fastmcp import Context
from mcp.server.fastmcp import FastMCP as Server
from mcp.shared.memory import create_connected_server_and_client_session

from tests.integrations.mcp_session import Session

__all__ = ["BACKENDS", "Context", "Server", "by_stdio", "connect", "serve"]

BACKENDS = ("asyncio", "trio")


@asynccontextmanager
async def connect(server: Server) -> AsyncIterator[Session]:
    async with create_connected_server_and_client_session(server) as client:
        yield Session(client)


@asynccontextmanager
async def by_stdio(command: list[str], errlog: TextIO) -> AsyncIterator[Session]:
    parameters = StdioServerParameters(command=command[0], args=command[1:])
    async with stdio_client(parameters, errlog=errlog) as streams, ClientSession(*streams) as client:
        await client.initialize()
        yield Session(client)


def serve(server: Server) -> None:
    server.run(transport="stdio")
