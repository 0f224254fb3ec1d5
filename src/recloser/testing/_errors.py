"""What an explored schedule can end with.

ScheduleError (also an AssertionError)     carries the seed that plays the schedule again
 +- ScheduleFailedError                    the scenario raised; its own error is the __cause__
 +- DeadlockError                          nothing is left to run, and the scenario has not ended
 +- StepLimitError                         the scenario takes more steps than it was allowed
"""

from __future__ import annotations

from typing import ClassVar


class ScheduleError(AssertionError):
    """A schedule broke the scenario.

    Args:
        seed: The seed of the schedule; ``replay(scenario, seed=seed)`` plays it again, step by step.
        steps: How many steps the loop had made.
        detail: What happened, as text.
        notes: What the scenario had noted until then, oldest first.
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
    """The scenario, a task of it or a callback raised; the ``__cause__`` is what it raised."""

    summary = "a schedule failed"


class DeadlockError(ScheduleError):
    """Nothing is ready, no timer is set, and the scenario has not ended."""

    summary = "a schedule is deadlocked"


class StepLimitError(ScheduleError):
    """The schedule used up its steps: it spins, or the limit is too low for the scenario."""

    summary = "a schedule reached its step limit"
