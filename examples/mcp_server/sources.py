"""The fallbacks: where data normally comes from, and what replaces it during an outage."""

from typing import Any
from urllib.parse import quote

import httpx
from mcp.server.mcpserver.exceptions import ToolError

from recloser import Fallback, LastKnownGood

from .breakers import Breakers, is_service_down
from .database import Database

Data = dict[str, Any]

CACHE = "cache"
ONE_HOUR = 3600.0


class Sources:
    """The sources that the tools use, each behind its breaker.

    A fallback moves on when a breaker rejects the call. `data` has a second source, so it also moves on when the first
    one fails.

    Args:
        breakers: The breakers.
        client: The client of the HTTP services.
        database: The database.
    """

    def __init__(self, breakers: Breakers, client: httpx.AsyncClient, database: Database) -> None:
        self._client = client
        self.call_api = breakers.external_api(self._call_api)
        self.rows = Fallback(_cache(), name="rows")(database.read)
        self.user = Fallback(_cache(), _unavailable, name="user")(breakers.users(self._user))
        primary, secondary = breakers.primary(self._primary), breakers.secondary(self._secondary)
        self.data = Fallback(secondary, _cache(), on=is_service_down, name="data")(primary)

    async def _get(self, path: str, params: Data | None = None) -> Any:  # noqa: ANN401 - whatever JSON holds
        response = await self._client.get(path, params=params)
        response.raise_for_status()
        return response.json()

    async def _call_api(self, endpoint: str, params: Data) -> Any:  # noqa: ANN401 - as above
        return await self._get(f"/api/{quote(endpoint.strip('/'))}", params)

    async def _user(self, user_id: str) -> Any:  # noqa: ANN401 - as above
        return await self._get(f"/users/{quote(user_id, safe='')}")

    async def _primary(self, data_id: str) -> Any:  # noqa: ANN401 - as above
        return await self._get(f"/primary/{quote(data_id, safe='')}")

    async def _secondary(self, data_id: str) -> Any:  # noqa: ANN401 - as above
        return await self._get(f"/secondary/{quote(data_id, safe='')}")


def _cache() -> LastKnownGood:
    return LastKnownGood(ttl_seconds=ONE_HOUR, max_entries=1000, name=CACHE)


def _unavailable(user_id: str) -> Data:
    return {"id": user_id, "status": "unavailable", "message": "User data temporarily unavailable"}


def as_tool_error(doing: str, exc: Exception) -> ToolError:
    """Return an error for the model: what was tried and what went wrong, without addresses of our network."""
    if isinstance(exc, httpx.HTTPStatusError):
        return ToolError(f"{doing}: {exc.response.status_code} {exc.response.reason_phrase}")
    return ToolError(f"{doing}: {str(exc) or type(exc).__name__}")
