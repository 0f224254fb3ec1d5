"""The MCP server: its tools, and the health of its breakers."""

import logging
from typing import cast

import httpx
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from recloser.errors import FallbackExhaustedError
from recloser.integrations.mcp import add_health_resource, explain_rejections

from .breakers import Breakers
from .database import QueryError
from .sources import CACHE, Data, Sources, as_tool_error

logger = logging.getLogger(__name__)


def make_server(breakers: Breakers, sources: Sources) -> MCPServer:
    """Return a server with all tools and the resource `health://circuit-breakers`."""
    server = MCPServer("recloser-example")
    add_health_resource(server, breakers.registry)
    tools = Tools(sources)
    for tool in (
        tools.call_external_api,
        tools.query_database,
        tools.get_user_with_fallback,
        tools.get_data_with_multiple_fallbacks,
    ):
        server.tool()(tool)
    return server


class Tools:
    """The tools: each one asks a source, and returns a message that the model can read if the source fails."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    @explain_rejections(message="External service currently unavailable. Please try again later.")
    async def call_external_api(self, endpoint: str, params: Data | None = None) -> Data:
        """Call the external API."""
        try:
            return {"status": "success", "data": await self._sources.call_api(endpoint, params or {})}
        except httpx.HTTPError as exc:
            raise as_tool_error("API call failed", exc) from exc

    @explain_rejections(message="Database temporarily unavailable. Try again in a moment.")
    async def query_database(self, sql: str, parameters: list[str | float | None] | None = None) -> list[Data]:
        """Read from the database: one SELECT statement, with `?` (SQLite) or `$1`, `$2` (PostgreSQL) for parameters."""
        try:
            rows = await self._sources.rows.detailed(sql, tuple(parameters or ()))
        except QueryError as exc:
            raise as_tool_error("Query failed", exc) from exc
        if rows.source == CACHE:
            logger.warning("Using cached rows, %.0f s old", rows.age_seconds)
        found: list[Data] = rows.value
        return found

    async def get_user_with_fallback(self, user_id: str) -> Data:
        """Get a user; a user from the cache or an unavailable one is marked as such."""
        try:
            user = await self._sources.user.detailed(user_id)
        except httpx.HTTPError as exc:
            raise as_tool_error("User lookup failed", exc) from exc
        found: Data = user.value
        return {**found, "from_cache": True} if user.source == CACHE else found

    async def get_data_with_multiple_fallbacks(self, data_id: str) -> Data:
        """Get data from the first source that has it: the primary, the secondary, or the cache."""
        try:
            return cast("Data", await self._sources.data(data_id))
        except FallbackExhaustedError as exc:
            raise ToolError("All data sources unavailable. Please try again later.") from exc
        except httpx.HTTPError as exc:
            raise as_tool_error("Data lookup failed", exc) from exc
