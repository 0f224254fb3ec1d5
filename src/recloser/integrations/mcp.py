"""Breakers in MCP servers: rejections that the model can read, and a health resource.

For the servers of the MCP Python SDK, `MCPServer` of mcp 2 and `FastMCP` of mcp 1.30, and for `FastMCP` of fastmcp.

The SDKs differ in what becomes of an exception that a tool raises. mcp 2 hides its text from the client and logs it
with a traceback; mcp 1 and fastmcp pass the text on, with whatever internal name it holds. All pass on the text of
their own `ToolError`, without a traceback. So the breaker stands inside of the tool, where it sees the dependency's own
errors, and `explain_rejections` between the two.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import sys
from contextlib import suppress
from functools import cache, wraps
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from recloser import BreakerRegistry, RejectedError, StateChanged
from recloser.integrations._rejections import rejection_in, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from mcp.server.subscriptions import ServerEvent, SubscriptionBus

    from recloser import Event

__all__ = ["HEALTH_URI", "add_health_resource", "explain_rejections"]

P = ParamSpec("P")
R = TypeVar("R")

HEALTH_URI = "health://circuit-breakers"

_UNAVAILABLE = "The service behind this tool is temporarily unavailable."
# In the order of preference where none is loaded yet; mcp has one of its two.
_HOMES_OF_TOOL_ERROR = ("fastmcp.exceptions", "mcp.server.mcpserver.exceptions", "mcp.server.fastmcp.exceptions")


@overload
def explain_rejections(
    fn: Callable[P, Coroutine[Any, Any, R]], /, *, message: str = ...
) -> Callable[P, Coroutine[Any, Any, R]]: ...
@overload
def explain_rejections(
    *, message: str = ...
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]: ...
def explain_rejections(
    fn: Callable[P, Coroutine[Any, Any, R]] | None = None,
    /,
    *,
    message: str = _UNAVAILABLE,
) -> Any:
    """Decorate a tool so that the model reads why a call was rejected, and when to come back.

    A rejection, or an exception group of nothing but rejections, becomes a `ToolError` of the SDK, with the rejection
    as its cause: `The service behind this tool is temporarily unavailable. Retry in 42 s.` The text names no breaker,
    since names can be internal addresses. Of a group that holds something else as well, that is raised again; other
    exceptions and cancellations pass. It belongs above the breaker and below the server's decorator, and keeps the
    function's signature, from which the SDK makes the tool's schema.

        @server.tool()
        @explain_rejections
        @payments
        async def charge(amount: int) -> str: ...

    Args:
        fn: A coroutine function.
        message: What it says in place of the first sentence. Where no time is known it stands alone, and the default is
            followed by `Try again later.`

    Raises:
        ImportError: Neither mcp nor fastmcp is installed.
        TypeError: An argument is of the wrong type.
    """
    if find_spec("mcp") is None and find_spec("fastmcp") is None:
        raise ImportError("an MCP SDK is needed: pip install 'recloser[mcp]' or pip install 'recloser[fastmcp]'")
    if not isinstance(message, str):
        raise TypeError(f"message must be a string, not {message!r}")

    def decorate(tool: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        if not inspect.iscoroutinefunction(tool):
            raise TypeError(f"explain_rejections decorates coroutine functions, not {tool!r}")

        @wraps(tool)
        async def explained(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return await tool(*args, **kwargs)
            except (RejectedError, ExceptionGroup) as exc:
                raise _tool_error(message, retry_after(rejection_in(exc))) from exc

        return explained

    return decorate if fn is None else decorate(fn)


def add_health_resource(server: Any, registry: BreakerRegistry) -> None:  # noqa: ANN401 - of any of the three SDKs
    """Register the resource `health://circuit-breakers`: what `registry.health()` says at the time, as JSON.

    With mcp 2, state changes are told to the clients that listen to it by `subscriptions/listen` (protocol of
    2026-07-28); the breakers then live in the event loop of the server. The registry is listened to only while a client
    is. mcp 1 and fastmcp offer their clients no subscriptions.

    Whoever may read the resource sees the breakers' names and the text of the last error of each.

    Args:
        server: `MCPServer` of mcp 2, `FastMCP` of mcp 1, or `FastMCP` of fastmcp.
        registry: The breakers to tell of.

    Raises:
        TypeError: An argument is of the wrong type.
    """
    if not callable(getattr(server, "resource", None)):
        raise TypeError(f"server must be an MCPServer of mcp 2, or a FastMCP of mcp 1 or fastmcp, not {server!r}")
    if not isinstance(registry, BreakerRegistry):
        raise TypeError(f"registry must be a BreakerRegistry, not {registry!r}")

    @server.resource(  # type: ignore[untyped-decorator]  # of any of the three SDKs
        HEALTH_URI,
        name="circuit-breakers",
        description="State and counts of every circuit breaker of this server.",
        mime_type="application/json",
    )
    async def circuit_breakers() -> str:  # some SDKs run other functions in a worker thread
        return json.dumps(registry.health())

    _tell_subscribers(server, registry)


def _tell_subscribers(server: Any, registry: BreakerRegistry) -> None:  # noqa: ANN401 - as above
    """Let the handler of `subscriptions/listen`, where a server has one, hear of state changes too.

    The server publishes events on a bus that it was made with and keeps to itself, and publishing is asynchronous. A
    breaker's listener is not. So it is no publisher: each client's stream is subscribed to the registry as well.
    """
    method = "subscriptions/listen"
    bus, low_level = getattr(server, "_subscriptions", None), getattr(server, "_lowlevel_server", None)
    if bus is None or low_level is None or (entry := low_level.get_request_handler(method)) is None:
        return
    from mcp.server.subscriptions import ListenHandler  # noqa: PLC0415 - only mcp 2 has it

    low_level.add_request_handler(method, entry.params_type, ListenHandler(_HealthBus(bus, registry)))


class _HealthBus:
    """The bus of a server, with the state changes of a registry on top."""

    def __init__(self, bus: SubscriptionBus, registry: BreakerRegistry) -> None:
        self._bus = bus
        self._registry = registry
        self.publish = bus.publish

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Subscribe to both; return what ends it."""
        from mcp.server.subscriptions import ResourceUpdated  # noqa: PLC0415 - only mcp 2 has it

        def tell(event: Event) -> None:
            if isinstance(event, StateChanged):
                listener(ResourceUpdated(HEALTH_URI))

        leave_bus, leave_registry = self._bus.subscribe(listener), self._registry.subscribe(tell)

        def unsubscribe() -> None:
            leave_registry()  # first: a bus of the user's own may raise
            leave_bus()

        return unsubscribe


def _tool_error(message: str, seconds: int | None) -> Any:  # noqa: ANN401 - a type made at run time
    when = f" Retry in {seconds} s." if seconds is not None else " Try again later." if message == _UNAVAILABLE else ""
    error: Any = _type_of_all(tuple(_tool_error_types()))(f"{message}{when}")
    error.log_level = logging.INFO  # fastmcp logs a ToolError at this level, mcp 2 at INFO
    return error


def _tool_error_types() -> list[type[Exception]]:
    """Return the `ToolError` of each SDK that is loaded; in a process without a server, of one that is installed."""
    homes = [sys.modules[name] for name in _HOMES_OF_TOOL_ERROR if name in sys.modules]
    for name in _HOMES_OF_TOOL_ERROR:
        with suppress(ImportError):
            homes = homes or [importlib.import_module(name)]
    return [home.ToolError for home in homes]


@cache
def _type_of_all(types: tuple[type[Exception], ...]) -> type[Exception]:
    """Return the type that every one of the SDKs takes for its own `ToolError`."""
    return types[0] if len(types) == 1 else type("ToolError", types, {})
