"""Any setting may change at any time, the trip rule and its window as well.

The model does not follow that. What must hold all the same: too many probes never run, every caller gets what is
its own, the counts add up, and the breaker never gets stuck.
"""

import asyncio
from collections import Counter
from typing import Any

import anyio

from recloser import CircuitBreakerOpenError, CircuitState
from recloser.testing.explorer import Schedule, explore
from tests.schedules.plan import LONGEST_WAIT_SECONDS, MOST_MINIMUM_CALLS, Plan, share
from tests.schedules.scenarios import PATIENCE_SECONDS
from tests.schedules.world import TOTALS, Job

MOST_PROBES = 3


def draw_options(schedule: Schedule) -> dict[str, Any]:
    return Plan.draw(schedule.rng).options() | {"shadow": False, "probe_timeout_seconds": None}


class Crowd:
    """Callers of a breaker that is changed while they call."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.breaker = Plan.draw(schedule.rng).breaker(schedule.now)
        self.tally: Counter[str] = Counter()
        self.probes: Counter[int] = Counter()

    async def dependency(self, job: Job) -> object:
        self.tally["admitted"] += 1
        generation, is_probe = self.breaker.generation, self.breaker.state is CircuitState.HALF_OPEN
        self.probes[generation] += is_probe
        assert self.probes[generation] <= MOST_PROBES, "too many probes at once"
        try:
            if not job.quick:
                await self.schedule.pause()
            return job.answer()
        finally:
            self.probes[generation] -= is_probe

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

    async def operator(self) -> None:
        for _ in range(5):
            await self.schedule.pause(1.5)
            self.breaker.reconfigure(**draw_options(self.schedule))

    async def recover(self) -> None:
        for _ in range(2 * MOST_MINIMUM_CALLS):
            await asyncio.sleep(LONGEST_WAIT_SECONDS)
            admitted = self.tally["admitted"]
            await self.call(Job(object(), None, quick=True))
            assert self.tally["admitted"] == admitted + 1, "the breaker is stuck"
        assert self.breaker.state is CircuitState.CLOSED, f"successes leave the breaker {self.breaker.state}"


async def changes(schedule: Schedule) -> None:
    crowd = Crowd(schedule)
    crowd.breaker.reconfigure(**draw_options(schedule))
    schedule.spawn(crowd.operator)
    callers = [schedule.spawn(crowd.caller) for _ in range(5)]
    schedule.cancel_later(callers[0])
    await schedule.join()
    await crowd.recover()
    health = crowd.breaker.health()
    ended = sum(health[f"{kind}_total"] for kind in TOTALS) - health["rejected_total"]
    assert (ended, health["rejected_total"]) == (crowd.tally["admitted"], crowd.tally["rejected"])


def test_counts_add_up_and_nobody_gets_stuck_while_everything_is_reconfigured() -> None:
    explore(changes, schedules=share(0.1))
