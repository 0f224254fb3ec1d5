"""Times subjects against each other in interleaved rounds.

Every round runs every subject once and starts with a different one, so a slow phase of the machine affects all of them.
The time is the CPU time of this thread. Other processes only affect it through shared caches and clock rates.

The cyclic garbage collector is off while a subject runs, and runs between the rounds. Otherwise, collections would
count for the subject that happens to be running. `memory.retained_per_rejection` shows which subjects need the
collector.
"""

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import cast

Run = Callable[[int], Awaitable[int]]
"""Performs some operations and returns how many of them went as expected."""

WARM_UP_SHARE = 10

SMALLEST_BATCH = 400

BATCH_STEP = 20
"""Batches are multiples of this number, so that a loop can mix different calls."""


BETWEEN_ROUNDS: list[Callable[[], object]] = []
"""What is called before each round, outside of the measurement: what a process does now and then."""


class BenchmarkError(Exception):
    """A subject did not do what the benchmark measures."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One way to make a call.

    Args:
        key: Unique in the run.
        run: The loop that makes the calls.
    """

    key: str
    run: Run


def overhead(subject: Sequence[float], base: Sequence[float], other: Sequence[float]) -> float:
    """Returns what a subject adds to its base, in units of what another one adds to the same base.

    If a machine changes its speed between two rounds, as shared ones do, all three times of a round change, but hardly
    their ratio. So the figure is the median of the ratios of the single rounds.

    Args:
        subject: The times of what is measured, one for each round.
        base: The times of the same work without a breaker.
        other: The times of what it is compared with.
    """
    return statistics.median((s - b) / (o - b) for s, b, o in zip(subject, base, other, strict=True))


def with_own_code(run: Run) -> Run:
    """Gives a loop its own code object.

    CPython specialises bytecode in place. Loops with shared code would undo each other's specialisation, and the time
    of a subject would depend on the subject before it.
    """
    function = cast("FunctionType", run)
    code = function.__code__.replace()
    return FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)


async def measure(subjects: Sequence[Subject], *, rounds: int, batch_milliseconds: float) -> dict[str, list[float]]:
    """Times all subjects.

    Args:
        subjects: At least one.
        rounds: How often to time each subject.
        batch_milliseconds: About how long each runs in a round, after a warm-up of a tenth of that.

    Returns:
        The nanoseconds of one operation in each round, by the subjects' keys.

    Raises:
        BenchmarkError: A call did not go as the subject expects.
    """
    figures: dict[str, list[float]] = {subject.key: [] for subject in subjects}
    operations = {subject.key: await _batch(subject, batch_milliseconds) for subject in subjects}
    gc.collect()
    gc.disable()
    if hasattr(gc, "freeze"):  # PyPy has none
        gc.freeze()
    try:
        for turn in range(rounds):
            gc.collect()
            for act in BETWEEN_ROUNDS:
                act()
            first = turn % len(subjects)
            for subject in (*subjects[first:], *subjects[:first]):
                await subject.run(operations[subject.key] // WARM_UP_SHARE)
                figures[subject.key].append(await _nanoseconds(subject, operations[subject.key]))
    finally:
        gc.enable()
        if hasattr(gc, "unfreeze"):
            gc.unfreeze()
    return figures


async def _batch(subject: Subject, milliseconds: float) -> int:
    """Returns how many operations take about this long, as a multiple of `BATCH_STEP`."""
    await subject.run(SMALLEST_BATCH)
    each = await _nanoseconds(subject, SMALLEST_BATCH)
    return max(SMALLEST_BATCH, round(milliseconds * 1e6 / each / BATCH_STEP) * BATCH_STEP)


async def _nanoseconds(subject: Subject, operations: int) -> float:
    started = time.thread_time_ns()
    done = await subject.run(operations)
    elapsed = time.thread_time_ns() - started
    if done != operations:
        raise BenchmarkError(f"{subject.key}: {done} of {operations} calls went as expected")
    return elapsed / operations
