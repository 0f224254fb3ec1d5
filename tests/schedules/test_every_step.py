"""A probe is interrupted at each of its steps, in every style; its permit is never lost."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from recloser import CircuitState, ConsecutiveFailures
from recloser.testing.explorer import Schedule, replay
from tests.schedules.plan import Plan, StopEverything
from tests.schedules.world import Job, World

STEPS = 12
STYLES = (
    "by_call",
    "by_decorator",
    "by_guard",
    "by_acquire",
    "by_try_acquire",
    "by_try_acquire_nowait",
    "by_generator",
    "by_dropping_the_permit",
)
STRIKES = (
    ConnectionError,
    LookupError,
    StopEverything,
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
    asyncio.CancelledError,
)

PLAN = Plan(
    rule=ConsecutiveFailures(1),
    backoff=1.0,
    expected=ConnectionError,
    success_threshold=1,
    max_probes=1,
    probe_timeout_seconds=None,
    overdue_after_seconds=None,
    judges_results=False,
)


async def half_open(schedule: Schedule) -> World:
    """Makes a breaker that has tripped, and whose next call is a probe."""
    world = World(schedule, PLAN)
    await world.run(Job(None, ConnectionError()), world.by_call)
    assert world.breaker.state is CircuitState.OPEN
    await asyncio.sleep(1.0)
    return world


def cancelled_at(style: str, step: int) -> Callable[[Schedule], Coroutine[Any, Any, bool]]:
    async def scenario(schedule: Schedule) -> bool:
        world = await half_open(schedule)
        job = Job(object(), None)
        probe = schedule.spawn(world.run, job, getattr(world, style), within_seconds=0)
        schedule.cancel_later(probe, steps=step)
        await asyncio.wait([probe])
        await world.recover()
        world.add_up()
        return probe.cancelled() and job.started

    return scenario


@pytest.mark.parametrize("style", STYLES)
def test_a_probe_that_is_cancelled_at_any_step_gives_its_permit_back(style: str) -> None:
    struck = [replay(cancelled_at(style, step), seed=seed) for step in range(STEPS) for seed in range(10)]
    assert any(struck)
    assert not all(struck)


@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize("style", STYLES[:-1])
def test_a_probe_that_raises_anything_gives_its_permit_back(style: str, strike: type[BaseException]) -> None:
    async def scenario(schedule: Schedule) -> None:
        world = await half_open(schedule)
        job = Job(None, strike())
        try:
            await world.run(job, getattr(world, style))
        except asyncio.CancelledError as error:
            assert error is job.error  # noqa: PT017 - pytest.raises() would do, and hide the traceback
        assert job.started
        assert world.breaker.state is not CircuitState.HALF_OPEN or strike not in (ConnectionError, LookupError)
        await world.recover()
        world.add_up()

    for seed in range(10):
        replay(scenario, seed=seed)
