"""What the tests of breakers in a fleet share: processes over one server in memory, and a dependency that fails."""

import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

import anyio
import anyio.lowlevel

from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError, Permit
from recloser.fleet import Fleet
from recloser.fleet.store import AnyOperation, FleetStore, Reply
from recloser.fleet.store.memory import InMemoryServer, InMemoryStore

NAME = "payments"
THRESHOLD = 3
OPEN_SECONDS = 10.0
LEASE_SECONDS = 5.0
POLL_SECONDS = 1.0
SOON_SECONDS = 0.2
"""Within this time all requests, reports and messages have arrived."""
POLLED_SECONDS = 1.5
"""Within this time all workers have polled."""
OF_FLEETS = {"quorum", "lease_seconds", "poll_seconds", "report_gap_seconds"}
Around = Callable[[InMemoryStore], FleetStore]


class DownError(Exception):
    """What a dependency that is down raises."""


async def answer() -> str:
    return "answer"


async def fail() -> NoReturn:
    raise DownError("down")


@dataclass(eq=False)
class Process:
    """One process of a fleet: its fleet, registry and breaker, and its connections to the store, the latest last."""

    fleet: Fleet
    registry: BreakerRegistry
    breaker: CircuitBreaker
    stores: list[InMemoryStore]

    @property
    def store(self) -> InMemoryStore:
        return self.stores[-1]

    @property
    def state(self) -> str:
        return self.breaker.get_state()

    async def fail(self, times: int = THRESHOLD) -> None:
        for _ in range(times):
            with suppress(DownError, CircuitBreakerOpenError):
                await self.breaker.call(fail)

    async def succeed(self, times: int = 1) -> None:
        for _ in range(times):
            await self.breaker.call(answer)

    async def is_admitted(self) -> bool:
        with suppress(CircuitBreakerOpenError):
            await self.breaker.call(answer)
            return True
        return False


def process(
    server: InMemoryServer, number: int = 0, around: Around = lambda store: store, **options: object
) -> Process:
    """Makes a process; its fleet is to be entered.

    Args:
        server: What the fleet shares.
        number: Seeds its jitter.
        around: Returns what the fleet is to take for the store.
        **options: Settings of the breaker and of the fleet.
    """
    stores: list[InMemoryStore] = []

    def make_store() -> FleetStore:
        stores.append(InMemoryStore(server))
        return around(stores[-1])

    of_fleet = {name: options.pop(name) for name in OF_FLEETS & options.keys()}
    fleet = Fleet(make_store, random=random.Random(number), **of_fleet)
    limit = {} if "trip_when" in options else {"failure_threshold": THRESHOLD}
    settings = {"reset_timeout_seconds": OPEN_SECONDS, **limit, **options}
    registry = BreakerRegistry(**{"fleet": fleet, "clock": anyio.current_time, **settings})
    return Process(fleet, registry, registry.breaker(NAME), stores)


def new_server() -> InMemoryServer:
    return InMemoryServer(clock=anyio.current_time)


@asynccontextmanager
async def running(*processes: Process) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for one in processes:
            await stack.enter_async_context(one.fleet)
        yield


@asynccontextmanager
async def fleet_of(
    count: int, server: InMemoryServer | None = None, **options: object
) -> AsyncGenerator[list[Process]]:
    """Runs so many processes; takes the options of `process()`."""
    server = new_server() if server is None else server
    processes = [process(server, number, **options) for number in range(count)]
    async with running(*processes):
        yield processes


async def settle(seconds: float = SOON_SECONDS) -> None:
    """Waits until all that was sent has arrived."""
    await anyio.sleep(seconds)


def states(processes: Sequence[Process]) -> list[str]:
    return [one.state for one in processes]


async def open_all(processes: Sequence[Process], voters: int = 2) -> None:
    """Has the first of the processes open the fleet."""
    for one in processes[:voters]:
        await one.fail()
    await settle()
    assert set(states(processes)) == {"open"}


async def make_ready(processes: Sequence[Process]) -> None:
    """Opens the fleet, and waits until the reset timeout has elapsed."""
    await open_all(processes)
    await anyio.sleep(OPEN_SECONDS)


async def make_probing(processes: Sequence[Process]) -> Permit:
    """Has the first process run a probe that all processes know of; returns its permit."""
    await make_ready(processes)
    permit = await processes[0].breaker.acquire()
    assert permit.is_probe
    await settle()
    return permit


class Dependency:
    """A dependency whose calls end when the test says so; counts how many run."""

    def __init__(self) -> None:
        self.running = self.most = self.calls = 0
        self.called = anyio.Event()
        self.may_end = anyio.Event()
        self.error: BaseException | None = None

    async def call(self) -> str:
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        self.called.set()
        try:
            await self.may_end.wait()
            if self.error is not None:
                raise self.error
        finally:
            self.running -= 1
        return "answer"

    def end(self, error: BaseException | None = None) -> None:
        self.error = error
        self.may_end.set()


def watch(one: Process) -> list[str]:
    """Returns a list to which the kinds of all operations are added that a process has carried out from now on."""
    told: list[str] = []
    execute = one.store.execute

    async def told_and_executed(operations: Sequence[AnyOperation]) -> list[Reply]:
        told.extend(type(operation).__name__ for operation in operations)
        return await execute(operations)

    one.store.execute = told_and_executed
    return told
