"""An asyncio event loop that makes one random step at a time, on virtual time.

* Each turn runs one handle, drawn from all that are ready. asyncio runs handles in the order of their arrival, but does
  not guarantee it. Drawing single handles reaches interleavings that shuffling the handles of a turn cannot.
* Time stands still during steps and jumps to the next timer when nothing is ready. From time to time it jumps earlier,
  as if the last step had been slow. Without that, a cancel scope that retries its delivery on every turn would keep a
  timer from firing.
* The same seed gives the same steps. anyio wakes the tasks of a cancelled scope in the order of a set, which depends on
  addresses. Therefore the handles that a step makes ready are sorted by the age of their tasks.
* There is no selector: no sockets, no pipes, no worker threads. When nothing can run any more, the loop raises.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
import math
from operator import attrgetter, methodcaller
from typing import TYPE_CHECKING, Any, TypeVar

from recloser.testing.explorer._errors import DeadlockError, StepLimitError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
    from random import Random
    from weakref import WeakSet

T = TypeVar("T")

SLOW_STEP_RATE = 1 / 32
"""How often the next timer fires although something is still ready."""
WIND_DOWN_STEPS = 10_000

# What asyncio keeps to itself, and every event loop needs.
run_handle = methodcaller("_run")
callback_of = attrgetter("_callback")
is_unseen = attrgetter("_log_traceback")


class ScheduleLoop(asyncio.BaseEventLoop):
    """The event loop of one schedule.

    Args:
        rng: Draws the steps.
        seed: The seed of ``rng``, for errors.
        max_steps: After how many steps the loop raises.
    """

    _ready: list[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _stopping: bool
    _asyncgens: WeakSet[AsyncGenerator[object, object]]

    def __init__(self, rng: Random, *, seed: int, max_steps: int) -> None:
        super().__init__()
        self._ready = []
        self._random = rng.random
        self._seed = seed
        self._max_steps = max_steps
        self._now = 0.0
        self._birth_order: dict[asyncio.Task[Any], int] = {}
        self._injections: dict[int, list[Callable[[], object]]] = {}
        self.steps: int = 0
        self.stray_errors: list[BaseException] = []
        self.set_exception_handler(self._keep_stray)

    def time(self) -> float:
        """Return the virtual time, in seconds since the schedule began."""
        return self._now

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        **options: Any,  # noqa: ANN401 - those of BaseEventLoop, which depend on the Python version
    ) -> asyncio.Task[T]:
        """Start a task, and record its number."""
        task = super().create_task(coro, **options)
        self._birth_order[task] = len(self._birth_order)
        return task

    def inject(self, after_steps: int, action: Callable[[], object]) -> None:
        """Call ``action`` after so many more steps, or when nothing else is left to do."""
        self._injections.setdefault(self.steps + 1 + after_steps, []).append(action)

    def unfinished(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that have not ended, oldest first."""
        return [task for task in self._birth_order if not task.done()]

    def finish(self) -> None:
        """Cancel the tasks that still run, let them end, and close the loop.

        Raises:
            ScheduleError: A task does not end when it is cancelled.
        """
        self._injections.clear()
        self._max_steps = self.steps + WIND_DOWN_STEPS
        try:
            if self.unfinished() or self._asyncgens:
                self.run_until_complete(self._wind_down())
        finally:
            self.stray_errors += [error for task in self._birth_order if (error := _unseen_error(task))]
            self._birth_order.clear()
            self.close()

    async def _wind_down(self) -> None:
        while leftover := [task for task in self.unfinished() if task is not asyncio.current_task()]:
            for task in leftover:
                while not _has_started(task):  # noqa: ASYNC110 - it waits for a step of this loop
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait(leftover)
        await self.shutdown_asyncgens()

    def _keep_stray(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.stray_errors.append(context.get("exception") or RuntimeError(context["message"]))

    def _run_once(self) -> None:
        self.steps += 1
        if self.steps in self._injections:
            self._inject_now(self.steps)
        ready = self._ready
        if self._scheduled and (not ready or self._random() < SLOW_STEP_RATE):
            self._jump()
        if not ready:
            self._idle()
            return
        if self.steps > self._max_steps:
            raise StepLimitError(self._seed, self.steps, self._where())
        chosen = int(self._random() * len(ready))
        handle, ready[chosen] = ready[chosen], ready[-1]
        ready.pop()
        older = len(ready)
        if not handle.cancelled():
            run_handle(handle)
        if len(ready) > older + 1:
            ready[older:] = sorted(ready[older:], key=self._age)

    def _jump(self) -> None:
        scheduled = self._scheduled
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)
        if scheduled and scheduled[0].when() < math.inf:  # anyio.sleep_forever() is a timer that never fires
            self._now = max(self._now, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now:
            self._ready.append(heapq.heappop(scheduled))

    def _idle(self) -> None:
        if self._injections:
            self._inject_now(min(self._injections))
        elif not self._stopping:
            raise DeadlockError(self._seed, self.steps, self._where())

    def _inject_now(self, step: int) -> None:
        for action in self._injections.pop(step):
            action()

    def _age(self, handle: asyncio.Handle) -> int:
        owner = getattr(callback_of(handle), "__self__", None)
        return self._birth_order.get(owner, -1) if isinstance(owner, asyncio.Task) else -1

    def _where(self) -> str:
        return "; ".join(f"{task.get_name()} waits in {_waiting_chain(task)}" for task in self.unfinished())

    def _write_to_self(self) -> None:
        """Do nothing: there is no selector to wake."""


def _has_started(task: asyncio.Task[Any]) -> bool:
    """Return whether a task has made its first step; cancelling it earlier leaves coroutines that are never awaited."""
    coroutine: object = task.get_coro()
    return not inspect.iscoroutine(coroutine) or inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED


def _unseen_error(task: asyncio.Task[Any]) -> BaseException | None:
    """Return the exception of a task that nobody has retrieved, None if there is none."""
    return task.exception() if is_unseen(task) else None


def _waiting_chain(task: asyncio.Task[Any]) -> str:
    waiting: object = task.get_coro()
    chain: list[str] = []
    while inspect.iscoroutine(waiting) and waiting.cr_frame is not None:
        chain.append(f"{waiting.__qualname__}:{waiting.cr_frame.f_lineno}")
        waiting = waiting.cr_await
    return " > ".join(chain)
