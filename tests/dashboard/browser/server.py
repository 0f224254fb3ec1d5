"""A dashboard in a process of its own, in which nothing happens but what a test orders.

Arguments: the port, and the settings of the first stage as JSON. Orders are JSON and come by POST; one that is answered
has been carried out.

- `/test/set_up`, with settings: a new stage, that is a new registry, a new dashboard, and a new clock.
- `/test/call`, `{"breaker", "outcome", "times", "error"}`: calls that succeed or fail, one after the other.
- `/test/hold`, `{"breaker"}`: a call that is under way until `/test/release`, `{"breaker", "outcome", "error"}`.
- `/test/advance`, `{"seconds"}`: the clock of the breakers goes forward; not that of a fleet.
- `/test/force_open`, `{"breaker", "reason"}`, and `/test/disable`, `{"breaker"}`: as programs do it.
- `/test/add`, `{"names"}`: more breakers.
- `/test/share`, `{"runs"}`: what the fleet shares is reachable, or it is not.
"""

import contextlib
import json
import sys
import time
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import uvicorn
from anyio.abc import TaskStatus
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from recloser import BreakerRegistry, CircuitBreakerOpenError, Permit, dashboard
from recloser.dashboard import _dashboard, _ring, _stream
from recloser.fleet import Fleet
from recloser.fleet.store.memory import InMemoryServer, InMemoryStore

SETTINGS: dict[str, Any] = {
    "names": [],
    "defaults": {},
    "control_token": None,
    "interval_seconds": 0.05,
    "max_streams": 64,
    "quiet_seconds": 15.0,
    "updates_kept": 100,
    "quorum": None,
}


class DependencyError(Exception):
    """What a dependency raises that is down."""


class Stage:
    """A registry, its dashboard, and what its breakers' dependencies do.

    Args:
        settings: Those of `SETTINGS` that are to be others.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        chosen = {**SETTINGS, **settings}
        _ring.MOST_UPDATES = chosen["updates_kept"]
        _stream.QUIET_SECONDS = _dashboard.QUIET_SECONDS = chosen["quiet_seconds"]
        self.ahead_seconds = 0.0
        self.store = InMemoryServer()
        self.fleet = self._fleet_of(chosen["quorum"])
        defaults = {"failure_threshold": 1, "reset_timeout_seconds": 60, **chosen["defaults"]}
        self.registry = BreakerRegistry(clock=self._now, fleet=self.fleet, **defaults)
        self.dashboard = dashboard.Dashboard(
            self.registry,
            control_token=chosen["control_token"],
            interval_seconds=chosen["interval_seconds"],
            max_streams=chosen["max_streams"],
            error_messages=True,
        )
        self.held: dict[str, Permit] = {}
        self.over = anyio.Event()
        for name in chosen["names"]:
            self.registry.breaker(name)

    def _fleet_of(self, quorum: int | None) -> Fleet | None:
        """Makes a fleet of which this process is the only worker; none without a quorum."""
        return None if quorum is None else Fleet(lambda: InMemoryStore(self.store), quorum=quorum, poll_seconds=0.2)

    def _now(self) -> float:
        return time.monotonic() + self.ahead_seconds

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Holds the stage until it is over."""
        async with contextlib.AsyncExitStack() as stack:
            if self.fleet is not None:
                await stack.enter_async_context(self.fleet)
            task_status.started()
            await self.over.wait()
            for permit in self.held.values():
                permit.ignore()

    async def call(self, breaker: str, outcome: str, times: int = 1, error: str = "down") -> None:
        for _ in range(times):
            with contextlib.suppress(DependencyError, CircuitBreakerOpenError):
                await self.registry.breaker(breaker).call(_answer, outcome, error)

    async def hold(self, breaker: str) -> None:
        self.held[breaker] = await self.registry.breaker(breaker).acquire()

    async def release(self, breaker: str, outcome: str, error: str = "down") -> None:
        permit = self.held.pop(breaker)
        if outcome == "success":
            permit.succeed()
        else:
            permit.fail(DependencyError(error))

    async def advance(self, seconds: float) -> None:
        self.ahead_seconds += seconds

    async def force_open(self, breaker: str, reason: str) -> None:
        self.registry.breaker(breaker).force_open(reason)

    async def disable(self, breaker: str) -> None:
        self.registry.breaker(breaker).disable()

    async def add(self, names: list[str]) -> None:
        for name in names:
            self.registry.breaker(name)

    async def share(self, *, runs: bool) -> None:
        if runs:
            self.store.start()
        else:
            self.store.stop()


async def _answer(outcome: str, error: str) -> None:
    if outcome != "success":
        raise DependencyError(error)


class Theatre:
    """Has one stage at a time, and passes on to it what comes in."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings

    @contextlib.asynccontextmanager
    async def open(self, _: Starlette) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            self._stage = Stage(self._settings)
            await tasks.start(self._stage.run)
            yield
            self._stage.over.set()

    async def order(self, request: Request) -> Response:
        """Carries out an order."""
        name, given = request.path_params["name"], await request.json()
        if name == "set_up":
            self._stage.over.set()
            self._stage = Stage(given)
            await self._tasks.start(self._stage.run)
        else:
            await getattr(self._stage, name)(**given)
        return Response(status_code=204)

    async def show(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the dashboard of the stage of now."""
        await self._stage.dashboard(scope, receive, send)


if __name__ == "__main__":
    theatre = Theatre(json.loads(sys.argv[2]))
    routes = [Route("/test/{name}", theatre.order, methods=["POST"]), Mount("/breakers", app=theatre.show)]
    app = Starlette(routes=routes, lifespan=theatre.open)
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
