"""One face for the clients of the MCP SDKs, so that one test serves all."""

from typing import NamedTuple


class Answer(NamedTuple):
    text: str
    is_error: bool


class Session:
    """What the tests ask of a client, of mcp 2, mcp 1 and fastmcp alike."""

    def __init__(self, client: object, **options: object) -> None:
        self.client = client
        self._options = options

    async def call(self, tool: str, **arguments: object) -> Answer:
        result = await self.client.call_tool(tool, arguments, **self._options)
        return Answer(result.content[0].text, either(result, "is_error", "isError"))

    async def read(self, uri: str) -> tuple[str, str]:
        """Reads a resource: its media type and its text."""
        found = await self.client.read_resource(uri)
        content = found[0] if isinstance(found, list) else found.contents[0]
        return either(content, "mime_type", "mimeType"), content.text

    async def schema(self, tool: str) -> dict[str, object]:
        """Returns the schema of a tool's arguments."""
        listed = await self.client.list_tools()
        tools = {found.name: found for found in (listed if isinstance(listed, list) else listed.tools)}
        return either(tools[tool], "input_schema", "inputSchema")


def either(result: object, name: str, old_name: str) -> object:
    return getattr(result, name) if hasattr(result, name) else getattr(result, old_name)
