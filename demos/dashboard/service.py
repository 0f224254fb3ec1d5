"""The service: tasks that call its dependencies, each through a breaker of one registry."""

import ssl
from contextlib import AsyncExitStack
from itertools import cycle
from random import Random

import anyio
import httpx

from demos.dashboard.plan import Dependency
from recloser import CircuitBreaker, CircuitBreakerOpenError
from recloser.cli.demo.lane import FAULTS
from recloser.cli.demo.upstream import HOST, Upstream

__all__ = ["serve"]


class _Server(Upstream):
    """A dependency's server, which may run for days: it does not record its requests."""

    def record(self, lane: str, generation: str) -> None:
        """Record nothing."""


async def serve(dependencies: list[tuple[Dependency, CircuitBreaker]], random: Random) -> None:
    """Keep dependencies, and calls to them, going until cancelled; then all sockets are closed."""
    servers = [_Server(each.phases[0], random=random, clock=anyio.current_time) for each, _ in dependencies]
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(server.serving()) for server in servers]
        async with anyio.create_task_group() as group:
            for (dependency, breaker), server, port in zip(dependencies, servers, ports, strict=True):
                group.start_soon(_play, dependency, server)
                group.start_soon(_call, dependency, breaker, port, random)


async def _play(dependency: Dependency, server: Upstream) -> None:
    """Put a server into one phase after the other."""
    for phase in cycle(dependency.phases):
        server.phase = phase
        await anyio.sleep(phase.seconds)


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
