"""`MCPServer` and `Client` of mcp 2."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TextIO

from mcp import Client, StdioServerParameters, stdio_client
from mcp.server import MCPServer as Server
from mcp.server.mcpserver import Context

from tests.integrations.mcp_session import Session

__all__ = ["BACKENDS", "Context", "Server", "by_stdio", "connect", "serve"]

BACKENDS = ("asyncio", "trio")


@asynccontextmanager
async def connect(server: object) -> AsyncIterator[Session]:
    async with Client(server) as client:
        yield Session(client)


@asynccontextmanager
async def by_stdio(command: list[str], errlog: TextIO) -> AsyncIterator[Session]:
    parameters = StdioServerParameters(command=command[0], args=command[1:])
    async with Client(stdio_client(parameters, errlog=errlog)) as client:
        yield Session(client)


def serve(server: Server) -> None:
    server.run(transport="stdio")
