"""Plays a scenario under many schedules, each of them made from one seed."""

from __future__ import annotations

import asyncio
import gc
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from recloser.lowlevel import checks
from recloser.testing._errors import ScheduleError, ScheduleFailedError
from recloser.testing._loop import ScheduleLoop
from recloser.testing._schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

T = TypeVar("T")

MAX_STEPS = 100_000


@dataclass(frozen=True)
class Exploration:
    """What was explored: how many schedules, and how many steps they took together."""

    schedules: int
    steps: int


def explore(
    scenario: Callable[[Schedule], Coroutine[Any, Any, object]],
    *,
    schedules: int = 1000,
    seed: int = 0,
    max_steps: int = MAX_STEPS,
) -> Exploration:
    """Play a scenario under many random schedules and stop at the first one that breaks it.

    Every schedule has an event loop of its own that makes one random step at a time, on virtual time; nothing sleeps.
    A schedule is broken if the scenario, a task spawned by it or a callback raises, if nothing can run any more before
    the scenario has ended, or if it takes more than ``max_steps``. Call it from synchronous code.

    Args:
        scenario: An async function that takes a `Schedule`, creates what it tests, and asserts.
        schedules: How many to play, >= 1.
        seed: The seed of the first one; the next ones have the next seeds.
        max_steps: The most steps of the event loop in one schedule, >= 1.

    Returns:
        How much was played.

    Raises:
        ScheduleError: If a schedule broke the scenario; it names the seed for `replay`.
        RuntimeError: If an event loop runs in this thread.
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of its range: nothing would be tested.
    """
    checks.count("schedules", schedules)
    _check_schedule(seed, max_steps)
    steps = 0
    for each in range(seed, seed + schedules):
        steps += _play(scenario, each, max_steps)[1]
    return Exploration(schedules, steps)


def replay(scenario: Callable[[Schedule], Coroutine[Any, Any, T]], *, seed: int, max_steps: int = MAX_STEPS) -> T:
    """Play one schedule of a scenario again.

    Args:
        scenario: The same one that was explored.
        seed: The seed that the error named.
        max_steps: The most steps of the event loop, >= 1.

    Returns:
        What the scenario returns.

    Raises:
        ScheduleError: If the schedule breaks the scenario.
        RuntimeError: If an event loop runs in this thread.
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of its range.
    """
    _check_schedule(seed, max_steps)
    return _play(scenario, seed, max_steps)[0]


def _check_schedule(seed: int, max_steps: int) -> None:
    checks.integer("seed", seed)
    checks.count("max_steps", max_steps)


def _play(scenario: Callable[[Schedule], Coroutine[Any, Any, T]], seed: int, max_steps: int) -> tuple[T, int]:
    _refuse_running_loop()
    rng = Random(seed)
    loop = ScheduleLoop(rng, seed=seed, max_steps=max_steps)
    schedule = Schedule(loop, rng, seed=seed)
    try:
        with _collector_off():
            return _run(scenario, loop, schedule), loop.steps
    except ScheduleError as error:
        error.notes = tuple(schedule.notes)
        raise
    except (KeyboardInterrupt, SystemExit) as error:
        error.add_note(f"raised in the schedule with seed={seed}")
        raise
    except BaseException as error:
        detail = f"{type(error).__name__}: {error}"
        raise ScheduleFailedError(seed, loop.steps, detail, tuple(schedule.notes)) from error


def _run(scenario: Callable[[Schedule], Coroutine[Any, Any, T]], loop: ScheduleLoop, schedule: Schedule) -> T:
    try:
        result = loop.run_until_complete(loop.create_task(_main(scenario, schedule), name="scenario"))
    except BaseException:
        with suppress(ScheduleError):
            loop.finish()
        raise
    loop.finish()
    for error in loop.stray_errors:
        raise error
    return result


async def _main(scenario: Callable[[Schedule], Coroutine[Any, Any, T]], schedule: Schedule) -> T:
    result = await scenario(schedule)
    await schedule.join()
    return result


def _refuse_running_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    message = "the schedule explorer runs event loops of its own: call it from synchronous code"
    raise RuntimeError(message)


@contextmanager
def _collector_off() -> Generator[None]:
    """Keep the garbage collector out of a schedule: a finaliser must strike at the same step in every replay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
