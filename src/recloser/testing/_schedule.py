"""What a scenario is given: tasks that start at random, faults that strike at random, and the virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from random import Random

    from recloser.testing._loop import ScheduleLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

INSTANTS = 5
"""Random instants lie on a grid of so many points, so that some of them coincide."""
SLEEP_RATE = 0.4
MOST_YIELDS = 4
MOST_PAUSES = 4
MOST_STEPS = 40
STEP_RATE = 0.5
"""How often a cancellation is drawn by step, not by instant."""


class Schedule:
    """One run of a scenario: its random choices, its tasks, its virtual time.

    Everything that is drawn, the steps of the event loop as well, comes from ``rng``; a scenario that takes its own
    choices from there is played again exactly by the same seed.
    """

    def __init__(self, loop: ScheduleLoop, rng: Random, *, seed: int) -> None:
        self._loop = loop
        self._spawned: list[asyncio.Task[Any]] = []
        self._faults: dict[asyncio.Task[Any] | None, list[tuple[int, BaseException]]] = {}
        self._pauses: dict[asyncio.Task[Any] | None, int] = {}
        self.rng = rng
        self.seed = seed
        self.notes: list[str] = []

    def now(self) -> float:
        """Read the virtual time in seconds; a breaker takes this method as its ``clock``."""
        return self._loop.time()

    @property
    def steps(self) -> int:
        """How many steps the event loop has made."""
        return self._loop.steps

    def note(self, text: str) -> None:
        """Write a line, with its time, into the log that an error shows."""
        self.notes.append(f"[step {self.steps}, {self.now():g} s] {text}")

    def spawn(
        self,
        function: Callable[[*Ts], Coroutine[Any, Any, T]],
        *args: *Ts,
        within_seconds: float = 2.0,
    ) -> asyncio.Task[T]:
        """Start a task at a random time.

        Args:
            function: The coroutine function that the task runs.
            args: Its positional arguments.
            within_seconds: The task starts at most that much later; 0 starts it at once.

        Returns:
            The task. If it ends with an exception, so does ``join()``; a cancelled one is fine.
        """
        name = f"{len(self._spawned)}:{getattr(function, '__qualname__', repr(function))}"
        task = self._loop.create_task(self._start(self._instant(within_seconds), function, args), name=name)
        self._spawned.append(task)
        return task

    def cancel_later(self, task: asyncio.Task[Any], *, steps: int | None = None, within_seconds: float = 2.0) -> None:
        """Cancel a task, as ``task.cancel()`` does it.

        Args:
            task: Which.
            steps: After how many steps of the loop; None draws a step or an instant.
            within_seconds: The latest instant that can be drawn.
        """
        if steps is None and self.rng.random() < STEP_RATE:
            steps = self.rng.randrange(MOST_STEPS)
        if steps is None:
            self._loop.call_later(self._instant(within_seconds), task.cancel)
        else:
            self._loop.inject(steps, task.cancel)

    def fail_later(self, task: asyncio.Task[Any], error: BaseException, *, pauses: int | None = None) -> None:
        """Raise an error from a ``pause()`` of a task.

        Args:
            task: Which.
            error: What its pause raises.
            pauses: How many pauses of the task pass undisturbed before; None draws their number. If the task makes
                fewer, nothing is raised.
        """
        undisturbed = self.rng.randrange(MOST_PAUSES) if pauses is None else pauses
        plan = (self._pauses.get(task, 0) + undisturbed + 1, error)
        self._faults.setdefault(task, []).append(plan)

    async def pause(self, most_seconds: float = 1.0) -> None:
        """Take a random while: none at all, a few steps of the loop, or some virtual time.

        Args:
            most_seconds: The longest that can be drawn.

        Raises:
            BaseException: What ``fail_later()`` has planned for this pause, once it is over.
        """
        if self.rng.random() < SLEEP_RATE:
            await asyncio.sleep(self._instant(most_seconds))
        for _ in range(self.rng.randrange(MOST_YIELDS)):
            await asyncio.sleep(0)
        task = asyncio.current_task()
        passed = self._pauses[task] = self._pauses.get(task, 0) + 1
        for pause, error in self._faults.get(task, ()):
            if pause == passed:
                raise error

    async def join(self) -> None:
        """Wait until every spawned task has ended; the end of the scenario does the same.

        Raises:
            BaseException: What the first failed one, in the order of spawning, has raised.
        """
        done = 0
        while done < len(self._spawned):
            waiting = self._spawned[done:]
            done = len(self._spawned)
            await asyncio.wait(waiting)
        for task in self._spawned:
            if not task.cancelled():
                task.result()

    def _instant(self, within_seconds: float) -> float:
        return within_seconds * self.rng.randrange(INSTANTS) / (INSTANTS - 1)

    async def _start(self, delay: float, function: Callable[[*Ts], Coroutine[Any, Any, T]], args: tuple[*Ts]) -> T:
        if delay > 0:
            await asyncio.sleep(delay)
        return await function(*args)
