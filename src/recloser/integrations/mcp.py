"""Circuit breakers in MCP servers: rejections that the model can read, and a health resource.

For the servers of the MCP Python SDK, `MCPServer` of mcp 2 and `FastMCP` of mcp 1.30, and for `FastMCP` of fastmcp.

The SDKs treat an exception of a tool differently. mcp 2 hides its message from the client and logs it with a traceback;
mcp 1 and fastmcp pass the message on, with any internal name in it. All of them pass on the message of their own
`ToolError`, without a traceback. Therefore the breaker belongs inside the tool, where it sees the errors of the
dependency, and `explain_rejections` between the two.
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

from recloser import BreakerRegistry, StateChanged
from recloser.integrations._rejections import rejection_in, retry_after
from recloser.lowlevel import checks, hide_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from mcp.server.subscriptions import ServerEvent, SubscriptionBus

    from recloser import Event
    from recloser.registry import RegistryHealth

__all__ = ["HEALTH_URI", "add_health_resource", "explain_rejections"]

P = ParamSpec("P")
R = TypeVar("R")

HEALTH_URI = "health://circuit-breakers"

_UNAVAILABLE = "The service behind this tool is temporarily unavailable."
# In order of preference if none is loaded yet; mcp has one of its two.
_TOOL_ERROR_MODULES = ("fastmcp.exceptions", "mcp.server.mcpserver.exceptions", "mcp.server.fastmcp.exceptions")


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
    """Decorate a tool so that the model reads why a call was rejected, and when to retry.

    A rejection, an exception that a client has raised from one, or an exception group of such exceptions only becomes a
    `ToolError` of the SDK, with the exception as its cause: `The service behind this tool is temporarily unavailable.
    Retry in 42 s.` The message names no breaker, because names can be internal addresses. If a group contains other
    exceptions too, those are raised. Other exceptions, a `ToolError` of the tool's own and cancellations pass through.
    The decorator belongs above the breaker and below that of the server. It keeps the signature of the function, from
    which the SDK derives the schema of the tool.

        @server.tool()
        @explain_rejections
        @payments
        async def charge(amount: int) -> str: ...

    Args:
        fn: A coroutine function.
        message: Replaces the first sentence. If no time is known, the default is followed by `Try again later.`, and a
            message of your own by nothing.

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
            except Exception as exc:
                if isinstance(exc, tuple(_tool_error_types())):  # the tool has worded it itself
                    raise
                raise _tool_error(message, retry_after(rejection_in(exc))) from exc

        return explained

    return decorate if fn is None else decorate(fn)


def add_health_resource(
    server: Any,  # noqa: ANN401 - of any of the three SDKs
    registry: BreakerRegistry,
    *,
    error_messages: bool = False,
) -> None:
    """Register the resource `health://circuit-breakers`, which returns `registry.health()` as JSON.

    With mcp 2, clients can subscribe to state changes by `subscriptions/listen` (protocol of 2026-07-28); the breakers
    must then run in the event loop of the server. recloser subscribes to the registry only while a client is
    subscribed. mcp 1 and fastmcp do not support subscriptions.

    Clients that read the resource see the names of the breakers and, of the last error of each, the type, the HTTP
    status and the peer: a model reads this, and what it reads may go anywhere.

    Args:
        server: `MCPServer` of mcp 2, `FastMCP` of mcp 1, or `FastMCP` of fastmcp.
        registry: The registry of the breakers.
        error_messages: Whether clients see the whole text of each last error, as `registry.health()` has it.

    Raises:
        TypeError: An argument is of the wrong type.
    """
    checks.flag("error_messages", error_messages)
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
    async def circuit_breakers() -> str:  # some SDKs run synchronous functions in a worker thread
        return json.dumps(registry.health() if error_messages else _public_health(registry))

    _publish_changes(server, registry)


def _public_health(registry: BreakerRegistry) -> RegistryHealth:
    """Return the health of a registry without the messages of errors."""
    health = registry.health()
    for entry in health["breakers"].values():
        hide_messages(entry)
    return health


def _publish_changes(server: Any, registry: BreakerRegistry) -> None:  # noqa: ANN401 - as above
    """Add state changes to the events that the server's handler of `subscriptions/listen`, if any, sends to clients.

    The server publishes its events on a private bus, asynchronously. The listener of a breaker is synchronous and
    cannot publish there, so the stream of each client is subscribed to the registry too.
    """
    method = "subscriptions/listen"
    bus, low_level = getattr(server, "_subscriptions", None), getattr(server, "_lowlevel_server", None)
    if bus is None or low_level is None or (entry := low_level.get_request_handler(method)) is None:
        return
    from mcp.server.subscriptions import ListenHandler  # noqa: PLC0415 - mcp 2 only

    low_level.add_request_handler(method, entry.params_type, ListenHandler(_HealthBus(bus, registry)))


class _HealthBus:
    """The bus of a server, with the state changes of a registry added."""

    def __init__(self, bus: SubscriptionBus, registry: BreakerRegistry) -> None:
        self._bus = bus
        self._registry = registry
        self.publish = bus.publish

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Subscribe to both, and return a function that unsubscribes from both."""
        from mcp.server.subscriptions import ResourceUpdated  # noqa: PLC0415 - mcp 2 only

        def forward(event: Event) -> None:
            if isinstance(event, StateChanged):
                listener(ResourceUpdated(HEALTH_URI))

        unsubscribe_bus, unsubscribe_registry = self._bus.subscribe(listener), self._registry.subscribe(forward)

        def unsubscribe() -> None:
            unsubscribe_registry()  # first, because a user's own bus may raise
            unsubscribe_bus()

        return unsubscribe


def _tool_error(message: str, seconds: int | None) -> Any:  # noqa: ANN401 - a type made at run time
    when = f" Retry in {seconds} s." if seconds is not None else " Try again later." if message == _UNAVAILABLE else ""
    error: Any = _type_of_all(tuple(_tool_error_types()))(f"{message}{when}")
    error.log_level = logging.INFO  # for fastmcp; mcp 2 logs a ToolError at INFO
    return error


def _tool_error_types() -> list[type[Exception]]:
    """Return the `ToolError` of each SDK that is loaded; if none is, of one that is installed."""
    modules = [sys.modules[name] for name in _TOOL_ERROR_MODULES if name in sys.modules]
    for name in _TOOL_ERROR_MODULES:
        with suppress(ImportError):
            modules = modules or [importlib.import_module(name)]
    return [module.ToolError for module in modules]


@cache
def _type_of_all(types: tuple[type[Exception], ...]) -> type[Exception]:
    """Return a type that each SDK accepts as its own `ToolError`."""
    return types[0] if len(types) == 1 else type("ToolError", types, {})
