"""The errors of the schedule explorer.

::

    ScheduleError                              also an AssertionError; has the seed to replay the schedule
     +- ScheduleFailedError                    the scenario raised; its exception is the __cause__
     +- DeadlockError                          nothing can run, and the scenario has not ended
     +- StepLimitError                         the scenario takes more steps than allowed
"""

from __future__ import annotations

from typing import ClassVar


class ScheduleError(AssertionError):
    """A schedule broke the scenario.

    Args:
        seed: The seed of the schedule; ``replay(scenario, seed=seed)`` repeats it step by step.
        steps: How many steps the event loop had made.
        detail: A description of what happened.
        notes: The notes of the scenario until then, oldest first.
    """

    summary: ClassVar[str] = "a schedule broke the scenario"

    def __init__(self, seed: int, steps: int, detail: str, notes: tuple[str, ...] = ()) -> None:
        super().__init__(seed, steps, detail, notes)
        self.seed = seed
        self.steps = steps
        self.detail = detail
        self.notes = notes

    def __str__(self) -> str:
        head = f"{self.summary} (step {self.steps}; play it again with seed={self.seed}): {self.detail}"
        return "\n  ".join((head, *self.notes))


class ScheduleFailedError(ScheduleError):
    """The scenario, one of its tasks or a callback raised; the ``__cause__`` is the exception."""

    summary = "a schedule failed"


class DeadlockError(ScheduleError):
    """The scenario has not ended, but no task is ready and no timer is set."""

    summary = "a schedule is deadlocked"


class StepLimitError(ScheduleError):
    """The schedule has used up its steps: it loops without end, or the limit is too low for the scenario."""

    summary = "a schedule reached its step limit"
