"""Runs an experiment: the upstream, the callers and the view in one task group, which ends with the script."""

import ssl
from textwrap import shorten

import anyio
import httpx

from recloser import Event, StateChanged
from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.lane import Lane
from recloser.cli.demo.load import drive
from recloser.cli.demo.upstream import HOST
from recloser.cli.demo.view import View

__all__ = ["play"]

_CAUSE_LENGTH = 110


async def play(experiment: Experiment, view: View, *, port: int = 0) -> None:
    """Run the whole script.

    If it is cancelled, it returns after all tasks have ended and all sockets are closed.

    Args:
        experiment: Collects what happens.
        view: Shows what happens.
        port: The upstream's TCP port; 0 means any free port.

    Raises:
        PortError: The port is taken or not allowed.
    """

    def tell(event: Event) -> None:
        if isinstance(event, StateChanged):
            cause = shorten(str(event.cause), _CAUSE_LENGTH, placeholder="...")
            view.note(f"breaker: {event.old} -> {event.new}: {cause}")

    async with experiment.upstream.serving(port) as bound, anyio.create_task_group() as background:
        background.start_soon(_follow, view)
        view.note(f"upstream: listening on http://{HOST}:{bound}")
        experiment.breaker.subscribe(tell)
        await _perform(experiment, view, f"http://{HOST}:{bound}")
        background.cancel_scope.cancel()


async def _perform(experiment: Experiment, view: View, url: str) -> None:
    """Play the phases under load, then let running calls end."""
    stop = anyio.Event()

    async def crowd(lane: Lane) -> None:
        async with _client(experiment, url) as client:
            await drive(lane, client, experiment.plan, experiment.random, stop)

    async with anyio.create_task_group() as callers:
        callers.start_soon(crowd, experiment.protected)
        callers.start_soon(crowd, experiment.bare)
        for phase in experiment.plan.phases:
            experiment.enter(phase)
            view.note(f"upstream: {phase.name}")
            await anyio.sleep(phase.seconds)
        stop.set()


def _client(experiment: Experiment, url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=url,
        timeout=experiment.plan.timeout_seconds,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=experiment.plan.callers),
        # For plain HTTP on loopback, an empty context avoids loading the CA bundle, which would block the event loop.
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        trust_env=False,
    )


async def _follow(view: View) -> None:
    while True:
        view.refresh()
        await anyio.sleep(view.refresh_seconds)
