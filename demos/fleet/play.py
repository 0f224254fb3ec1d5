"""The play: seven acts. Each states what it expects, and checks it by what the upstream counted."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import pairwise
from typing import Protocol

from demos.fleet.pace import Pace
from demos.fleet.server import Server
from demos.fleet.workers import Workers, until
from recloser.cli.demo.plan import Phase
from recloser.cli.demo.upstream import Hit, Upstream

__all__ = ["HEALTHY", "Act", "Play", "Report", "Stage"]

HEALTHY = Phase(name="healthy", seconds=0.0, latency_seconds=0.005)
_DOWN = Phase(name="down", seconds=0.0, replies=(HTTPStatus.SERVICE_UNAVAILABLE,), latency_seconds=0.005)
_NOWHERE = "http://127.0.0.1:9"  # the port of a service that no machine runs any more
_PATIENCE_SECONDS = 30.0
_ON_THE_WAY_SECONDS = 0.1
"""A request that was admitted just before its breaker opened arrives within this time."""
_CALLS = 10
_PERIODS = 3
_TOLERANCE = 0.9
"""Each process measures reset timeouts by its own clock."""


@dataclass(slots=True)
class Act:
    """One act, and its outcome.

    Attributes:
        title: What happens in it.
        lines: What the demo saw.
        reached: Requests that reached the upstream during it, by worker.
        problems: What was not as expected, one sentence each.
    """

    title: str
    lines: list[str] = field(default_factory=list[str])
    reached: Counter[str] = field(default_factory=Counter[str])
    problems: list[str] = field(default_factory=list[str])

    def see(self, line: str) -> None:
        """Note something that happened."""
        self.lines.append(line)

    def claim(self, line: str, *, is_so: bool) -> None:
        """Note something that was expected, or that it is not the case."""
        (self.lines if is_so else self.problems).append(line if is_so else f"this is not the case: {line}")


class Report(Protocol):
    """Shows acts while they are played."""

    def begin(self, number: int, act: Act) -> None:
        """Show that an act begins."""

    def end(self, act: Act) -> None:
        """Show its outcome."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a play needs.

    Attributes:
        workers: The workers.
        upstream: What they call.
        url: Its address.
        server: The fleet's store.
        pace: The times of the run.
    """

    workers: Workers
    upstream: Upstream
    url: str
    server: Server
    pace: Pace


class Play:
    """Plays the acts one after the other.

    Args:
        stage: What it plays with.
        report: Shows the acts.

    Attributes:
        acts: The acts that have begun.
    """

    def __init__(self, stage: Stage, report: Report) -> None:
        self._workers = stage.workers
        self._upstream = stage.upstream
        self._url = stage.url
        self._server = stage.server
        self._pace = stage.pace
        self._report = report
        self.acts: list[Act] = []

    async def run(self) -> None:
        """Play all acts.

        Raises:
            DemoError: Something that the play waits for does not happen.
        """
        acts = {
            "Everything works: each worker calls the upstream": self._healthy,
            "One worker alone cannot reach the upstream": self._sick,
            "The upstream fails for everybody": self._outage,
            "It stays down: all workers together send one request per reset timeout": self._probing,
            "The upstream is back": self._recovery,
            "Redis is killed, then the upstream fails: each worker decides alone": self._alone,
            "Redis is back: the workers decide together again": self._healed,
        }
        for number, (title, play) in enumerate(acts.items(), start=1):
            act = Act(title)
            self.acts.append(act)
            self._report.begin(number, act)
            before = Counter(self._upstream.counts)
            try:
                await play(act)
            finally:
                act.reached = Counter(self._upstream.counts) - before
            self._report.end(act)

    async def _healthy(self, act: Act) -> None:
        await self._until(lambda: self._workers.are_connected(connected=True), "all workers reach Redis")
        await self._until_called("after the start")
        act.claim("all breakers are closed", is_so=self._workers.are("closed"))

    async def _sick(self, act: Act) -> None:
        sick, *others = self._workers.each
        await sick.call(_NOWHERE)
        await self._until(lambda: sick.state == "open", "the breaker of that worker opens")
        await self._until_called("while one breaker is open", others=True)
        changed = [worker for worker in others if worker.changes]
        act.claim("only its own breaker opened: the failures of one worker are not a quorum", is_so=not changed)
        await sick.call(self._own(sick.lane))
        await self._until(lambda: self._workers.are("closed"), "the breaker of that worker closes")
        act.see("it reaches the upstream again, and its breaker closed")

    async def _outage(self, act: Act) -> None:
        begun = await self._fail(act)
        opened = self._workers.since(begun, "open")
        failed = len(self._hits(begun))
        spread = (opened[-1] - opened[0]) * 1_000
        act.see(f"after {failed} failed requests all {len(opened)} breakers opened within {spread:.1f} ms")

    async def _probing(self, act: Act) -> None:
        begun = max(self._workers.since(0.0, "open")) + _ON_THE_WAY_SECONDS
        wanted = "a probe reaches the upstream in each reset timeout"
        limit = _PATIENCE_SECONDS + _PERIODS * self._pace.reset_timeout_seconds
        await until(lambda: len(self._hits(begun)) >= _PERIODS, wanted, limit)
        self._claim_one_per_period(act, self._hits(begun))

    async def _recovery(self, act: Act) -> None:
        await self._recover(act)

    async def _alone(self, act: Act) -> None:
        self._server.kill()
        await self._until(lambda: self._workers.are_connected(connected=False), "all workers lose Redis")
        await self._until_called("without Redis")
        act.claim("without Redis all calls go on, and each breaker decides alone", is_so=self._workers.are("closed"))
        begun = time.monotonic()
        self._upstream.phase = _DOWN
        await self._until(lambda: self._workers.are("open"), "each breaker opens by itself")
        opened = max(self._workers.since(begun, "open")) + _ON_THE_WAY_SECONDS
        seconds = 2 * 1.5 * self._pace.reset_timeout_seconds  # each of two reset timeouts is longer by up to half
        lanes = {worker.lane for worker in self._workers.each}
        wanted = "each worker sends a probe of its own"
        await until(lambda: {hit.lane for hit in self._hits(opened)} == lanes, wanted, _PATIENCE_SECONDS + seconds)
        tried = self._hits(opened)
        per_worker = Counter(hit.lane for hit in tried)
        periods = (time.monotonic() - opened) / self._pace.reset_timeout_seconds + 1
        spread = tried[-1].at - tried[0].at
        act.claim(
            f"each breaker opened by itself and sent its own probes: {len(tried)} requests of {len(lanes)} workers, "
            f"spread over {spread:.2f} s",
            is_so=max(per_worker.values()) <= periods,
        )
        self._upstream.phase = HEALTHY
        await self._until(lambda: self._workers.are("closed"), "each breaker closes by itself")
        act.see("the upstream is back, and each breaker closed by itself")

    async def _healed(self, act: Act) -> None:
        await self._server.start()
        await self._until(lambda: self._workers.are_connected(connected=True), "all workers find Redis again")
        await self._until(lambda: self._workers.are("closed"), "all breakers are closed")
        begun = await self._fail(act)
        opened = max(self._workers.since(begun, "open")) + _ON_THE_WAY_SECONDS
        await self._until(lambda: len(self._hits(opened)) >= 1, "a probe reaches the upstream")
        self._claim_one_per_period(act, self._hits(opened))
        await self._recover(act)

    # What several acts share

    async def _fail(self, act: Act) -> float:
        """Let the upstream fail until all breakers are open; return when it began to fail."""
        begun = time.monotonic()
        self._upstream.phase = _DOWN
        await self._until(lambda: self._workers.are("open"), "all breakers open")
        act.see("all breakers are open")
        return begun

    async def _recover(self, act: Act) -> None:
        """Let the upstream work until all breakers are closed."""
        begun = time.monotonic()
        self._upstream.phase = HEALTHY
        await self._until(lambda: self._workers.are("closed"), "all breakers close")
        closed = self._workers.since(begun, "closed")
        tried = [hit for hit in self._hits(begun) if hit.at < closed[0]]
        spread = (closed[-1] - closed[0]) * 1_000
        act.claim(
            f"{len(tried)} request succeeded, and all {len(closed)} breakers closed within {spread:.1f} ms",
            is_so=len(tried) == 1,
        )

    def _claim_one_per_period(self, act: Act, tried: list[Hit]) -> None:
        gaps = [later.at - earlier.at for earlier, later in pairwise(tried)]
        shortest = min(gaps, default=self._pace.reset_timeout_seconds)
        by = ", ".join(hit.lane for hit in tried)
        requests = "1 request" if len(tried) == 1 else f"{len(tried)} requests"
        line = f"{requests} in as many reset timeouts of {self._pace.reset_timeout_seconds} s, by {by}"
        if gaps:
            line += f"; at least {shortest:.2f} s apart"
        act.claim(line, is_so=shortest >= _TOLERANCE * self._pace.reset_timeout_seconds)

    async def _until(self, is_so: Callable[[], bool], what: str) -> None:
        await until(is_so, what, _PATIENCE_SECONDS + 2 * self._pace.reset_timeout_seconds)

    async def _until_called(self, when: str, *, others: bool = False) -> None:
        """Wait until more calls of each worker, or of all but the first, have reached the upstream."""
        lanes = [worker.lane for worker in self._workers.each[1 if others else 0 :]]
        before = Counter(self._upstream.counts)
        await self._until(
            lambda: all(self._upstream.counts[lane] - before[lane] >= _CALLS for lane in lanes),
            f"{when} {_CALLS} calls of each worker reach the upstream",
        )

    def _hits(self, since: float) -> list[Hit]:
        return [hit for hit in self._upstream.hits if hit.at >= since]

    def _own(self, lane: str) -> str:
        return f"{self._url}/{lane}/1"
