"""The bars of a fleet, measured with real processes over a real Redis: `python -m benchmarks.fleet`.

What happens is counted where it happens: commands by Redis itself, requests at the downstream, transitions by the
monotonic clock that all processes of a machine share. One run takes about five minutes; an idle machine is assumed.
"""

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError
from recloser.fleet import RedisFleet
from tests.fleet.processes.kit import bring_to, crew_of, until
from tests.fleet.proxy import proxy_to
from tests.fleet.server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CALLS = 1_000_000
BATCH = 20_000
ROUNDS = 40
NEVER_SECONDS = 1_000.0


@dataclass(frozen=True)
class Line:
    """One row of the table.

    Attributes:
        bar: Its name.
        what: What was measured.
        limit: What is asked for.
        figure: What came out.
        is_met: Whether that is good enough.
    """

    bar: str
    what: str
    limit: str
    figure: str
    is_met: bool


async def answer() -> None:
    """Return immediately."""


async def fail() -> None:
    """Fail immediately."""
    raise OSError


async def reject(breaker: CircuitBreaker) -> None:
    """Make a call that is rejected."""
    with suppress(CircuitBreakerOpenError):
        await breaker.call(answer)


def commands(server: RedisServer) -> int:
    """Return how many scripts Redis has run."""
    with server.client() as client:
        stats = client.info("commandstats")
    return sum(int(one["calls"]) for name, one in stats.items() if "eval" in name)


async def untouched(server: RedisServer) -> list[Line]:
    """B1 and B2: the paths of closed and open breakers do not touch the store."""
    fleet = RedisFleet(server.url, poll_seconds=NEVER_SECONDS)
    shared = BreakerRegistry(fleet=fleet, failure_threshold=5, reset_timeout_seconds=NEVER_SECONDS).breaker("shared")
    local = BreakerRegistry(failure_threshold=5).breaker("local")
    async with fleet:
        await anyio.sleep(0.2)
        before = commands(server)
        for _ in range(CALLS):
            await shared.call(answer)
        closed = commands(server) - before
        ratio, extra = await compare(shared, local)
        await fleet.force_open("shared", "to be rejected")
        before = commands(server)
        for _ in range(CALLS):
            await reject(shared)
        rejected = commands(server) - before
    return [
        Line(
            "B1",
            f"commands of {CALLS:,} closed calls and as many rejections",
            "0",
            f"{closed} and {rejected}",
            closed + rejected == 0,
        ),
        Line(
            "B2",
            "closed call, shared against local",
            "1.05 x or 50 ns",
            f"{ratio:.3f} x, {extra:+.0f} ns",
            ratio <= 1.05 or extra <= 50,
        ),
    ]


async def compare(shared: CircuitBreaker, local: CircuitBreaker) -> tuple[float, float]:
    """Return how much longer a call takes: the median ratio and the median nanoseconds of alternating rounds."""
    ratios, extras = [], []
    for number in range(ROUNDS):
        order = (shared, local) if number % 2 else (local, shared)
        took = {breaker: await timed(breaker) for breaker in order}
        ratios.append(took[shared] / took[local])
        extras.append(took[shared] - took[local])
    return statistics.median(ratios), statistics.median(extras)


async def timed(breaker: CircuitBreaker) -> float:
    """Return the nanoseconds of a call."""
    begun = time.thread_time_ns()
    for _ in range(BATCH):
        await breaker.call(answer)
    return (time.thread_time_ns() - begun) / BATCH


async def probes(server: RedisServer) -> list[Line]:
    """B3: one probe per reset timeout, counted at the downstream."""
    periods, open_seconds = 200, 0.1
    async with crew_of(8, server.url, callers=50, pause_seconds=0.2, open_seconds=open_seconds) as crew:
        await crew.open_all()
        begun = time.monotonic() + 0.2
        await until(lambda: len(crew.downstream.probes(begun)) >= periods, "probes", 120)
        probes = crew.downstream.probes(begun)
        shortest = min(later.at - earlier.at for earlier, later in pairwise(probes))
        others = crew.downstream.calls(begun) - len(probes)
        is_met = crew.downstream.most_probes == 1 and shortest >= 0.9 * open_seconds and not others
        figure = f"{len(probes)} in as many, {crew.downstream.most_probes} at once, {others} other requests"
        await crew.check_callers()
    return [
        Line("B3", f"probes in {periods} reset timeouts of {open_seconds} s, 8 x 50 callers", "1 each", figure, is_met)
    ]


