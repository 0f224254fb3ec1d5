"""A fleet of very many workers in one process, on virtual time: how fast it agrees, and how much it asks the store.

`python -m tests.fleet.simulation 1000 10` prints the figures of 1 000 workers with 10 breakers each.
"""

import logging
import random
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import anyio
import trio.testing

from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError
from recloser.fleet import Fleet
from recloser.fleet.store.memory import InMemoryServer, InMemoryStore

ROUND_TRIP_SECONDS = 0.001
OPEN_SECONDS = 5.0
THRESHOLD = 3
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 10.0
STEP_SECONDS = 0.001


@dataclass
class Figures:
    """The measured figures, in seconds of virtual time."""

    workers: int
    breakers: int
    opened_within: float = 0.0
    closed_within: float = 0.0
    probes: list[int] = field(default_factory=list)
    operations_per_second_idle: float = 0.0
    operations_of_an_outage: int = 0
    bytes_per_breaker: float = 0.0
    stored_bytes: int = 0

    def __str__(self) -> str:
        return "\n".join(
            (
                f"{self.workers} workers with {self.breakers} breakers each:",
                f"from the evidence of a quorum to all breakers open: {self.opened_within * 1000:.0f} ms",
                f"from the end of the probe to all breakers closed: {self.closed_within * 1000:.0f} ms",
                f"probes per breaker in the whole fleet: {min(self.probes)} to {max(self.probes)}",
                f"operations at the store per second while nothing happens: {self.operations_per_second_idle:.0f}",
                f"operations of the outage: {self.operations_of_an_outage}",
                f"memory of a breaker with its place in the fleet: {self.bytes_per_breaker:.0f} bytes",
                f"stored while open: {self.stored_bytes} bytes",
            )
        )


class Simulation:
    """The workers, what they call, and what is measured."""

    def __init__(self, workers: int, breakers: int) -> None:
        self.figures = Figures(workers, breakers)
        self.server = InMemoryServer(clock=trio.current_time)
        self.names = [f"dependency-{number}" for number in range(breakers)]
        self.fleets: list[Fleet] = []
        self.registries: list[BreakerRegistry] = []
        self.is_down = False
        self.running = dict.fromkeys(self.names, 0)
        self.reached = dict.fromkeys(self.names, 0)
        self.most_at_once = 0
        tracemalloc.start()
        try:
            for number in range(workers):
                self._add(number)
            self.figures.bytes_per_breaker = tracemalloc.get_traced_memory()[0] / (workers * breakers)
        finally:
            tracemalloc.stop()

    def _add(self, number: int) -> None:
        def make_store() -> InMemoryStore:
            store = InMemoryStore(self.server)
            store.delay_seconds = ROUND_TRIP_SECONDS
            return store

        fleet = Fleet(make_store, poll_seconds=POLL_SECONDS, random=random.Random(number))
        registry = BreakerRegistry(
            fleet=fleet, clock=trio.current_time, failure_threshold=THRESHOLD, reset_timeout_seconds=OPEN_SECONDS
        )
        for name in self.names:
            registry.breaker(name)
        self.fleets.append(fleet)
        self.registries.append(registry)

    async def run(self) -> Figures:
        async with AsyncExitStack() as stack:
            for fleet in self.fleets:
                await stack.enter_async_context(fleet)
            await self._idle()
            await self._outage()
            await self._recovery()
        return self.figures

    async def _idle(self) -> None:
        before = self._operations()
        await anyio.sleep(5 * POLL_SECONDS)
        self.figures.operations_per_second_idle = (self._operations() - before) / (5 * POLL_SECONDS)

    async def _outage(self) -> None:
        """Two workers see the outage of every dependency; the store tells all others."""
        self.is_down = True
        before = self._operations()
        for name in self.names:
            for registry in self.registries[:2]:
                for _ in range(THRESHOLD):
                    await self._call(registry, name)
        self.figures.opened_within = await self._until(lambda breaker: breaker.get_state() == "open")
        self.figures.operations_of_an_outage = self._operations() - before
        self.figures.stored_bytes = sum(
            len(key) + sum(len(name) + len(value) for name, value in fields.items())
            for key, fields in self.server.keyspace.hashes.items()
        )

    async def _recovery(self) -> None:
        """After the reset timeout every worker calls every dependency at once."""
        await anyio.sleep(OPEN_SECONDS)
        self.is_down = False
        self.reached = dict.fromkeys(self.names, 0)
        async with anyio.create_task_group() as tasks:
            for registry in self.registries:
                for name in self.names:
                    tasks.start_soon(self._call, registry, name)
        self.figures.probes = list(self.reached.values())
        self.figures.closed_within = await self._until(lambda breaker: breaker.get_state() == "closed")

    async def _call(self, registry: BreakerRegistry, name: str) -> None:
        async def dependency() -> None:
            self.running[name] += 1
            self.reached[name] += 1
            self.most_at_once = max(self.most_at_once, self.running[name])
            try:
                if self.is_down:
                    raise ConnectionError
                await anyio.sleep(0.1)
            finally:
                self.running[name] -= 1

        with suppress(ConnectionError, CircuitBreakerOpenError):
            await registry.breaker(name).call(dependency)

    async def _until(self, is_so: Callable[[CircuitBreaker], bool]) -> float:
        """Return the seconds until a condition holds for all breakers."""
        begun = anyio.current_time()
        waiting = [breaker for registry in self.registries for breaker in registry]
        while waiting := [breaker for breaker in waiting if not is_so(breaker)]:
            if anyio.current_time() - begun > PATIENCE_SECONDS:
                raise TimeoutError(f"{len(waiting)} breakers are left, such as {waiting[0]!r}")
            await anyio.sleep(STEP_SECONDS)  # virtual time: the next instant at which anything can have happened
        return anyio.current_time() - begun

    def _operations(self) -> int:
        return sum(fleet.status()["store_operations"] for fleet in self.fleets)


def simulate(workers: int, breakers: int) -> Figures:
    """Play an outage and its end, and return the figures."""
    clock = trio.testing.MockClock(autojump_threshold=0)

    async def main() -> Figures:
        return await Simulation(workers, breakers).run()

    return anyio.run(main, backend="trio", backend_options={"clock": clock})


if __name__ == "__main__":
    logging.getLogger("recloser").setLevel(logging.CRITICAL)
    print(simulate(*map(int, sys.argv[1:3])))  # noqa: T201
