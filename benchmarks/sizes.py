"""What is measured besides the times of calls: memory, imports, calls that get through, requests and queries."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from benchmarks import database, herd, memory, own, registry, start, transport
from benchmarks.contender import BUCKETS, NEVER, Dependency
from benchmarks.job import Job
from benchmarks.libraries import HERDS
from recloser import CircuitBreaker, FailureRate

BUCKET_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Size:
    """A figure of recloser that is not the time of a call.

    Args:
        group: The group in which `--only` selects it.
        what: Its name in the table.
        bar: The most that it can be; None for no bar.
        unit: Its unit.
        measure: Returns it; None if this machine does not have what it takes.
        is_exact: Whether it is the same in each process, so that one is enough.
        digits: The digits after the point.
    """

    group: str
    what: str
    bar: float | None
    unit: str
    measure: Callable[[Job], Awaitable[float | None]]
    is_exact: bool = True
    digits: int = 0


def sizes() -> list[Size]:
    """Returns all of them."""
    return [*_start(), *_memory(), *_herds(), *_registry(), *_integrations()]


def _start() -> list[Size]:
    async def imported(_job: Job) -> float:
        return start.milliseconds(start.IMPORT)

    async def called(_job: Job) -> float:
        return start.milliseconds(start.FIRST_CALL)

    async def tracked(job: Job) -> float:
        return start.tracked_per_breaker(job.breakers)

    size = partial(Size, "start", digits=1)
    return [
        size("CPU time of `import recloser` after asyncio and anyio", 20, "ms", imported, is_exact=False),
        size("the same, with a registry, a breaker and a first call", None, "ms", called, is_exact=False),
        size("objects per breaker of a registry that the garbage collector tracks", 5, "", tracked),
    ]


@dataclass(frozen=True, slots=True)
class Kind:
    """A setup of a breaker whose memory is measured.

    Args:
        what: The name in the table.
        bar: The most bytes that it can take.
        rule: The trip rule; None for the default.
    """

    what: str
    bar: float
    rule: FailureRate | None


KINDS = (
    Kind("default rule", 1024, None),
    Kind("count window 100", 1280, own.rate(own.COUNT_WINDOW)),
    Kind("time window of 10 buckets", 1536, own.rate(own.TIME_WINDOW)),
)


def _memory() -> list[Size]:
    async def retained(_job: Job) -> float:
        return (await memory.retained_per_rejection(own.RECLOSER)).at_once

    def weighed(kind: Kind, *, used: bool) -> Callable[[Job], Awaitable[float]]:
        async def measure(job: Job) -> float:
            return await weigh(kind, used=used, breakers=job.breakers)

        return measure

    return [
        *(
            Size("memory", f"one breaker, {kind.what}, {when}", kind.bar, "B", weighed(kind, used=used))
            for kind in KINDS
            for used, when in ((False, "fresh"), (True, "used"))
        ),
        Size("memory", "left behind by a rejected call", 1, "B", retained, digits=2),
    ]


async def weigh(kind: Kind, *, used: bool, breakers: int) -> float:
    """Returns the bytes of one breaker.

    A used breaker has seen successes and one failure in every bucket of its window. That takes a clock which moves on;
    the bytes that such a clock takes don't count.

    Args:
        kind: The setup.
        used: Whether to make calls through each breaker before it is measured.
        breakers: How many breakers to create.
    """
    fresh = await memory.bytes_per_breaker(partial(_make, kind, None), breakers=breakers)
    if not used:
        return fresh
    now = 0.0
    dependency = Dependency()
    function = dependency.function()

    def clock() -> float:
        return now

    async def use(breaker: CircuitBreaker) -> None:
        nonlocal now
        protected = breaker(function)
        for _ in range(BUCKETS):
            now += BUCKET_SECONDS
            await memory.use_once(protected, dependency)

    make = partial(_make, kind, clock)
    with_clock = await memory.bytes_per_breaker(make, breakers=breakers)
    return await memory.bytes_per_breaker(make, use, breakers=breakers) - (with_clock - fresh)


def _make(kind: Kind, clock: Callable[[], float] | None, name: str) -> CircuitBreaker:
    if kind.rule is None:
        return CircuitBreaker(name, failure_threshold=NEVER, clock=clock)
    return CircuitBreaker(name, trip_when=kind.rule, clock=clock)


def _herds() -> list[Size]:
    def reached(tasks: int) -> Callable[[Job], Awaitable[float]]:
        async def measure(_job: Job) -> float:
            return await herd.reached_by(own.RECLOSER, tasks)

        return measure

    what = "calls of {:,} tasks that reach the dependency after the reset timeout"
    return [Size("herd", what.format(tasks), 1, "", reached(tasks)) for tasks in HERDS]


def _registry() -> list[Size]:
    async def get(job: Job) -> float:
        return await registry.nanoseconds_per_get(job.keys)

    async def weighed(job: Job) -> float:
        return await registry.bytes_per_breaker(job.breakers)

    return [
        Size("registry", f"registry get by key among {registry.KEYS:,}", 1_000, "ns", get, is_exact=False),
        Size("registry", "one idle breaker in a registry, including its entry", 1_024, "B", weighed),
    ]


def _integrations() -> list[Size]:
    def added(
        library: str, percent: Callable[[str, int], Awaitable[float | None]]
    ) -> Callable[[Job], Awaitable[float | None]]:
        async def measure(job: Job) -> float | None:
            return await percent(library, job.rounds)

        return measure

    return [
        *(
            Size(
                "http",
                f"a breaker per origin, added to a request with {library} on loopback",
                5,
                "%",
                added(library, transport.percent_of_a_request),
                is_exact=False,
                digits=1,
            )
            for library in transport.LIBRARIES
        ),
        *(
            Size(
                "database",
                f"a breaker, added to one query with {library}",
                10,
                "%",
                added(library, database.percent_of_a_block),
                is_exact=False,
                digits=1,
            )
            for library in database.LIBRARIES
        ),
    ]
