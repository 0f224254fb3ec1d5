"""The callers: what each of them does, and what they saw."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from random import Random

import anyio
import httpx

from recloser import CircuitBreaker, RejectedError
from recloser.cli.demo.plan import Plan
from recloser.cli.demo.upstream import GENERATION_HEADER

__all__ = ["FAULTS", "Call", "Fetch", "Lane", "Outcome", "drive"]

FAULTS = (httpx.TransportError, httpx.HTTPStatusError)
Fetch = Callable[[], Awaitable[None]]


class Outcome(StrEnum):
    """What became of a call, in its caller's eyes."""

    SUCCESS = "success"
    FAILURE = "failure"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Call:
    """One finished call.

    Attributes:
        at: When it ended, in seconds on the demo's clock.
        outcome: What the caller got.
        seconds: How long the caller waited for it.
    """

    at: float
    outcome: Outcome
    seconds: float


class Lane:
    """A group of callers that share one way to the upstream, and the record of what they saw.

    `calls` holds every finished call, `counts` how many there were of each outcome, `lost_seconds` the time that
    callers waited for calls that failed.

    Args:
        name: The first segment of the path of the lane's requests.
        clock: The demo's clock, in seconds.
        breaker: Protects the calls; None leaves them bare.
    """

    def __init__(self, name: str, *, clock: Callable[[], float], breaker: CircuitBreaker | None = None) -> None:
        self.name = name
        self.calls: list[Call] = []
        self.counts: Counter[Outcome] = Counter()
        self.lost_seconds = 0.0
        self._clock = clock
        self._breaker = breaker

    @property
    def headers(self) -> dict[str, str]:
        """What a request says of itself: read in the step that lets a call through, the generation is that call's."""
        return {} if self._breaker is None else {GENERATION_HEADER: str(self._breaker.generation)}

    async def attempt(self, fetch: Fetch) -> None:
        """Make one call and record what came of it."""
        began = self._clock()
        outcome = await self._outcome(fetch)
        ended = self._clock()
        self.calls.append(Call(ended, outcome, ended - began))
        self.counts[outcome] += 1
        if outcome is Outcome.FAILURE:
            self.lost_seconds += ended - began

    async def _outcome(self, fetch: Fetch) -> Outcome:
        try:
            if self._breaker is None:
                await fetch()
            else:
                await self._breaker.call(fetch)
        except RejectedError:
            return Outcome.REJECTED
        except FAULTS:
            return Outcome.FAILURE
        return Outcome.SUCCESS


async def drive(lane: Lane, client: httpx.AsyncClient, plan: Plan, random: Random, stop: anyio.Event) -> None:
    """Keep a lane's callers busy until they are told to stop; calls in flight then end by themselves.

    Args:
        lane: Where the calls go and are recorded.
        client: Has the upstream as its base URL.
        plan: Says how many callers there are and how long each of them thinks between two calls.
        random: Draws the pauses.
        stop: Ends the load.
    """
    fetch = partial(_fetch, client, lane)

    async def caller() -> None:
        while True:
            with anyio.move_on_after(random.uniform(0, 2 * plan.pause_seconds)):
                await stop.wait()
                return
            await lane.attempt(fetch)

    async with anyio.create_task_group() as group:
        for _ in range(plan.callers):
            group.start_soon(caller)


async def _fetch(client: httpx.AsyncClient, lane: Lane) -> None:
    response = await client.get(f"/{lane.name}/orders", headers=lane.headers)
    response.raise_for_status()
