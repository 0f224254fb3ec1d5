"""Runs a scenario under many schedules, each of them derived from a seed."""

from __future__ import annotations

import asyncio
import gc
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

from recloser.lowlevel import checks
from recloser.testing.explorer._errors import ScheduleError, ScheduleFailedError
from recloser.testing.explorer._loop import ScheduleLoop
from recloser.testing.explorer._schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

T = TypeVar("T")

MAX_STEPS = 100_000


@dataclass(frozen=True)
class Exploration:
    """The result of `explore()`: the number of schedules, and the number of steps that they took in total."""

    schedules: int
    steps: int


def explore(
    scenario: Callable[[Schedule], Coroutine[Any, Any, object]],
    *,
    schedules: int = 1000,
    seed: int = 0,
    max_steps: int = MAX_STEPS,
) -> Exploration:
    """Run a scenario under many random schedules, and stop at the first one that breaks it.

    Each schedule has its own event loop, which makes one random step at a time, on virtual time; nothing sleeps. A
    schedule breaks the scenario if the scenario, one of its tasks or a callback raises, if nothing can run although the
    scenario has not ended, or if it takes more than ``max_steps``. Call this function from synchronous code.

    Args:
        scenario: An async function that takes a `Schedule`, creates the objects under test, and asserts.
        schedules: The number of schedules, >= 1.
        seed: The seed of the first schedule; the others have the following seeds.
        max_steps: The most steps that the event loop may make in one schedule, >= 1.

    Returns:
        The number of schedules and of their steps.

    Raises:
        ScheduleError: A schedule broke the scenario; the error has the seed for `replay`.
        RuntimeError: An event loop is running in this thread.
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
    """
    checks.count("schedules", schedules)
    _check_schedule(seed, max_steps)
    steps = 0
    for each in range(seed, seed + schedules):
        steps += _play(scenario, each, max_steps)[1]
    return Exploration(schedules, steps)


def replay(scenario: Callable[[Schedule], Coroutine[Any, Any, T]], *, seed: int, max_steps: int = MAX_STEPS) -> T:
    """Repeat one schedule of a scenario.

    Args:
        scenario: The scenario that was explored.
        seed: The seed from the error.
        max_steps: The most steps that the event loop may make, >= 1.

    Returns:
        The result of the scenario.

    Raises:
        ScheduleError: The schedule breaks the scenario.
        RuntimeError: An event loop is running in this thread.
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
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
    """Disable the garbage collector during a schedule, so that each replay runs finalisers at the same step."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
