"""The client's side: it calls tools and reads health."""

import json
from typing import Any, cast

from mcp import Client

from demos.mcp.facts import BreakerHealth, Health
from recloser.integrations.mcp import HEALTH_URI

__all__ = ["call_tool", "read_health"]


async def call_tool(client: Client, tool: str, arguments: dict[str, object]) -> tuple[bool, str]:
    """Call a tool.

    Returns:
        Whether it is an error, and the answer as JSON or the text of the error.
    """
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        text = "".join(getattr(part, "text", "") for part in result.content)
        return True, text.removeprefix(f"Error executing tool {tool}: ")
    content = cast("dict[str, Any]", result.structured_content or {})
    return False, json.dumps(content.get("result", content))


async def read_health(client: Client) -> Health:
    """Read the current health of the server's breakers."""
    read = await client.read_resource(HEALTH_URI, cache_mode="bypass")
    health = json.loads(getattr(read.contents[0], "text", ""))
    return {
        name: BreakerHealth(
            state=breaker["state"],
            retry_after=breaker["retry_after"],
            probes=breaker["probe_total"],
            admitted=breaker["success_total"] + breaker["failure_total"],
        )
        for name, breaker in health["breakers"].items()
    }
