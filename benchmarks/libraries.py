"""The libraries side by side: three paths each, what a rejection leaves behind, a breaker's size, a herd."""

from collections.abc import Iterator, Sequence

from benchmarks import herd, memory, own
from benchmarks.comparisons import (
    MOSTLY_FAILURE,
    REJECTION,
    SUCCESS,
    Comparison,
    mostly_failing,
    rejecting,
    succeeding,
)
from benchmarks.contender import Contender

HERDS = (100, 10_000)

PATHS = {
    "success": (SUCCESS, succeeding),
    "failure": (MOSTLY_FAILURE, mostly_failing),
    "rejection": (REJECTION, rejecting),
}
"""The paths that every library has: the kind of work, and what builds the loop. Failures come 19 in 20 calls."""


def key_of(contender: Contender, path: str) -> str:
    """Returns the name of a library's path in the run."""
    return f"{contender.name}: {path}"


def comparisons(contenders: Sequence[Contender]) -> Iterator[Comparison]:
    """Returns the paths of all libraries, and of recloser with the same rules.

    Args:
        contenders: The other libraries.
    """
    for setup in own.SETUPS.values():
        for path, (kind, build) in PATHS.items():
            yield Comparison("libraries", key_of(setup, path), kind.base, kind.against, build(setup))
    for contender in contenders:
        like = own.SETUPS[contender.rules]
        for path, (kind, build) in PATHS.items():
            against = {**kind.against, "like": key_of(like, path)}
            yield Comparison("libraries", key_of(contender, path), kind.base, against, build(contender))


async def facts(contender: Contender, breakers: int) -> dict[str, float]:
    """Returns what does not depend on the speed of the machine, by the names of the columns.

    Args:
        contender: The library.
        breakers: How many breakers to create to measure their memory.
    """
    left = await memory.retained_per_rejection(contender)
    found = {
        "left at once": left.at_once,
        "left for good": left.for_good,
        "bytes": await memory.weigh_used(contender, breakers=breakers),
    }
    for tasks in HERDS:
        found[f"of {tasks:,} tasks"] = await herd.reached_by(contender, tasks)
    return found
