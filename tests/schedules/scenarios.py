"""What happens to a breaker in a schedule: callers, operators, readers and waiters, all at once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import anyio

from recloser.testing.explorer import Schedule
from tests.schedules.observer import ROOMY, Observer, Reader
from tests.schedules.plan import Plan
from tests.schedules.world import World

RECOVERS = 0.3
WATCHED = 0.5
OBSERVED = 0.3
PATIENCE_SECONDS = (0.0, 0.25, 0.5, 1.0, 5.0, 5.0)


async def one_by_one(world: World) -> None:
    schedule = world.schedule
    for _ in range(schedule.rng.randint(1, 3)):
        with anyio.move_on_after(schedule.rng.choice(PATIENCE_SECONDS)):
            await world.run(world.job())
        await schedule.pause()


async def side_by_side(world: World) -> None:
    schedule = world.schedule
    with anyio.move_on_after(schedule.rng.choice(PATIENCE_SECONDS)):
        async with anyio.create_task_group() as group:
            for _ in range(schedule.rng.randint(1, 3)):
                group.start_soon(world.run, world.job())
                await schedule.pause()


async def patient(world: World) -> None:
    """Waits until a call has a chance, and takes it.

    It goes through, unless it is the one to notice that a probe timed out.
    """
    schedule = world.schedule
    for _ in range(10):
        ready = await world.breaker.wait_until_ready(schedule.rng.choice((None, 0.0, 0.5, 1.0)))
        job, timed_out = world.job(), world.model.totals["timed_out"]
        await world.run(job, world.by_call)
        if world.model.totals["timed_out"] == timed_out:
            assert job.started == (ready or world.plan.shadow), "the wait and the breaker disagree"
        if job.started:
            break
        await schedule.pause()


async def operator(world: World) -> None:
    """Changes the breaker by hand while calls are running."""
    schedule = world.schedule
    for _ in range(schedule.rng.randint(1, 3)):
        await schedule.pause(2.0)
        action = schedule.rng.choice(("force", "force for", "disable", "reset", "reset", "reconfigure", "reconfigure"))
        if action == "force":
            world.force_open(None)
        elif action == "force for":
            world.force_open(schedule.rng.choice((0.25, 1.0)))
        elif action == "disable":
            world.disable()
        elif action == "reset":
            world.reset()
        else:
            world.reconfigure()


async def watcher(world: World) -> None:
    """Changes who watches the breaker while calls are running."""
    schedule = world.schedule
    for _ in range(schedule.rng.randint(1, 4)):
        await schedule.pause(2.0)
        await world.watchers.change()
    await schedule.pause()
    await world.watchers.stop_streams()


def start(world: World, *kinds: Callable[[World], Coroutine[Any, Any, None]], count: int) -> None:
    """Starts callers at random times, and cancels some of them."""
    schedule = world.schedule
    tasks = [schedule.spawn(schedule.rng.choice(kinds), world) for _ in range(count)]
    for task in tasks[: schedule.rng.randrange(3)]:
        schedule.cancel_later(task)


async def calls(schedule: Schedule, plan: Plan | None = None) -> None:
    """Callers in every style, some with a deadline, some cancelled; in half of the schedules, watchers come and go."""
    world = World(schedule, plan)
    if schedule.rng.random() < WATCHED:
        schedule.spawn(watcher, world)
    start(world, one_by_one, one_by_one, side_by_side, count=5)
    await schedule.join()
    await world.recover()
    world.add_up()


async def control_by_hand(schedule: Schedule) -> None:
    """The same while an operator opens, closes, disables and reconfigures, and some wait until they have a chance."""
    world = World(schedule)
    observer = Observer(world) if schedule.rng.random() < OBSERVED else None
    schedule.spawn(watcher, world)
    control = schedule.spawn(operator, world)
    start(world, one_by_one, side_by_side, count=4)
    waiting = [schedule.spawn(patient, world) for _ in range(2)]
    schedule.cancel_later(waiting[0])
    await control
    await world.unlock()
    await schedule.join()
    await world.recover()
    world.add_up()
    if observer is not None:
        observer.check()


async def streams(schedule: Schedule) -> None:
    """The same while readers of the events fall behind."""
    world = World(schedule)
    observer = Observer(world)
    readers = [Reader(observer, max_buffer) for max_buffer in (1, 3, ROOMY)]
    for reader in readers:
        schedule.spawn(reader.read)
    schedule.cancel_later(schedule.spawn(Reader(observer, 2).read))
    start(world, one_by_one, side_by_side, count=4)
    await asyncio.sleep(8)
    for reader in readers:
        reader.is_last_call = True
    await schedule.join()
    await world.recover()
    world.add_up()
    observer.check()


def one_loop_after_another() -> Callable[[Schedule], Coroutine[Any, Any, None]]:
    """The same with one breaker for all schedules, each of which ends in the middle of calls."""
    worlds: list[World] = []
    keep: list[asyncio.Task[None]] = []

    async def scenario(schedule: Schedule) -> None:
        if not worlds:
            worlds.append(World(schedule))
        world = worlds[0]
        world.move_to(schedule)
        if schedule.rng.random() < RECOVERS:
            await world.recover()
            world.add_up()
        running = asyncio.get_running_loop()
        keep.extend(running.create_task(kind(world)) for kind in (one_by_one, side_by_side, patient, patient))
        await one_by_one(world)

    return scenario
