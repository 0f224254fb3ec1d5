"""Listeners of some kinds of events come and go at any time, and all counts stay right on every path."""

import asyncio
from collections import Counter
from typing import Any

import anyio

from recloser import CircuitBreakerOpenError, Event, StateChanged
from recloser.events import CallFailed, CallIgnored, CallRejected, CallSucceeded, LateOutcome, ProbeAdmitted
from recloser.testing.explorer import Schedule, explore
from tests.schedules.plan import Plan, share
from tests.schedules.scenarios import PATIENCE_SECONDS
from tests.schedules.world import TOTALS, Job

TOTAL_OF = {
    CallSucceeded: "success_total",
    CallFailed: "failure_total",
    CallRejected: "rejected_total",
    ProbeAdmitted: "probe_total",
    LateOutcome: "late_total",
}
"""The total that each kind of event increments; kinds that no single total counts are missing."""
KINDS: tuple[type[Event], ...] = (*TOTAL_OF, CallIgnored, StateChanged)


class Crowd:
    """Callers of a breaker, one lasting listener of one kind, and others that come and go."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.breaker = Plan.draw(schedule.rng).breaker(schedule.now)
        self.tally: Counter[str] = Counter()
        self.kind = schedule.rng.choice(KINDS)
        self.heard: list[Event] = []
        self.breaker.subscribe(self.heard.append, kinds=self.kind)

    async def dependency(self, job: Job) -> object:
        self.tally["admitted"] += 1
        if not job.quick:
            await self.schedule.pause()
        return job.answer()

    async def call(self, job: Job) -> None:
        try:
            assert await self.breaker.call(self.dependency, job) is job.result
        except CircuitBreakerOpenError:
            self.tally["rejected"] += 1
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if error is not job.error:
                raise

    async def caller(self) -> None:
        for _ in range(4):
            with anyio.move_on_after(self.schedule.rng.choice(PATIENCE_SECONDS)):
                await self.call(Job.draw(self.schedule.rng))
            await self.schedule.pause()

    async def guest(self) -> None:
        rng, received = self.schedule.rng, []
        for _ in range(4):
            kinds = tuple(rng.sample(KINDS, rng.randint(1, len(KINDS))))
            leave = self.breaker.subscribe(received.append, kinds=kinds)
            await self.schedule.pause()
            leave()
            assert all(isinstance(event, kinds) for event in received)
            received.clear()
            await self.schedule.pause()

    def check(self) -> None:
        health: dict[str, Any] = self.breaker.health()
        ended = sum(health[f"{kind}_total"] for kind in TOTALS) - health["rejected_total"]
        assert (ended, health["rejected_total"]) == (self.tally["admitted"], self.tally["rejected"])
        expected = {
            StateChanged: self.breaker.generation - 1,
            CallIgnored: health["ignored_total"] + health["cancelled_total"],
            **{kind: health[total] for kind, total in TOTAL_OF.items()},
        }
        assert len(self.heard) == expected[self.kind]
        assert {type(event) for event in self.heard} <= {self.kind}


async def fickle(schedule: Schedule) -> None:
    crowd = Crowd(schedule)
    crowd.breaker.reconfigure(shadow=False, probe_timeout_seconds=None)
    for _ in range(2):
        schedule.spawn(crowd.guest)
    callers = [schedule.spawn(crowd.caller) for _ in range(5)]
    schedule.cancel_later(callers[0])
    await schedule.join()
    crowd.check()


def test_listeners_that_come_and_go_receive_what_they_want_and_change_no_count() -> None:
    explore(fickle, schedules=share(0.1))
