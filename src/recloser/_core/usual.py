"""How long the successes of a breaker usually take, and which calls that were cut off were overdue.

A call that is cut off from outside is a failure if it was overdue: if it had been awaited for longer than the
dependency usually takes. Otherwise it is ignored, because it might have been answered a moment later.

What is usual is the slowest of a sliding set of samples. There is no factor: under a fixed time limit no success is
slower than the limit, so a dependency that begins to hang is noticed. Samples are the first successes of a generation,
and then one in a few hundred, so that a closed breaker need not know when each call started.

Where the time limit of all calls is so short that calls often exceed it, the dependency answers again and again after
calls that seemed overdue. Then one of them says little, and only as many of them in a row as rarely occur count as one
failure. `benchmarks/overdue.py` has the simulation behind the numbers.
"""

from __future__ import annotations

import math
from typing import Final

FIRST_SAMPLES: Final = 32
"""How many calls of a new generation are samples, one after another."""
SAMPLE_EVERY: Final = 512
"""How many successes there are from one sample to the next, after that."""
GROUP_SIZE: Final = 32
"""The sliding set has two groups of samples; when the second one is full, it becomes the first."""
LEAST_SECONDS: Final = 0.010
"""No call is overdue before that."""
DEADLINE_SECONDS: Final = 0.1
"""If no success is known, a deadline that ran for so long counts."""
RARE: Final = 0.05
"""The greatest probability of as many overdue calls in a row as count as one failure."""
CALLS_ASSUMED: Final = 20
"""How many answered calls a breaker assumes before it knows how often calls seem overdue."""
CALLS_REMEMBERED: Final = 4096
"""After so many calls, older ones begin to weigh less in how often calls seem overdue."""


class UsualDuration:
    """How long successes take, by samples, and how many calls were overdue.

    It is a part of each breaker's machine, so there is one for each breaker: a second object would not be small.
    """

    __slots__ = ("_filled", "_slowest_before", "_slowest_now", "overdue_calls")

    def __init__(self) -> None:
        self._slowest_before: float | None = None
        self._slowest_now: float | None = None
        self._filled: int = 0
        self.overdue_calls: OverdueCalls | None = None  # made for the first one

    @property
    def slowest(self) -> float | None:
        """How long the slowest of the samples took, in seconds; None if there is none."""
        if self._slowest_now is None or self._slowest_before is None:
            return self._slowest_now
        return max(self._slowest_before, self._slowest_now)

    def learn(self, seconds: float) -> None:
        """Add a sample: how long a success was awaited; a clock that went back makes that 0."""
        seconds = max(0.0, seconds)
        if self._filled == GROUP_SIZE:
            self._slowest_before, self._slowest_now, self._filled = self._slowest_now, None, 0
        self.learn_more(seconds)
        self._filled += 1

    def learn_more(self, seconds: float) -> None:
        """Note that what the latest sample is about took longer: a later part of a stream."""
        if self._slowest_now is None or seconds > self._slowest_now:
            self._slowest_now = seconds

    def is_overdue(self, waited: float, *, by_deadline: bool) -> bool:
        """Return whether a call that is cut off was overdue.

        Args:
            waited: How long it had been awaited, in seconds.
            by_deadline: Whether a deadline ended it, so that somebody was done waiting.
        """
        slowest = self.slowest
        if slowest is None:
            return by_deadline and waited >= DEADLINE_SECONDS
        return waited > max(slowest, LEAST_SECONDS)

    def end_run(self, successes: int) -> None:
        """Note that the latest overdue calls are no longer in question, because the state changes.

        Args:
            successes: The running total of successes.
        """
        if self.overdue_calls is not None:
            self.overdue_calls.end_run(successes)

    def count_overdue(self) -> OverdueCalls:
        """Return the counts of overdue calls."""
        if self.overdue_calls is None:
            self.overdue_calls = OverdueCalls()
        return self.overdue_calls


class OverdueCalls:
    """How often calls seem overdue although the dependency answers."""

    __slots__ = ("_answered", "_refuted", "_run", "_seen", "total")

    def __init__(self) -> None:
        self.total: int = 0
        self._answered = self._refuted = self._run = self._seen = 0

    def is_telling(self, successes: int) -> bool:
        """Return whether an overdue call of the closed path counts as a failure, alone or with those just before it.

        Args:
            successes: The running total of successes.
        """
        self._take_in(successes)
        self._run += 1
        return self._run % self._run_that_counts() == 0

    def end_run(self, successes: int) -> None:
        """Note that the latest overdue calls are no longer in question, because the state changes.

        Args:
            successes: The running total of successes.
        """
        self._take_in(successes)
        self._run = 0

    def _take_in(self, successes: int) -> None:
        """Take in the successes since the latest overdue call: they show that it was none."""
        answered = successes - self._seen
        self._seen = successes
        if not answered:
            return
        self._answered += answered
        self._refuted += self._run
        self._run = 0
        if self._answered + self._refuted > CALLS_REMEMBERED:
            self._answered //= 2
            self._refuted //= 2

    def _run_that_counts(self) -> int:
        """Return how many overdue calls in a row are rare while the dependency answers; mostly 1."""
        share = self._refuted / (self._refuted + self._answered + CALLS_ASSUMED)
        return 1 if share <= RARE else math.ceil(math.log(RARE) / math.log(share))
