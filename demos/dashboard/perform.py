"""The service and its dashboard, from start to Ctrl-C."""

import logging
import math
import os
import secrets
import socket
from functools import partial
from random import Random

import anyio
import anyio.to_thread
import click
import uvicorn
from anyio.streams.memory import MemoryObjectReceiveStream

from demos.dashboard.plan import dependencies
from demos.dashboard.service import serve
from recloser import BreakerRegistry, StateChanged
from recloser.cli.client.formatting import printable
from recloser.cli.demo.upstream import HOST, PortError
from recloser.cli.endings import unwrapped
from recloser.dashboard import Dashboard

__all__ = ["perform"]

_INTERVAL_SECONDS = 1.0
_FAST_INTERVAL_SECONDS = 0.2


def perform(*, port: int, fast: bool, control: bool, seed: int) -> None:
    """Serve the dashboard until Ctrl-C.

    Args:
        port: The dashboard's TCP port, 0 for any that is free.
        fast: Let outages come and go within seconds.
        control: Let clients that send a token, which is printed, act on the breakers.
        seed: Seeds what is random in the service.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C; all tasks have ended and all sockets are closed.
        BrokenPipeError: The reader of the output is gone.
        PortError: The port is taken or not allowed.
    """
    # The demo prints transitions itself; the log would repeat them.
    logging.getLogger("recloser").addHandler(logging.NullHandler())
    registry = BreakerRegistry()
    token = secrets.token_urlsafe(18) if control else None
    interval = _FAST_INTERVAL_SECONDS if fast else _INTERVAL_SECONDS
    config = uvicorn.Config(
        Dashboard(registry, control_token=token, interval_seconds=interval),
        lifespan="off",
        ws="none",
        log_level="critical",
        timeout_graceful_shutdown=0,  # streams of events never end by themselves
    )
    with _bound(port) as listener:
        url = f"http://{HOST}:{listener.getsockname()[1]}/"
        click.echo(f"The dashboard is at {url}\nIn a terminal: recloser top {url}")
        if token is not None:
            click.echo(f"The control token is {token}")
        click.echo("Ctrl-C ends it.\n")
        with unwrapped():
            anyio.run(partial(_run, config, listener, registry, fast=fast, seed=seed))


def _bound(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise PortError(f"port {port} on {HOST} cannot be used: {os.strerror(error.errno or 0)}") from error


async def _run(
    config: uvicorn.Config, listener: socket.socket, registry: BreakerRegistry, *, fast: bool, seed: int
) -> None:
    lines, received = anyio.create_memory_object_stream[str](math.inf)
    registry.subscribe(lambda event: lines.send_nowait(_line(event)), kinds=StateChanged)
    guarded = [
        (each, each.protect(registry, each.name, each.reset_timeout_seconds)) for each in dependencies(fast=fast)
    ]
    async with anyio.create_task_group() as group, lines, received:
        group.start_soon(_print, received)
        group.start_soon(serve, guarded, Random(seed))
        await uvicorn.Server(config).serve(sockets=[listener])
        group.cancel_scope.cancel()


async def _print(lines: MemoryObjectReceiveStream[str]) -> None:
    """Print lines: in a task, since a listener's errors are only logged, and in a thread, since a pipe may be full."""
    async for line in lines:
        await anyio.to_thread.run_sync(click.echo, line, abandon_on_cancel=True)


def _line(event: StateChanged) -> str:
    at = event.at.astimezone().strftime("%H:%M:%S")
    return printable(f"{at}  {event.breaker}: {event.old} -> {event.new}: {event.cause}")
