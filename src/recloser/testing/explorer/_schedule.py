"""The argument of a scenario: tasks that start at random times, faults at random points, and the virtual time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from random import Random

    from recloser.testing.explorer._loop import ScheduleLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

INSTANTS = 5
"""Random times lie on a grid of so many points, so that some of them coincide."""
SLEEP_RATE = 0.4
MOST_YIELDS = 4
MOST_PAUSES = 4
MOST_STEPS = 40
STEP_RATE = 0.5
"""How often a cancellation is drawn by step, not by time."""


class Schedule:
    """One run of a scenario: its random choices, its tasks, its virtual time.

    All random choices, including the steps of the event loop, come from ``rng``. If the scenario draws its own choices
    from it too, the same seed repeats the run exactly.
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
        """Return the virtual time in seconds; use this method as the ``clock`` of a breaker."""
        return self._loop.time()

    @property
    def steps(self) -> int:
        """How many steps the event loop has made."""
        return self._loop.steps

    def note(self, text: str) -> None:
        """Add a line, with the step and the time, to the notes that an error shows."""
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
            within_seconds: The latest time at which the task starts, in seconds from now; 0 starts it immediately.

        Returns:
            The task. If it ends with an exception, ``join()`` raises it; a cancellation is no error.
        """
        name = f"{len(self._spawned)}:{getattr(function, '__qualname__', repr(function))}"
        task = self._loop.create_task(self._start(self._instant(within_seconds), function, args), name=name)
        self._spawned.append(task)
        return task

    def cancel_later(self, task: asyncio.Task[Any], *, steps: int | None = None, within_seconds: float = 2.0) -> None:
        """Cancel a task later, with ``task.cancel()``.

        Args:
            task: The task.
            steps: After how many steps of the loop; None to draw a step or a time.
            within_seconds: The latest time that can be drawn, in seconds from now.
        """
        if steps is None and self.rng.random() < STEP_RATE:
            steps = self.rng.randrange(MOST_STEPS)
        if steps is None:
            self._loop.call_later(self._instant(within_seconds), task.cancel)
        else:
            self._loop.inject(steps, task.cancel)

    def fail_later(self, task: asyncio.Task[Any], error: BaseException, *, pauses: int | None = None) -> None:
        """Raise an exception in a ``pause()`` of a task.

        Args:
            task: The task.
            error: The exception that its pause raises.
            pauses: How many pauses of the task pass before; None to draw their number. If the task makes fewer, nothing
                is raised.
        """
        undisturbed = self.rng.randrange(MOST_PAUSES) if pauses is None else pauses
        plan = (self._pauses.get(task, 0) + undisturbed + 1, error)
        self._faults.setdefault(task, []).append(plan)

    async def pause(self, most_seconds: float = 1.0) -> None:
        """Wait for a random time: not at all, a few steps of the loop, or some virtual time.

        Args:
            most_seconds: The longest time that can be drawn.

        Raises:
            BaseException: At the end of the pause, the exception that ``fail_later()`` has planned for it.
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
        """Wait until all spawned tasks have ended; this also happens at the end of the scenario.

        Raises:
            BaseException: The exception of the first task that failed, in the order of spawning.
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
