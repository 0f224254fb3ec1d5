"""The example server in this process, with a client and dependencies that fail on cue."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
from mcp import Client

from demos.mcp.dependencies import Dependencies
from demos.mcp.director import Director
from examples.mcp_server.breakers import Breakers
from examples.mcp_server.server import make_server
from examples.mcp_server.sources import Sources
from examples.mcp_server.sqlite import SQLite
from examples.mcp_server.upstream import Upstream


class Stage(NamedTuple):
    director: Director
    dependencies: Dependencies
    upstream: Upstream


@asynccontextmanager
async def staged(directory: Path, *, reset_seconds: float = 60.0) -> AsyncGenerator[Stage]:
    upstream, file = Upstream(), directory / "demo.db"
    with upstream.serving() as url:
        dependencies = Dependencies(upstream, file)
        breakers = Breakers(reset_seconds, reset_seconds)
        async with httpx.AsyncClient(base_url=url) as http:
            server = make_server(breakers, Sources(breakers, http, SQLite(file, breakers.database)))
            async with Client(server) as client:
                yield Stage(Director(client, dependencies), dependencies, upstream)