async def convergence(url: str, rounds: int, name: str, limits: tuple[float, float]) -> list[Line]:
    """B4 and B5: the time from the second worker's opening until all are open, and what gets through in this time."""
    delays, late = [], []
    async with crew_of(8, url, callers=5, pause_seconds=0.05, open_seconds=0.3) as crew:
        await crew.until_called()
        for _ in range(rounds):
            begun = time.monotonic()
            crew.downstream.poisoned = {0, 1}
            await crew.until_all("open")
            opened = {
                hand.number: min(at for new, at in hand.changes if new == "open" and at >= begun) for hand in crew.hands
            }
            crossing = sorted((opened[0], opened[1]))[1]
            delays.append(max(opened.values()) - crossing)
            late.append(sum(one.at > crossing for one in crew.downstream.asked if one.at >= begun and not one.is_probe))
            crew.downstream.poisoned = set()
            await crew.close_all()
            await anyio.sleep(0.1)
    half = statistics.median(delays) * 1_000
    most = sorted(delays)[int(0.99 * (len(delays) - 1))] * 1_000
    return [
        Line(
            "B4",
            f"quorum to all of 8 open, {name}, {rounds} rounds",
            f"p50 {limits[0]:.0f} ms, p99 {limits[1]:.0f} ms",
            f"p50 {half:.1f} ms, p99 {most:.1f} ms",
            half <= limits[0] and most <= limits[1],
        ),
        Line(
            "B5",
            f"requests let through meanwhile, {name}",
            "rate x (2 RTT + 5 ms) + in flight",
            f"median {statistics.median(late):.0f}, at most {max(late)}",
            is_met=True,
        ),
    ]


async def outage(server: RedisServer) -> list[Line]:
    """B6, B7 and B12: Redis freezes, is killed, and comes back."""
    lines = []
    async with crew_of(4, server.url, open_seconds=1.0, poll_seconds=1.0) as crew:
        await bring_to(crew, "open")
        await crew.reports()
        begun = time.monotonic()
        server.freeze()
        await crew.until_reported("connected", value=False)
        took = time.monotonic() - begun
        lines.append(
            Line(
                "B7",
                "Redis frozen to all degraded (with the poll of 1 s that finds out)",
                "poll + 0.2 s",
                f"{took:.2f} s",
                took <= 1.4,
            )
        )
        await anyio.sleep(4.0)
        reports = await crew.reports()
        longest = max(report["longest"] for report in reports) * 1_000
        lines.append(
            Line("B6", "longest that a caller waited with Redis frozen", "110 ms", f"{longest:.0f} ms", longest <= 110)
        )
        strays = sum(key.startswith("stray") for report in reports for key in report)
        lines.append(Line("B6", "errors of Redis that reached callers", "0", str(strays), strays == 0))
        alone = crew.downstream.probes(begun + took + 1.6)
        per_worker = [sum(one.worker == hand.number for one in alone) for hand in crew.hands]
        periods = (time.monotonic() - begun - took - 1.6) / 1.0
        lines.append(
            Line(
                "B12",
                f"probes per worker alone in {periods:.1f} reset timeouts",
                "<= 1 each",
                f"{per_worker}",
                max(per_worker) <= periods + 1,
            )
        )
        server.thaw()
        took = await crew.until_reported("connected", value=True)
        lines.append(Line("B7", "Redis thawed to all back", "2.5 s", f"{took:.2f} s", took <= 2.5))
        begun = time.monotonic()
        while len({report["generation"] for report in await crew.reports()}) > 1:  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.01)
        took = time.monotonic() - begun
        lines.append(Line("B7", "all of one generation afterwards", "1.7 s", f"{took:.2f} s", took <= 1.7))
        server.kill()
        took = await crew.until_reported("connected", value=False)
        lines.append(Line("B7", "Redis killed to all degraded", "0.2 s", f"{took:.2f} s", took <= 0.2))
        await anyio.sleep(1.0)
        server.start()
        took = await crew.until_reported("connected", value=True)
        lines.append(Line("B7", "Redis restarted to all back", "2.5 s", f"{took:.2f} s", took <= 2.5))
    return lines


async def leases(server: RedisServer) -> list[Line]:
    """B8 and B9: the process with the probe dies; Redis freezes again and again."""
    lease = 2.0
    async with crew_of(4, server.url, lease_seconds=lease, callers=8) as crew:
        await bring_to(crew, "half_open")
        await anyio.sleep(lease)  # it is renewed meanwhile
        killed = crew.hands[crew.downstream.probes()[-1].worker]
        killed.kill()
        begun = time.monotonic()
        crew.downstream.hold_seconds = 0
        crew.hands.remove(killed)
        await until(lambda: bool(crew.downstream.probes(begun)), "the next probe")
        took = crew.downstream.probes(begun)[0].at - begun
    lines = [
        Line(
            "B8",
            f"prober killed to next probe, lease {lease} s",
            f"{lease + 0.05} s",
            f"{took:.2f} s",
            took <= lease + 0.05,
        )
    ]
    orphans, repetitions = 0, 50
    async with crew_of(4, server.url, lease_seconds=lease, open_seconds=0.2) as crew:
        await crew.open_all()
        for number in range(repetitions):
            await anyio.sleep(0.2 + 0.01 * (number % 10))
            server.freeze()
            await anyio.sleep(0.05 + 0.02 * (number % 5))
            server.thaw()
            thawed = time.monotonic()
            await crew.until_reported("connected", value=True)
            if not crew.downstream.probes(thawed):
                back = time.monotonic()
                await until(lambda since=back: bool(crew.downstream.probes(since)), "a probe", 10)
                orphans += time.monotonic() - back > lease / 2  # all are back, and nobody knows of a probe
    return [
        *lines,
        Line(
            "B9", f"leases without an owner after {repetitions} times SIGSTOP, SIGCONT", "0", str(orphans), orphans == 0
        ),
    ]


