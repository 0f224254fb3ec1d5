"""How long a breaker waits for calls before it takes them for overdue, as plainly as possible: it keeps every sample.

`ended` and the others are called in the order in which things happen.
"""

import asyncio
import math
from dataclasses import dataclass, field

FIRST, EVERY = 3, 4
"""How many samples a generation begins with, and how many successes lie between two later ones, in the schedules."""

DEADLINE = "; reason: deadline exceeded"
SAME_INSTANT = 0.001


@dataclass
class Sampling:
    """Which calls of one generation are samples."""

    count: int
    """The successes of all generations."""
    first: int = FIRST
    starts: int = 8 * FIRST
    """How many calls may begin before the first samples are given up."""
    is_next: bool = True
    """Whether the next call that starts is a sample."""
    is_timed: bool = False
    """Whether all starts are known since a call was cut off."""

    def __post_init__(self) -> None:
        self.due_at = self.count + 1

    def begin(self) -> None:
        """A call begins that may become a sample."""
        self.starts -= 1
        if self.starts <= 0:
            self.first = 0
        self.is_next = self.first > 0

    def taken(self) -> None:
        """A success that has been counted was a sample."""
        self.first = max(0, self.first - 1)
        self.is_next = self.first > 0
        self.due_at = self.count + (1 if self.first else EVERY)

    def skip(self) -> None:
        self.due_at = self.count + EVERY


@dataclass
class Patience:
    """What a breaker knows of how long its calls take."""

    samples: list[float] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    """Of the closed breaker: successes, overdue calls, and changes of the state."""
    deadlines: list[str] = field(default_factory=list)
    cancelled_at: float = -math.inf

    @property
    def slowest(self) -> float | None:
        """The slowest of the last two groups of 32 samples, of which the second one may be incomplete."""
        first = 32 * max(0, math.ceil(len(self.samples) / 32) - 2)
        return max(self.samples[first:], default=None)

    def is_overdue(self, waited: float, limit: float | None, *, by_deadline: bool) -> bool:
        if limit is not None:
            return waited >= limit
        if self.slowest is None:
            return by_deadline and waited >= 0.1
        return waited > max(0.01, self.slowest)

    def is_new(self, error: asyncio.CancelledError, now: float) -> bool:
        """Whether nothing has counted yet of what cut off the call."""
        text = deadline_of(error)
        if text is not None:
            return not any(text is deadline for deadline in self.deadlines)
        return now - self.cancelled_at > SAME_INSTANT

    def remember(self, error: asyncio.CancelledError, now: float) -> None:
        text = deadline_of(error)
        if text is not None:
            self.deadlines.append(text)
        else:
            self.cancelled_at = now

    def is_telling(self) -> bool:
        """Whether the overdue call that has just happened counts, with those before it."""
        self.history.append("overdue")
        runs = "".join(event[0] for event in self.history)  # s, o or c
        refuted = sum(len(run) for run in _runs_before_successes(runs))
        share = refuted / (refuted + runs.count("s") + 20)
        needed = 1
        while share**needed > 0.05:
            needed += 1
        run = len(runs) - len(runs.rstrip("o"))
        return run % needed == 0


def _runs_before_successes(runs: str) -> list[str]:
    """Returns the runs of overdue calls that a success has ended."""
    parts = [part for stretch in runs.split("c") for part in stretch.split("s")[:-1]]
    return [part for part in parts if part]


def deadline_of(error: asyncio.CancelledError) -> str | None:
    text = error.args[0] if error.args else ""
    return text if text.endswith(DEADLINE) else None
