"""A fleet of real processes over a real Redis: its workers, and the downstream that counts what reaches it."""

import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
from anyio.abc import Process, SocketAttribute, SocketStream

T = TypeVar("T")
ROUNDS = int(os.environ.get("RECLOSER_FLEET_ROUNDS", "0"))
"""How often each fault is played; 0 means a share of them, once each."""
OPEN_SECONDS = 0.4
LEASE_SECONDS = 0.6
POLL_SECONDS = 0.2
THRESHOLD = 3
PATIENCE_SECONDS = 60.0
SETTINGS: dict[str, Any] = {
    "quorum": 2,
    "lease_seconds": LEASE_SECONDS,
    "poll_seconds": POLL_SECONDS,
    "failure_threshold": THRESHOLD,
    "open_seconds": OPEN_SECONDS,
    "probe_timeout_seconds": 5.0,
    "callers": 4,
    "pause_seconds": 0.01,
    "other_breakers": 0,
    "calls": True,
    "wall_clock_ahead_seconds": 0.0,
}
GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)


def share_of(*values: T) -> list[T]:
    """Returns all of the cases of a fault in a full run, else one, which `RECLOSER_FLEET_SEED` draws."""
    return list(values) if ROUNDS else [random.Random(os.environ.get("RECLOSER_FLEET_SEED", "recloser")).choice(values)]


