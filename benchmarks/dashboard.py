"""What the dashboard costs a service of 1 000 breakers: `python -m benchmarks.dashboard`.

One process has the breakers and serves the dashboard. Another process stands in for the browsers and reads the stream
of events from real sockets. Rounds with no client, one client, ten clients, and a client that reads nothing alternate:

- paced: at 10 000 calls per second, how much more of a core the process uses;
- at full speed: how many calls fit into a second of processor time, compared with the rounds without a client.

One call in fifty fails, and ten of the breakers are open.
"""

import asyncio
import logging
import multiprocessing
import socket
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count, cycle
from multiprocessing.connection import Connection

import uvicorn

from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError
from recloser.dashboard import Dashboard

BREAKERS = 1_000
OPEN = 10
CALLS_PER_SECOND = 10_000
TICK_SECONDS = 0.01
SETTLE_SECONDS = 1.5
ROUND_SECONDS = 5.0
ROUNDS = 5
BAR = 0.03
CLIENTS = {"no client": 0, "one client": 1, "ten clients": 10, "a client that reads nothing": -1}
REQUEST = b"GET /events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"


class DownError(Exception):
    """The error of a failing call."""


async def main() -> None:
    """Measure and print both tables."""
    logging.getLogger("recloser").addHandler(logging.NullHandler())
    registry = BreakerRegistry(failure_threshold=1_000_000, reset_timeout_seconds=10_000)
    breakers = [registry.breaker(f"host-{number}") for number in range(BREAKERS)]
    for breaker in breakers[:OPEN]:
        breaker.force_open("a part of the benchmark")
    async with serving(registry) as port:
        print(f"{BREAKERS:,} breakers, {ROUNDS} rounds of {ROUND_SECONDS:g} s each\n")
        paced = await measured(port, lambda: pace(breakers))
        base = statistics.median(paced["no client"])
        print(f"{CALLS_PER_SECOND:,} calls per second: {base:.1%} of a core without a client; more with")
        for name in CLIENTS:
            more = [share - base for share in paced[name]]
            print(f"  {name:<30}{statistics.median(more):7.2%}   {min(more):6.2%} to {max(more):.2%}")
        full = await measured(port, lambda: run(breakers))
        base = statistics.median(full["no client"])
        print(f"\nat full speed: {base:,.0f} calls per second without a client; fewer with (bar: {BAR:.0%})")
        for name in CLIENTS:
            fewer = [1 - rate / base for rate in full[name]]
            print(f"  {name:<30}{statistics.median(fewer):7.2%}   {min(fewer):6.2%} to {max(fewer):.2%}")


async def measured(port: int, load: Callable[[], Awaitable[float]]) -> dict[str, list[float]]:
    """Run a load with each number of clients in turn."""
    figures: dict[str, list[float]] = {name: [] for name in CLIENTS}
    for _ in range(ROUNDS):
        for name, clients in CLIENTS.items():
            async with looked_at(port, clients):
                figures[name].append(await load())
    return figures


# The load


async def work() -> None:
    """Yield to the event loop once, as any network call does at least."""
    await asyncio.sleep(0)


async def fail() -> None:
    """Yield to the event loop, then fail."""
    await asyncio.sleep(0)
    raise DownError


async def call(breaker: CircuitBreaker, number: int) -> None:
    """Make one call; ignore its failure or rejection."""
    with suppress(DownError, CircuitBreakerOpenError):
        await breaker.call(fail if number % 50 == 0 else work)


async def pace(breakers: list[CircuitBreaker]) -> float:
    """Make calls at a constant rate; return the share of a core that the process used."""
    targets, numbers = cycle(breakers), count()
    batch = round(CALLS_PER_SECOND * TICK_SECONDS)
    began, cpu = time.monotonic(), time.process_time()
    for tick in range(1, round(ROUND_SECONDS / TICK_SECONDS) + 1):
        for _ in range(batch):
            await call(next(targets), next(numbers))
        await asyncio.sleep(max(0.0, began + tick * TICK_SECONDS - time.monotonic()))
    return (time.process_time() - cpu) / (time.monotonic() - began)


async def run(breakers: list[CircuitBreaker]) -> float:
    """Make as many calls as possible; return their number per second of processor time."""
    numbers = count()
    cpu = time.process_time()
    end = time.monotonic() + ROUND_SECONDS

    async def caller(targets: list[CircuitBreaker]) -> None:
        while time.monotonic() < end:
            for breaker in targets:
                await call(breaker, next(numbers))
            await asyncio.sleep(0)

    await asyncio.gather(*(caller(breakers[first::10]) for first in range(10)))
    return next(numbers) / (time.process_time() - cpu)


# The dashboard and its clients


@asynccontextmanager
async def serving(registry: BreakerRegistry) -> AsyncGenerator[int]:
    """Serve a dashboard in this event loop; yield the port."""
    config = uvicorn.Config(
        Dashboard(registry), lifespan="off", ws="none", log_level="critical", timeout_graceful_shutdown=0
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def looked_at(port: int, clients: int) -> AsyncGenerator[None]:
    """Let clients in another process read the stream of events; -1 means one that reads nothing."""
    if clients == 0:
        await asyncio.sleep(SETTLE_SECONDS)
        yield
        return
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=look, args=(port, clients, theirs))
    process.start()
    try:
        await asyncio.to_thread(ours.recv)
        await asyncio.sleep(SETTLE_SECONDS)
        yield
        ours.send("stop")
        most = await asyncio.to_thread(ours.recv)
        if most > 1:
            print(f"a client was told {most:.2f} times per second: MISS", file=sys.stderr)
    finally:
        process.terminate()
        process.join()


def look(port: int, clients: int, pipe: Connection) -> None:
    """Read the stream of events as some clients until told to stop; send the number of messages per second."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(abs(clients))]
    if clients < 0:
        sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    for each in sockets:
        each.sendall(REQUEST)
        each.recv(1)
        each.setblocking(False)  # noqa: FBT003 - the signature of sockets
    pipe.send("connected")
    began, messages = time.monotonic(), 0
    while not pipe.poll(0.02):
        for each in sockets if clients > 0 else ():
            with suppress(BlockingIOError):
                while data := each.recv(1 << 16):
                    messages += data.count(b"event: update")
    pipe.send((messages / len(sockets) - 1) / (time.monotonic() - began))


if __name__ == "__main__":
    asyncio.run(main())
