"""The service: tasks that call its dependencies, each through a breaker of one registry."""

import ssl
from itertools import cycle
from random import Random

import anyio
import httpx
from anyio.abc import SocketStream
from anyio.streams.stapled import MultiListener

from demos.dashboard.plan import Dependency
from recloser import CircuitBreaker, CircuitBreakerOpenError
from recloser.cli.demo.lane import FAULTS
from recloser.cli.demo.upstream import HOST, Upstream, bind

__all__ = ["serve"]


class _Server(Upstream):
    """A dependency's server, which may run for days: it does not record its requests."""

    def record(self, lane: str, generation: str) -> None:
        """Record nothing."""


async def serve(dependencies: list[tuple[Dependency, CircuitBreaker]], random: Random) -> None:
    """Keep dependencies, and calls to them, going until cancelled; then all sockets are closed."""
    async with anyio.create_task_group() as group:
        for dependency, breaker in dependencies:
            listener, port = await bind(0)
            group.start_soon(_run_server, dependency, listener, random)
            group.start_soon(_call, dependency, breaker, port, random)


async def _run_server(dependency: Dependency, listener: MultiListener[SocketStream], random: Random) -> None:
    server = _Server(dependency.phases[0], random=random, clock=anyio.current_time)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(server.serve, listener)
        phases = cycle(dependency.phases)
        while True:
            server.phase = next(phases)
            await anyio.sleep(server.phase.seconds)


async def _call(dependency: Dependency, breaker: CircuitBreaker, port: int, random: Random) -> None:
    """Keep all callers of a dependency busy."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=dependency.callers)
    verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # plain HTTP on loopback needs no certificates to be loaded

    async with httpx.AsyncClient(
        base_url=f"http://{HOST}:{port}",
        timeout=dependency.timeout_seconds,
        limits=limits,
        verify=verify,
        trust_env=False,
    ) as client:

        async def fetch() -> None:
            response = await client.get(f"/{dependency.name}/1")
            if response.is_error:
                message = f"{response.status_code} {response.reason_phrase}"
                raise httpx.HTTPStatusError(message, request=response.request, response=response)

        async def caller() -> None:
            while True:
                await anyio.sleep(random.uniform(0, 2 * dependency.pause_seconds))
                try:
                    await breaker.call(fetch)
                except (CircuitBreakerOpenError, *FAULTS):
                    continue

        async with anyio.create_task_group() as group:
            for _ in range(dependency.callers):
                group.start_soon(caller)