async def until(is_so: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Waits until a condition holds that other processes bring about."""
    with anyio.move_on_after(seconds):
        while not is_so():  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.002)
        return
    raise TimeoutError(f"{what} did not come about within {seconds} s")


@dataclass
class Asked:
    """One request at the downstream."""

    worker: int
    is_probe: bool
    at: float
    ended: float | None = None


@dataclass
class Downstream:
    """The dependency of all workers: counts its requests, and is down while the test says so.

    Attributes:
        is_down: Whether it refuses.
        poisoned: Workers whose requests it refuses always.
        hold_seconds: How long an answer takes, also one that is on its way.
        asked: All requests so far.
        most_probes: How many probes ran at once at most.
    """

    is_down: bool = False
    poisoned: set[int] = field(default_factory=set)
    hold_seconds: float = 0.0
    asked: list[Asked] = field(default_factory=list)
    most_probes: int = 0
    port: int = 0

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0, backlog=1_000)
        self.port = listener.extra(SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._answer)
            yield
            tasks.cancel_scope.cancel()

    async def _answer(self, stream: SocketStream) -> None:
        with suppress(*GONE):
            async with stream:
                number, kind = (await stream.receive()).split()
                asked = Asked(int(number), kind == b"probe", time.monotonic())
                self.asked.append(asked)
                running = sum(one.is_probe and one.ended is None for one in self.asked[-2_000:])
                self.most_probes = max(self.most_probes, running)
                try:
                    while time.monotonic() - asked.at < self.hold_seconds:  # noqa: ASYNC110 - which may be cut short
                        await anyio.sleep(0.005)
                    refused = self.is_down or asked.worker in self.poisoned
                    await stream.send(b"no\n" if refused else b"ok\n")
                finally:
                    asked.ended = time.monotonic()

    def probes(self, since: float = 0.0) -> list[Asked]:
        return [one for one in self.asked if one.is_probe and one.at >= since]

    def calls(self, since: float = 0.0, worker: int | None = None) -> int:
        return sum(one.at >= since and worker in {None, one.worker} for one in self.asked)


@dataclass
class Hand:
    """One worker process."""

    number: int
    process: Process
    is_ready: bool = False
    has_left: bool = False
    changes: list[tuple[str, float]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)

    @property
    def state(self) -> str:
        return self.changes[-1][0] if self.changes else "closed"

    async def order(self, **order: object) -> None:
        await self.process.stdin.send(json.dumps(order).encode() + b"\n")

    async def report(self) -> dict[str, Any]:
        count = len(self.reports)
        await self.order(report=True)
        await until(lambda: len(self.reports) > count, f"the report of worker {self.number}")
        return self.reports[-1]

    def kill(self) -> None:
        self.process.kill()

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    async def listen(self) -> None:
        rest = b""
        with suppress(*GONE):
            while True:
                *lines, rest = (rest + await self.process.stdout.receive()).split(b"\n")
                for line in lines:
                    self._hear(json.loads(line))

    def _hear(self, news: dict[str, Any]) -> None:
        if "report" in news:
            self.reports.append(news["report"])
        elif "new" in news:
            self.changes.append((news["new"], news["at"]))
        else:
            self.is_ready, self.has_left = True, "left" in news


@dataclass
class Crew:
    """All workers, and what they call."""

    hands: list[Hand]
    downstream: Downstream

    def are(self, state: str) -> bool:
        return all(hand.state == state for hand in self.hands)

    async def until_all(self, state: str, seconds: float = PATIENCE_SECONDS) -> None:
        await until(
            lambda: self.are(state), f"that all are {state}, not {[hand.state for hand in self.hands]}", seconds
        )

    async def until_called(self, count: int = 5) -> None:
        """Waits until that many further requests of each worker have arrived."""
        begun = time.monotonic()
        await until(
            lambda: all(self.downstream.calls(begun, hand.number) >= count for hand in self.hands),
            "calls of all workers",
        )

    async def reports(self) -> list[dict[str, Any]]:
        return [await hand.report() for hand in self.hands]

    async def until_reported(self, key: str, *, value: object, seconds: float = PATIENCE_SECONDS) -> float:
        """Waits until all report something; returns how long that took."""
        begun = time.monotonic()
        for hand in self.hands:
            while (await hand.report())[key] != value:
                if time.monotonic() - begun > seconds:
                    raise TimeoutError(f"worker {hand.number} has {key} {hand.reports[-1][key]!r}, not {value!r}")
                await anyio.sleep(0.005)
        return time.monotonic() - begun

    def opened(self, since: float, state: str = "open") -> list[float]:
        return sorted(at for hand in self.hands for new, at in hand.changes if new == state and at >= since)

    async def open_all(self) -> None:
        self.downstream.is_down = True
        await self.until_all("open")

    async def close_all(self) -> None:
        self.downstream.is_down = False
        await self.until_all("closed")

    async def check_callers(self) -> None:
        """Makes sure that every caller got its own answer, or its own exception."""
        for report in await self.reports():
            strays = [key for key in report if key.startswith("stray")]
            assert not strays, strays

    async def check_agreement(self) -> None:
        """Makes sure that all are closed, of one generation, and call."""
        await self.close_all()
        await self.until_reported("connected", value=True)
        await until(lambda: self.are("closed"), "that all stay closed")
        await self.until_called()
        with anyio.fail_after(PATIENCE_SECONDS):
            while len({report["generation"] for report in await self.reports()}) > 1:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(POLL_SECONDS / 4)
        await self.check_callers()


@asynccontextmanager
async def crew_of(count: int, redis: str, **settings: object) -> AsyncGenerator[Crew]:
    """Runs so many workers; `each` holds settings of single workers by number."""
    each: dict[int, dict[str, object]] = settings.pop("each", {})  # type: ignore[assignment]
    # Other tests cover what a worker runs; measuring it here as well would slow down what is timed.
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS_")}
    environment = {**unmeasured, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    downstream = Downstream()
    async with downstream.serving(), anyio.create_task_group() as tasks:
        hands: list[Hand] = []
        try:
            for number in range(count):
                chosen = {**SETTINGS, "redis": redis, "port": downstream.port, "number": number, **settings}
                command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
                arguments = json.dumps({**chosen, **each.get(number, {})})
                process = await anyio.open_process([*command, arguments], stderr=None, env=environment)
                hands.append(Hand(number, process))
                tasks.start_soon(hands[-1].listen)
            await until(lambda: all(hand.is_ready for hand in hands), "that all workers are ready")
            yield Crew(hands, downstream)
        finally:
            with anyio.CancelScope(shield=True):
                for hand in hands:
                    await dismiss(hand)
                tasks.cancel_scope.cancel()


async def dismiss(hand: Hand) -> None:
    """Ends a worker, whatever it is doing."""
    if hand.process.returncode is None:
        with suppress(ProcessLookupError):
            hand.thaw()
        with suppress(*GONE):
            await hand.process.stdin.aclose()
        with anyio.move_on_after(5):
            await hand.process.wait()
        if hand.process.returncode is None:
            hand.kill()
    await hand.process.aclose()


async def bring_to(crew: Crew, state: str) -> None:
    """Brings all workers into a state; in half-open a probe runs, and hangs."""
    await crew.until_called()
    if state != "closed":
        await crew.open_all()
    if state == "half_open":
        crew.downstream.hold_seconds = 60
        begun = time.monotonic()
        await until(lambda: bool(crew.downstream.probes(begun)), "a probe")
        await crew.until_all("half_open")


async def check_as_before(crew: Crew) -> None:
    """Makes sure that all agree again, and that in an outage there is one probe at a time."""
    crew.downstream.hold_seconds = 0
    await crew.check_agreement()
    crew.downstream.most_probes = 0
    await crew.open_all()
    begun = time.monotonic()
    await until(lambda: len(crew.downstream.probes(begun)) >= 2, "two probes")
    await crew.check_agreement()
    assert crew.downstream.most_probes == 1


async def check_degraded(crew: Crew) -> None:
    """Makes sure that all decide alone, and call."""
    await crew.until_reported("connected", value=False)
    crew.downstream.hold_seconds = 0
    crew.downstream.is_down = False
    await crew.until_all("closed")
    await crew.until_called()
    await crew.check_callers()
