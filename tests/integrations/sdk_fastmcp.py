"""`FastMCP` and `Client` of fastmcp, which runs on asyncio only."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TextIO

from fastmcp import Client, Context
from fastmcp import FastMCP as Server
from fastmcp.client.transports import StdioTransport

from tests.integrations.mcp_session import Session

__all__ = ["BACKENDS", "Context", "Server", "by_stdio", "connect", "serve"]

BACKENDS = ("asyncio",)


@asynccontextmanager
async def connect(server: object) -> AsyncIterator[Session]:
    async with Client(server) as client:
        yield Session(client, raise_on_error=False)


def by_stdio(command: list[str], errlog: TextIO) -> AbstractAsyncContextManager[Session]:
    return connect(StdioTransport(command[0], command[1:], keep_alive=False, log_file=errlog))


def serve(server: Server) -> None:
    server.run(transport="stdio", show_banner=False)
