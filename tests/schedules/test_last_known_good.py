"""Calls of a chain with a memory start, end, fail and are cancelled in any order: what is served follows one rule.

The model learns of each call's start and end in the step in which the chain does. It keeps, per key, the
answer of the call that started last, of those that started together the one that ended last.
"""

import asyncio
from collections import Counter

from recloser import Constant, Fallback, LastKnownGood, NoAnswer
from recloser.testing.explorer import Schedule, explore, replay
from tests.schedules.plan import share

TTL_SECONDS = 1.5
KEYS = "ab"
FAILURE_RATE = 0.4


class Crowd:
    """Callers, the dependency that they call, and the model of what is remembered."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.memory = LastKnownGood(TTL_SECONDS, 10, clock=schedule.now)
        self.fetch = Fallback(self.memory, Constant("default"))(self.dependency)
        self.model: dict[str, tuple[str, float]] = {}
        self.started: dict[asyncio.Task[None] | None, float] = {}
        self.served: Counter[str] = Counter()

    async def dependency(self, key: str) -> str:
        await self.schedule.pause(2 * TTL_SECONDS)
        if self.schedule.rng.random() < FAILURE_RATE:
            raise NoAnswer
        answer, started = f"{key} in step {self.schedule.steps}", self.started[asyncio.current_task()]
        if key not in self.model or self.model[key][1] <= started:
            self.model[key] = (answer, started)
        return answer

    async def caller(self) -> None:
        for _ in range(4):
            key = self.schedule.rng.choice(KEYS)
            self.started[asyncio.current_task()] = self.schedule.now()
            answer = await self.fetch.detailed(key)
            self.served[answer.source] += 1
            if answer.source != "dependency":
                value, started = self.model.get(key, ("", -TTL_SECONDS))
                age = self.schedule.now() - started
                expected = (value, age) if age < TTL_SECONDS else ("default", None)
                assert (answer.value, answer.age_seconds) == expected
            await self.schedule.pause()


async def scenario(schedule: Schedule) -> Counter[str]:
    crowd = Crowd(schedule)
    callers = [schedule.spawn(crowd.caller) for _ in range(5)]
    schedule.cancel_later(callers[0])
    await schedule.join()
    assert len(crowd.memory) <= len(KEYS)
    answers = {source: counts["answers_total"] for source, counts in crowd.fetch.health()["links"].items()}
    assert answers == {source: crowd.served[source] for source in crowd.fetch.sources}
    return crowd.served


def test_what_is_served_is_the_answer_of_the_call_that_started_last_and_never_an_expired_one() -> None:
    explore(scenario, schedules=share(0.2))


def test_the_schedules_reach_every_source() -> None:
    served = sum((replay(scenario, seed=seed) for seed in range(20)), Counter())
    assert min(served[source] for source in ("dependency", "last_known_good", "constant")) > 20
