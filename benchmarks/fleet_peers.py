"""Compares breakers that share their state through Redis: `python -m benchmarks.fleet_peers`.

Four processes of four callers each call one downstream, which fails and stays down. Requests are counted at the
downstream, and commands in Redis:

- how long a closed call takes, and how many commands it sends;
- the time from the request that meets the rule to the last request that gets through: then all breakers are open;
- how many requests per reset timeout reach the downstream after that.

Each library is set up as its documentation says: five failures open it. recloser uses a quorum of two workers.
"""

# The other libraries may be missing, and may have no types.
# mypy: disable-error-code="import-not-found, import-untyped"

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio

from tests.fleet.processes.kit import Downstream
from tests.fleet.server import RedisServer

LIBRARIES = ["recloser", "interlock-cb", "purgatory"]
THRESHOLD = 5
OPEN_SECONDS = 1.0
PROCESSES, CALLERS = 4, 4
CLOSED_CALLS = 3_000
ROUNDS = 7
PERIODS = 5
Call = Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


async def nothing() -> None:
    """Return immediately."""


@asynccontextmanager
async def protection(library: str, url: str) -> AsyncGenerator[Call]:
    """Yield a function that calls another one through a library's breaker."""
    if library == "recloser":
        from recloser import BreakerRegistry  # noqa: PLC0415 - each process has one library
        from recloser.fleet import RedisFleet  # noqa: PLC0415

        async with (fleet := RedisFleet(url)):
            registry = BreakerRegistry(fleet=fleet, failure_threshold=THRESHOLD, reset_timeout_seconds=OPEN_SECONDS)
            yield registry.breaker("shared").call
    elif library == "purgatory":
        from purgatory import AsyncCircuitBreakerFactory, AsyncRedisUnitOfWork  # noqa: PLC0415

        factory = AsyncCircuitBreakerFactory(
            default_threshold=THRESHOLD, default_ttl=OPEN_SECONDS, uow=AsyncRedisUnitOfWork(url)
        )
        await factory.initialize()

        async def call(function: Callable[[], Awaitable[None]]) -> None:
            async with await factory.get_breaker("shared"):
                await function()

        yield call
    else:
        import redis.asyncio  # noqa: PLC0415
        from interlock import CircuitBreaker, Config  # noqa: PLC0415
        from interlock.integrations.redis import AsyncRedisStorage  # noqa: PLC0415

        config = Config(
            failure_rate_threshold=1.0,
            minimum_number_of_calls=THRESHOLD,
            wait_duration_in_open=OPEN_SECONDS,
            permitted_calls_in_half_open=1,
            max_concurrent_probes=1,
        )
        async with redis.asyncio.Redis.from_url(url) as client:
            yield CircuitBreaker(name="shared", config=config, storage=AsyncRedisStorage(client)).call


async def work(library: str, url: str, port: int) -> None:
    """Call the downstream until standard input ends."""

    async def ask() -> None:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(b"0 call\n")
            if await stream.receive() != b"ok\n":
                raise OSError

    async with protection(library, url) as call, anyio.create_task_group() as tasks:

        async def call_for_ever() -> None:
            while True:
                with suppress(Exception):
                    await call(ask)
                await anyio.sleep(0.01)

        for _ in range(CALLERS):
            tasks.start_soon(call_for_ever)
        await anyio.to_thread.run_sync(sys.stdin.read)
        tasks.cancel_scope.cancel()


async def closed_calls(library: str, server: RedisServer) -> float:
    """Return the microseconds of a closed call."""
    async with protection(library, server.url) as call:
        await call(nothing)
        begun = time.perf_counter()
        for _ in range(CLOSED_CALLS):
            await call(nothing)
        return (time.perf_counter() - begun) / CLOSED_CALLS * 1e6


async def commands_per_call(library: str, server: RedisServer) -> float:
    """Return how many commands Redis receives per closed call."""
    with server.client() as client:
        async with protection(library, server.url) as call:
            await call(nothing)
            await anyio.sleep(0.3)
            before = client.info("stats")["total_commands_processed"]
            for _ in range(CLOSED_CALLS):
                await call(nothing)
            return (client.info("stats")["total_commands_processed"] - before - 1) / CLOSED_CALLS


async def outage(library: str, url: str) -> tuple[float, list[int]]:
    """Return the milliseconds from the failure that meets the rule until all are open, and the requests per period."""
    downstream = Downstream()
    async with downstream.serving():
        command = [sys.executable, "-m", "benchmarks.fleet_peers", library, url, str(downstream.port)]
        processes = [await anyio.open_process(command, stderr=None, env=os.environ) for _ in range(PROCESSES)]
        try:
            await anyio.sleep(3)
            begun = time.monotonic()
            downstream.is_down = True
            await anyio.sleep(OPEN_SECONDS * (PERIODS + 1.5))
            asked = [one.at - begun for one in downstream.asked if one.at >= begun]
        finally:
            for process in processes:
                await process.stdin.aclose()
                await process.wait()
    bursts: list[list[float]] = [[]]
    for at in asked:
        if bursts[-1] and at - bursts[-1][-1] > OPEN_SECONDS / 2:
            bursts.append([])
        bursts[-1].append(at)
    fulfilled = asked[THRESHOLD - 1]
    return (bursts[0][-1] - fulfilled) * 1_000, [len(burst) for burst in bursts[1 : PERIODS + 1]]


async def main() -> None:
    """Measure and print one row per library."""
    print(
        "| library | closed call | ratio | commands per call | 5th failure to all open | requests per reset timeout |"
    )
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        times: dict[str, list[float]] = {library: [] for library in LIBRARIES}
        for _ in range(ROUNDS):
            for library in LIBRARIES:
                times[library].append(await closed_calls(library, server))
        floor = statistics.median(times["recloser"])
        for library in LIBRARIES:
            with server.client() as client:
                client.flushall()
            commands = await commands_per_call(library, server)
            with server.client() as client:
                client.flushall()
            opened, probes = await outage(library, server.url)
            took = statistics.median(times[library])
            print(
                f"| {library} | {took:.2f} us | {took / floor:.0f} x | {commands:.2f} | {opened:.0f} ms | {probes} |",
                flush=True,
            )


if __name__ == "__main__":
    import logging

    logging.disable(logging.CRITICAL)
    if sys.argv[1:]:
        asyncio.run(work(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    else:
        asyncio.run(main())
