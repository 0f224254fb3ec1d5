"""The ASGI application: finds the endpoint of a path, wherever the application is mounted."""

from http import HTTPStatus
from urllib.parse import quote

from recloser.dashboard._http import HttpEndpoint, Receive, Response, Scope, Send, problem


class Application:
    """An ASGI application.

    Args:
        endpoints: By path, relative to the mount path, without a slash at either end.
    """

    def __init__(self, endpoints: dict[str, HttpEndpoint]) -> None:
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection: respond to requests, refuse WebSockets, and confirm the events of the lifespan."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": "There are no WebSockets here"})
        elif scope["type"] == "lifespan":
            await _live(receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path_within(scope)
        endpoint = self._endpoints.get(path.strip("/"))
        if endpoint is None:
            detail = "There is no such page. The dashboard is at / of the path that it is mounted at."
            await problem(HTTPStatus.NOT_FOUND, detail)(scope, send)
        elif scope["method"] not in endpoint.methods:
            allowed = ", ".join(endpoint.methods)
            detail = f"Use {allowed} here."
            await problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, {"allow": allowed})(scope, send)
        elif not path:
            await _redirect(scope)(scope, send)
        else:
            await endpoint(scope, receive, send)


def _path_within(scope: Scope) -> str:
    """Return the path relative to the mount path; empty if the slash after the mount path is missing.

    Frameworks differ in whether `path` includes the mount path (Litestar removes it) and in how they treat slashes at
    the end, so the raw path decides whether there was one.
    """
    path: str = scope["path"]
    prefix: str = scope.get("root_path", "").rstrip("/")
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        path = path[len(prefix) :]
    if path == "/" and not (_raw_path(scope) or "/").endswith("/"):
        return ""
    return path


def _raw_path(scope: Scope) -> str:
    """Return the path as it was sent, still quoted, if the server provides it."""
    raw: bytes = scope.get("raw_path") or b""
    return raw.partition(b"?")[0].decode("latin-1")


def _redirect(scope: Scope) -> Response:
    """Return a redirect to the same path with a slash; its URL is relative, so that it holds behind any proxy."""
    path = _raw_path(scope) or quote(scope["path"])
    query = scope.get("query_string", b"").decode("latin-1")
    target = f"./{path.rpartition('/')[2]}/" + (f"?{query}" if query else "")
    return Response(HTTPStatus.PERMANENT_REDIRECT, b"", {"location": target, "cache-control": "no-cache"})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind: str = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
