"""What the tests of the example server share: asking it, over stdio."""

import json
from pathlib import Path
from typing import Any

from tests.integrations.mcp_session import Session

ROOT = Path(__file__).parents[2]


async def ask(session: Session, tool: str, **arguments: object) -> Any:  # noqa: ANN401 - whatever a tool answers
    """Calls a tool: its answer, or the text of its error."""
    result = await session.client.call_tool(tool, arguments)
    text = "".join(part.text for part in result.content)
    if result.is_error:
        return text.removeprefix(f"Error executing tool {tool}: ")
    return (result.structured_content or {}).get("result", result.structured_content) or json.loads(text)


async def states(session: Session) -> dict[str, str]:
    _, text = await session.read("health://circuit-breakers")
    return {name: health["state"] for name, health in json.loads(text)["breakers"].items()}
