"""What is compared with what: the work without a breaker, the two floors, and the paths through breakers."""

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from benchmarks import loops, policies
from benchmarks.contender import LONG_SECONDS, NEVER, TRIP_AFTER, Contender, Dependency, broken, either, trip, work
from benchmarks.floor import FloorGuard, FloorStream
from benchmarks.harness import Run, Subject
from benchmarks.lean import LeanBreaker, LeanGuard
from benchmarks.own import FLOOR, LEAN

Build = Callable[[], Awaitable[Run]]

PROBES = 40


@dataclass(frozen=True, slots=True)
class Comparison:
    """A path through a breaker.

    Args:
        group: The group in which `--only` selects it.
        key: The name of the path, unique in the run.
        base: The key of the same work without a breaker.
        against: What its overhead is divided by: keys of other subjects, by the column of the figure: `floor`, `lean`
            or `like` (recloser with the same rules).
        build: Returns the loop.
        bar: The most that the first of its figures can be; None for no bar.
    """

    group: str
    key: str
    base: str
    against: Mapping[str, str]
    build: Build
    bar: float | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of work that breakers protect.

    Args:
        base: The key of the work without a breaker.
        against: The keys of the two floors around it.
    """

    base: str
    against: Mapping[str, str]


def _kind(base: str, floor: str) -> Kind:
    return Kind(base, {"floor": f"floor: {floor}", "lean": f"lean floor: {floor}"})


SUCCESS = _kind("bare await", "decorator")
BLOCK = _kind("bare await", "async with")
FAILURE = _kind("bare failing await", "failing call")
MOSTLY_SUCCESS = _kind("bare awaits, 1 in 20 fails", "1 call in 20 fails")
MOSTLY_FAILURE = _kind("bare awaits, 19 in 20 fail", "19 calls in 20 fail")
REJECTION = _kind("loop alone", "rejection")
ITEM = _kind("bare item of a stream", "item of a stream")
STREAM = _kind("bare stream of one item", "stream of one item")


async def build_subjects(comparisons: Sequence[Comparison], seed: int) -> tuple[list[Subject], dict[str, Exception]]:
    """Builds every loop that the comparisons need, in a random order, and tries each once.

    The order decides where objects are in memory, which alone changes a time by some percent.

    Args:
        comparisons: What to measure.
        seed: The seed of the order.

    Returns:
        The subjects, and by key the errors of those that can't be built or don't run.
    """
    builds: dict[str, Build] = {each.key: each.build for each in comparisons}
    for each in comparisons:
        for key in (each.base, *each.against.values()):
            if key in REFERENCES:
                builds[key] = REFERENCES[key]
    order = list(builds)
    random.Random(seed).shuffle(order)
    subjects = []
    errors: dict[str, Exception] = {}
    for key in order:
        try:
            run = await builds[key]()
            await run(PROBES)
        except Exception as error:  # noqa: BLE001 - any library may fail in any way, and the table says how
            errors[key] = error
        else:
            subjects.append(Subject(key, run))
    return subjects, errors


def succeeding(contender: Contender) -> Build:
    """Returns what builds the loop of successes of a library."""

    async def build() -> Run:
        return loops.calls(contender.protect(_make(contender, TRIP_AFTER), work))

    return build


def failing(contender: Contender) -> Build:
    """Returns what builds the loop of failures of a library."""

    async def build() -> Run:
        return loops.failing_calls(contender.protect(_make(contender, NEVER), broken), ConnectionError)

    return build


def mostly_failing(contender: Contender) -> Build:
    """Returns what builds the loop in which most calls of a library fail."""

    async def build() -> Run:
        return loops.mostly_failing_calls(contender.protect(_make(contender, NEVER), either))

    return build


def mostly_succeeding(contender: Contender) -> Build:
    """Returns what builds the loop in which a few calls of a library fail."""

    async def build() -> Run:
        return loops.mostly_succeeding_calls(contender.protect(_make(contender, NEVER), either))

    return build


def rejecting(contender: Contender) -> Build:
    """Returns what builds the loop of calls that a library rejects."""

    async def build() -> Run:
        dependency = Dependency()
        protected = contender.protect(_make(contender, TRIP_AFTER), dependency.function())
        await trip(contender, protected, dependency)
        return loops.failing_calls(protected, contender.rejection)

    return build


def _make(contender: Contender, failure_threshold: int) -> object:
    name = f"timed breaker {next(_NUMBERS)}"
    return contender.make(name, failure_threshold=failure_threshold, reset_timeout_seconds=LONG_SECONDS)


_NUMBERS = count(1)


async def items_of(number: int) -> AsyncGenerator[int]:
    """Yields items immediately."""
    for _ in range(number):
        yield 1


def build_of(make: Callable[..., Run], *arguments: Any) -> Build:  # noqa: ANN401 - of the loop
    """Returns what builds a loop from arguments."""

    async def build() -> Run:
        return make(*arguments)

    return build


def _floors(
    prefix: str, contender: Contender, guard: type[FloorGuard | LeanGuard], streams: type[FloorStream | LeanBreaker]
) -> dict[str, Build]:
    def stream() -> loops.Items:
        return streams("stream", NEVER, LONG_SECONDS).stream(items_of)

    return {
        f"{prefix}: decorator": succeeding(contender),
        f"{prefix}: async with": build_of(lambda: loops.blocks(guard("guard", NEVER, LONG_SECONDS), work)),
        f"{prefix}: failing call": failing(contender),
        f"{prefix}: 1 call in 20 fails": mostly_succeeding(contender),
        f"{prefix}: 19 calls in 20 fail": mostly_failing(contender),
        f"{prefix}: rejection": rejecting(contender),
        f"{prefix}: item of a stream": build_of(lambda: loops.items(stream())),
        f"{prefix}: stream of one item": build_of(lambda: loops.short_streams(stream())),
    }


REFERENCES: Mapping[str, Build] = {
    "bare await": build_of(loops.calls, work),
    "bare failing await": build_of(loops.failing_calls, broken, ConnectionError),
    "bare awaits, 1 in 20 fails": build_of(loops.mostly_succeeding_calls, either),
    "bare awaits, 19 in 20 fail": build_of(loops.mostly_failing_calls, either),
    "loop alone": build_of(loops.nothing),
    "bare item of a stream": build_of(loops.items, items_of),
    "bare stream of one item": build_of(loops.short_streams, items_of),
    **_floors("floor", FLOOR, FloorGuard, FloorStream),
    **_floors("lean floor", LEAN, LeanGuard, LeanBreaker),
    **{f"floor: {what}": build for what, build in policies.FLOORS.items()},
}
"""What other subjects are compared with, by key."""
