"""The explorer finds bugs that were put into a toy breaker on purpose, and none in the sound toy."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import anyio
import pytest

from recloser.testing.explorer import Schedule, ScheduleError, explore, replay
from tests.schedules import toy

SCHEDULES = 1_000
FAILURE_RATE = 0.6
PATIENCE_SECONDS = (0.25, 0.5, 5.0)

BROKEN = [
    toy.AwaitsBeforeTheRelease,
    toy.AwaitsBeforeTheTake,
    toy.ForgetsTheGeneration,
    toy.KeepsThePermitOfACancelledCall,
    toy.ReleasesIntoTheNewEpisode,
]


class Dependency:
    """The dependency of the toy: it fails at random, and counts the probes."""

    def __init__(self, schedule: Schedule, breaker: toy.ToyBreaker) -> None:
        self.schedule = schedule
        self.breaker = breaker
        self.running: Counter[int] = Counter()
        self.ends: set[tuple[str, int]] = set()

    async def answer(self, *, fails: bool) -> None:
        generation, is_probe = self.breaker.generation, self.breaker.state == "half_open"
        self.running[generation] += is_probe
        assert self.running[generation] <= toy.MAX_PROBES, "too many probes at once"
        try:
            await self.schedule.pause(4 * toy.RESET_SECONDS)
        finally:
            self.running[generation] -= is_probe
        self.ends.add((f"half_open -> {'open' if fails else 'closed'}", generation))
        if fails:
            raise ConnectionError

    async def caller(self) -> None:
        for _ in range(3):
            with anyio.move_on_after(self.schedule.rng.choice(PATIENCE_SECONDS)):
                with suppress(ConnectionError, toy.ToyRejectedError):
                    await self.breaker.call(self.answer, fails=self.schedule.rng.random() < FAILURE_RATE)
                await self.schedule.pause()


def scenario_for(breaker_type: type[toy.ToyBreaker]) -> Callable[[Schedule], Coroutine[Any, Any, None]]:
    """Makes a scenario of some callers, of which some are cancelled and some see a failing dependency."""

    async def scenario(schedule: Schedule) -> None:
        breaker = breaker_type(schedule)
        dependency = Dependency(schedule, breaker)
        tasks = [schedule.spawn(dependency.caller) for _ in range(7)]
        for task in tasks[:2]:
            schedule.cancel_later(task)
        await schedule.join()
        for step in breaker.history:
            is_right = not step[0].startswith("half_open") or step in dependency.ends
            assert is_right, f"{step} without a probe that ended so"
        await asyncio.sleep(toy.RESET_SECONDS)
        await breaker.call(dependency.answer, fails=False)
        assert breaker.state == "closed"

    return scenario


def test_the_sound_toy_passes() -> None:
    explore(scenario_for(toy.ToyBreaker), schedules=SCHEDULES)


@pytest.mark.parametrize("broken", BROKEN)
def test_each_seeded_bug_is_found_and_its_seed_shows_it_again(broken: type[toy.ToyBreaker]) -> None:
    with pytest.raises(ScheduleError) as found:
        explore(scenario_for(broken), schedules=SCHEDULES)
    with pytest.raises(type(found.value)) as again:
        replay(scenario_for(broken), seed=found.value.seed)
    assert (again.value.seed, again.value.steps) == (found.value.seed, found.value.steps)