async def idle(server: RedisServer) -> list[Line]:
    """B10: what an idle process costs Redis."""
    processes, seconds = 4, 10
    async with crew_of(
        processes, server.url, poll_seconds=1.0, other_breakers=99, callers=1, pause_seconds=0.1
    ) as crew:
        await anyio.sleep(3)
        before = commands(server)
        with server.client() as client:
            connections = client.info("clients")["connected_clients"] - 1
            read = client.info("stats")["total_reads_processed"]
        await anyio.sleep(seconds)
        scripts = (commands(server) - before) / seconds / processes
        with server.client() as client:
            reads = (client.info("stats")["total_reads_processed"] - read) / seconds / processes
        await crew.check_callers()
    return [
        Line(
            "B10",
            "requests that Redis reads per second and process, 100 breakers",
            "2",
            f"{reads:.1f} ({scripts:.0f} scripts in them)",
            reads <= 2,
        ),
        Line("B10", "connections per process", "2", f"{connections / processes:.1f}", connections <= 2 * processes),
    ]


async def poison(server: RedisServer) -> list[Line]:
    """B13: one sick worker of eight."""
    seconds = 60
    async with crew_of(8, server.url, callers=5, pause_seconds=0.02) as crew:
        crew.downstream.poisoned = {0}
        await anyio.sleep(seconds)
        reports = (await crew.reports())[1:]
    rejected = sum(report.get("rejections", 0) for report in reports)
    calls = sum(report["answers"] for report in reports)
    return [
        Line(
            "B13",
            f"rejections of 7 workers beside a sick one, {seconds} s, {calls:,} calls",
            "0",
            str(rejected),
            rejected == 0,
        )
    ]


async def leaving(server: RedisServer) -> list[Line]:
    """B14: what remains after leaving, and how long leaving takes while Redis hangs."""
    lines = []
    for is_frozen in (False, True):
        tasks, threads = len(asyncio.all_tasks()), threading.active_count()
        fleet = RedisFleet(server.url)
        BreakerRegistry(fleet=fleet).breaker("one")
        await fleet.__aenter__()
        if is_frozen:
            server.freeze()
        begun = time.monotonic()
        await fleet.__aexit__(None, None, None)
        took = (time.monotonic() - begun) * 1_000
        server.thaw()
        left = len(asyncio.all_tasks()) - tasks + threading.active_count() - threads
        with server.client() as client:
            sockets = client.info("clients")["connected_clients"] - 1
        name = "with Redis frozen" if is_frozen else "in health"
        lines.append(Line("B14", f"leaving {name}", "110 ms", f"{took:.1f} ms", took <= 110))
        lines.append(
            Line("B14", f"tasks, threads, connections left {name}", "0", str(left + sockets), left + sockets == 0)
        )
    return lines


async def measure(names: list[str]) -> list[Line]:
    """Measure all parts, or the named ones."""
    lines: list[Line] = []
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:

        async def near() -> list[Line]:
            return await convergence(server.url, 60, "Redis near", (20, 100))

        async def far() -> list[Line]:
            async with proxy_to(server.socket) as proxy:
                proxy.latency_seconds = 0.02
                return await convergence(f"redis://127.0.0.1:{proxy.port}", 20, "40 ms away", (70, 200))

        parts: dict[str, Callable[[], Awaitable[list[Line]]]] = {
            "untouched": lambda: untouched(server),
            "probes": lambda: probes(server),
            "near": near,
            "far": far,
            "outage": lambda: outage(server),
            "leases": lambda: leases(server),
            "idle": lambda: idle(server),
            "poison": lambda: poison(server),
            "leaving": lambda: leaving(server),
        }
        for name, part in parts.items():
            if names and name not in names:
                continue
            with server.client() as client:
                client.flushall()
            for line in await part():
                lines.append(line)
                verdict = "pass" if line.is_met else "MISS"
                print(f"| {line.bar} | {line.what} | {line.limit} | {line.figure} | {verdict} |", flush=True)
    return lines


if __name__ == "__main__":
    import logging

    logging.getLogger("recloser").setLevel(logging.CRITICAL)
    print("| bar | measured | limit | figure | verdict |\n|---|---|---|---|---|")
    sys.exit(any(not line.is_met for line in anyio.run(measure, sys.argv[1:])))
