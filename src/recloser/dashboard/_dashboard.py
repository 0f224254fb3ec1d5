"""The ASGI application: makes its endpoints, and finds the one of a path, wherever the application is mounted."""

from http import HTTPStatus
from urllib.parse import quote

from recloser import BreakerRegistry
from recloser.dashboard._control import ControlEndpoint, checked_token
from recloser.dashboard._feed import READ_PER_ROUND, UpdateFeed
from recloser.dashboard._http import HttpEndpoint, Receive, Response, Scope, Send, problem
from recloser.dashboard._static import PAGE, static_files
from recloser.dashboard._status import StatusEndpoint
from recloser.dashboard._stream import QUIET_SECONDS, EventsEndpoint
from recloser.lowlevel import checks

VERSION = 2


class Dashboard:
    """An ASGI application that shows a registry's breakers.

    Mounted at any path, it serves a page at `/`, the state as JSON at `/status.json`, and changes at `/events`. It has
    no login: mount it where only people who may see names and reasons can reach it. Of an error they see the type, the
    HTTP status and the peer. Clients together cost some milliseconds per interval, however many there are; a slow
    client misses updates and receives the whole state again.

    Args:
        registry: The registry with the breakers.
        control_token: Allows its holder to force breakers open, to disable and to reset them; at least 16 visible
            ASCII characters. None: nobody can, and there is no endpoint for it. A request for `/status.json` with the
            token gets the whole texts of errors.
        interval_seconds: The shortest time between two updates (finite, > 0).
        max_streams: How many clients may listen to `/events` at once, >= 1; further ones get a 503.
        service: The name of the service, for the head and the title of the page; None: there is none.
        error_messages: Whether everybody sees the whole texts of errors, as `registry.health()` has them.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        registry: BreakerRegistry,
        *,
        control_token: str | None = None,
        interval_seconds: float = 1.0,
        max_streams: int = 64,
        service: str | None = None,
        error_messages: bool = False,
    ) -> None:
        if not isinstance(registry, BreakerRegistry):
            raise TypeError(f"registry must be a BreakerRegistry, not {registry!r}")
        checks.count("max_streams", max_streams)
        control = None if control_token is None else ControlEndpoint(registry, checked_token(control_token))
        checks.flag("error_messages", error_messages)
        if not isinstance(service, str | None):
            raise TypeError(f"service must be a text or None, not of type {type(service).__name__}")
        seconds = checks.seconds("interval_seconds", interval_seconds)
        feed = UpdateFeed(registry, seconds, error_messages=error_messages)
        about = {
            "version": VERSION,
            "control": control is not None,
            "interval_seconds": feed.interval_seconds,
            "quiet_seconds": QUIET_SECONDS,
            "breakers_per_update": READ_PER_ROUND,
            "run": feed.run,
            "service": service,
        }
        files = static_files()
        self._endpoints: dict[str, HttpEndpoint] = {
            **{f"static/{path}": file for path, file in files.items() if path != PAGE},
            "": files[PAGE],
            "status.json": StatusEndpoint(
                feed, about, lambda scope: error_messages or (control is not None and control.has_token(scope))
            ),
            "events": EventsEndpoint(feed, about, max_streams),
        }
        if control is not None:
            self._endpoints["control"] = control

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
