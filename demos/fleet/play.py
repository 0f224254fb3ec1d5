"""The play: seven acts, each with what must come of it, counted at the upstream."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import pairwise
from typing import Protocol

from demos.fleet.pace import Pace
from demos.fleet.server import Server
from demos.fleet.workers import Crew, until
from recloser.cli.demo.plan import Phase
from recloser.cli.demo.upstream import Hit, Upstream

__all__ = ["HEALTHY", "Act", "Play", "Report", "Stage"]

HEALTHY = Phase(name="healthy", seconds=0.0, latency_seconds=0.005)
_DOWN = Phase(name="down", seconds=0.0, replies=(HTTPStatus.SERVICE_UNAVAILABLE,), latency_seconds=0.005)
_NOWHERE = "http://127.0.0.1:9"  # the port of a service that no machine runs any more
_PATIENCE_SECONDS = 10.0
_ON_THE_WAY_SECONDS = 0.1
"""A request that was let through just before its breaker opened has arrived after this time."""
_CALLS = 10
_PERIODS = 3
_TOLERANCE = 0.9
"""Reset timeouts are told apart by clocks of several processes."""


@dataclass(slots=True)
class Act:
    """What came of one act.

    Attributes:
        title: What happens in it.
        lines: What was seen.
        reached: Requests that reached the upstream during it, by worker.
        problems: What is not as it should be, one sentence each.
    """

    title: str
    lines: list[str] = field(default_factory=list[str])
    reached: Counter[str] = field(default_factory=Counter[str])
    problems: list[str] = field(default_factory=list[str])

    def see(self, line: str) -> None:
        """Note what was seen."""
        self.lines.append(line)

    def claim(self, line: str, *, is_so: bool) -> None:
        """Note what was to be seen, or that it was not."""
        (self.lines if is_so else self.problems).append(line if is_so else f"it is not so: {line}")


class Report(Protocol):
    """Shows acts while they are played."""

    def begin(self, number: int, act: Act) -> None:
        """Say that an act begins."""

    def end(self, act: Act) -> None:
        """Show what came of it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a play is played with.

    Attributes:
        crew: The workers.
        upstream: What they call.
        url: Its address.
        server: The fleet's store.
        pace: The times of the run.
    """

    crew: Crew
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
        self._crew = stage.crew
        self._upstream = stage.upstream
        self._url = stage.url
        self._server = stage.server
        self._pace = stage.pace
        self._report = report
        self.acts: list[Act] = []

    async def run(self) -> None:
        """Play all acts.

        Raises:
            StageError: Something for which the play waits does not come.
        """
        acts = {
            "All is well: each worker calls the upstream": self._healthy,
            "One worker is sick: its own way to the upstream is broken": self._sick,
            "The upstream fails for everybody": self._outage,
            "It stays down: one request per reset timeout, from all workers together": self._probing,
            "The upstream is back": self._recovery,
            "Redis is killed, then the upstream fails: each worker decides alone": self._alone,
            "Redis is back: they decide together again": self._healed,
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
        await self._until(lambda: self._crew.are_connected(connected=True), "that all workers reach Redis")
        await self._until_called("a worker's first calls")
        act.claim("all breakers are closed", is_so=self._crew.are("closed"))

    async def _sick(self, act: Act) -> None:
        sick, *others = self._crew.hands
        await sick.order(_NOWHERE)
        await self._until(lambda: sick.state == "open", "that the sick worker's breaker opens")
        await self._until_called("the calls of the others", others=True)
        changed = [hand for hand in others if hand.changes]
        act.claim("its breaker alone opened: the evidence of one worker is no quorum", is_so=not changed)
        await sick.order(self._own(sick.lane))
        await self._until(lambda: self._crew.are("closed"), "that the sick worker recovers")
        act.see("its way is mended, and it closed by itself")

    async def _outage(self, act: Act) -> None:
        begun = await self._fail(act)
        opened = self._crew.since(begun, "open")
        failed = len(self._hits(begun))
        spread = (opened[-1] - opened[0]) * 1_000
        act.see(f"after {failed} failed requests all {len(opened)} breakers opened within {spread:.1f} ms")

    async def _probing(self, act: Act) -> None:
        begun = max(self._crew.since(0.0, "open")) + _ON_THE_WAY_SECONDS
        wanted = "that a probe reaches the upstream in each reset timeout"
        limit = _PATIENCE_SECONDS + _PERIODS * self._pace.open_seconds
        await until(lambda: len(self._hits(begun)) >= _PERIODS, wanted, limit)
        self._claim_one_per_period(act, self._hits(begun))

    async def _recovery(self, act: Act) -> None:
        await self._recover(act)

    async def _alone(self, act: Act) -> None:
        self._server.kill()
        await self._until(lambda: self._crew.are_connected(connected=False), "that all workers miss Redis")
        await self._until_called("calls without Redis")
        act.claim("without Redis all calls go on; each breaker decides alone", is_so=self._crew.are("closed"))
        begun = time.monotonic()
        self._upstream.phase = _DOWN
        await self._until(lambda: self._crew.are("open"), "that all breakers open alone")
        opened = max(self._crew.since(begun, "open")) + _ON_THE_WAY_SECONDS
        seconds = 2 * 1.5 * self._pace.open_seconds  # each of two reset timeouts is longer by up to half
        lanes = {hand.lane for hand in self._crew.hands}
        wanted = "that each worker tries by itself"
        await until(lambda: {hit.lane for hit in self._hits(opened)} == lanes, wanted, _PATIENCE_SECONDS + seconds)
        tried = self._hits(opened)
        per_worker = Counter(hit.lane for hit in tried)
        periods = (time.monotonic() - opened) / self._pace.open_seconds + 1
        spread = tried[-1].at - tried[0].at
        act.claim(
            f"each breaker opened alone, and tried alone: {len(tried)} requests of {len(lanes)} workers, "
            f"spread over {spread:.2f} s",
            is_so=max(per_worker.values()) <= periods,
        )
        self._upstream.phase = HEALTHY
        await self._until(lambda: self._crew.are("closed"), "that all breakers close alone")
        act.see("the upstream is back, and each worker closed by itself")

    async def _healed(self, act: Act) -> None:
        await self._server.start()
        await self._until(lambda: self._crew.are_connected(connected=True), "that all workers find Redis again")
        await self._until(lambda: self._crew.are("closed"), "that all breakers are closed")
        begun = await self._fail(act)
        opened = max(self._crew.since(begun, "open")) + _ON_THE_WAY_SECONDS
        await self._until(lambda: len(self._hits(opened)) >= 1, "that a probe reaches the upstream")
        self._claim_one_per_period(act, self._hits(opened))
        await self._recover(act)

    # What several acts have in common

    async def _fail(self, act: Act) -> float:
        """Let the upstream fail until all breakers are open; return when it began to."""
        begun = time.monotonic()
        self._upstream.phase = _DOWN
        await self._until(lambda: self._crew.are("open"), "that all breakers open")
        act.see("all breakers are open")
        return begun

    async def _recover(self, act: Act) -> None:
        """Let the upstream work until all breakers are closed."""
        begun = time.monotonic()
        self._upstream.phase = HEALTHY
        await self._until(lambda: self._crew.are("closed"), "that all breakers close")
        closed = self._crew.since(begun, "closed")
        tried = [hit for hit in self._hits(begun) if hit.at < closed[0]]
        spread = (closed[-1] - closed[0]) * 1_000
        act.claim(
            f"{len(tried)} request found it well again, and all {len(closed)} breakers closed within {spread:.1f} ms",
            is_so=len(tried) == 1,
        )

    def _claim_one_per_period(self, act: Act, tried: list[Hit]) -> None:
        gaps = [later.at - earlier.at for earlier, later in pairwise(tried)]
        shortest = min(gaps, default=self._pace.open_seconds)
        by = ", ".join(hit.lane for hit in tried)
        requests = "1 request" if len(tried) == 1 else f"{len(tried)} requests"
        line = f"{requests} in as many reset timeouts of {self._pace.open_seconds} s, by {by}"
        if gaps:
            line += f"; at least {shortest:.2f} s apart"
        act.claim(line, is_so=shortest >= _TOLERANCE * self._pace.open_seconds)

    async def _until(self, is_so: Callable[[], bool], what: str) -> None:
        await until(is_so, what, _PATIENCE_SECONDS + 2 * self._pace.open_seconds)

    async def _until_called(self, what: str, *, others: bool = False) -> None:
        """Wait until further calls of each worker, or of all but the first, have reached the upstream."""
        lanes = [hand.lane for hand in self._crew.hands[1 if others else 0 :]]
        before = Counter(self._upstream.counts)
        await self._until(
            lambda: all(self._upstream.counts[lane] - before[lane] >= _CALLS for lane in lanes),
            f"{what}, {_CALLS} each",
        )

    def _hits(self, since: float) -> list[Hit]:
        return [hit for hit in self._upstream.hits if hit.at >= since]

    def _own(self, lane: str) -> str:
        return f"{self._url}/{lane}/1"
