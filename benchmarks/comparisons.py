"""The paths to compare, their bases and floors, and the bar of each."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from benchmarks import own, policies, telemetry
from benchmarks.contender import LONG_SECONDS, NEVER, TRIP_AFTER, Contender, Dependency, Work, broken, trip, work
from benchmarks.floor import FloorGuard
from benchmarks.harness import Run, Subject
from benchmarks.loops import calls, failing_calls, floor_blocks, mixed_calls, nothing
from recloser import CircuitBreaker

Build = Callable[[], Awaitable[Run]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A path through a breaker.

    Args:
        group: The group in which `--only` selects it.
        who: The library.
        what: The name of the path in the table.
        base: The key of the same work without a breaker, in `BASES`.
        floor: The key of the same work with the hand-written breaker, in `FLOORS`.
        build: Returns the loop.
        bar: The most that it can cost, in units of the floor's overhead; None for no bar.
    """

    group: str
    who: str
    what: str
    base: str
    floor: str
    build: Build
    bar: float | None = None

    @property
    def key(self) -> str:
        """The name of the subject in the run."""
        return f"{self.who}: {self.what}"


async def build_subjects(
    comparisons: Sequence[Comparison],
) -> tuple[list[Subject], dict[str, Exception]]:
    """Builds every loop that the comparisons need, and tries each once.

    Args:
        comparisons: What to measure.

    Returns:
        The subjects, and by key the errors of those that can't be built or don't run.
    """
    builds: dict[str, Build] = {}
    for comparison in comparisons:
        builds[comparison.base] = BASES[comparison.base]
        builds[comparison.floor] = FLOORS[comparison.floor]
        builds[comparison.key] = comparison.build
    subjects = []
    errors: dict[str, Exception] = {}
    for key, build in builds.items():
        try:
            run = await build()
            await run(PROBES)
        except Exception as error:  # noqa: BLE001 - any library may fail in any way, and the table says how
            errors[key] = error
        else:
            subjects.append(Subject(key, run))
    return subjects, errors


PROBES = 40


def contender_comparisons(contender: Contender, bars: Mapping[str, float] | None = None) -> list[Comparison]:
    """Returns the three paths that every library has: success, failure, rejection.

    Args:
        contender: The library.
        bars: The bars by path.
    """
    bars = bars or {}
    who = contender.distribution

    async def success() -> Run:
        return calls(_protect(contender, work, TRIP_AFTER))

    async def failure() -> Run:
        return failing_calls(_protect(contender, broken, NEVER), ConnectionError)

    async def rejection() -> Run:
        dependency = Dependency()
        protected = _protect(contender, dependency.function(), TRIP_AFTER)
        await trip(contender, protected, dependency)
        return failing_calls(protected, contender.rejection)

    return [
        Comparison("closed", who, SUCCESS, "bare await", "floor: decorator", success, bars.get(SUCCESS)),
        Comparison("failing", who, FAILURE, "bare failing await", "floor: failing", failure, bars.get(FAILURE)),
        Comparison("open", who, REJECTION, "loop alone", "floor: rejection", rejection, bars.get(REJECTION)),
    ]


def _protect(contender: Contender, function: Work, failure_threshold: int) -> Work:
    name = f"timed breaker {next(_NUMBERS)}"
    breaker = contender.make(name, failure_threshold=failure_threshold, reset_timeout_seconds=LONG_SECONDS)
    return contender.protect(breaker, function)


_NUMBERS = count(1)


SUCCESS = "closed, success, decorator"
FAILURE = "closed, failing call"
REJECTION = "open, rejected with the exception"


async def _bare() -> Run:
    return calls(work)


async def _bare_failing() -> Run:
    return failing_calls(broken, ConnectionError)


async def _bare_mixed() -> Run:
    return mixed_calls(work, broken)


async def _loop_alone() -> Run:
    return nothing()


async def _floor_decorator() -> Run:
    return calls(_protect(own.FLOOR, work, TRIP_AFTER))


async def _floor_guard() -> Run:
    return floor_blocks(FloorGuard("floor guard", TRIP_AFTER, LONG_SECONDS), work)


async def _floor_failing() -> Run:
    return failing_calls(_protect(own.FLOOR, broken, NEVER), ConnectionError)


async def _floor_mixed() -> Run:
    breaker = own.FLOOR.make("floor mixed", failure_threshold=NEVER, reset_timeout_seconds=LONG_SECONDS)
    return mixed_calls(breaker(work), breaker(broken))


async def _floor_rejection() -> Run:
    dependency = Dependency()
    protected = _protect(own.FLOOR, dependency.function(), TRIP_AFTER)
    await trip(own.FLOOR, protected, dependency)
    return failing_calls(protected, own.FLOOR.rejection)


BASES: Mapping[str, Build] = {
    "bare await": _bare,
    "bare failing await": _bare_failing,
    "bare mixed awaits": _bare_mixed,
    "loop alone": _loop_alone,
}

FLOORS: Mapping[str, Build] = {
    "floor: decorator": _floor_decorator,
    "floor: async with": _floor_guard,
    "floor: failing": _floor_failing,
    "floor: mixed": _floor_mixed,
    "floor: rejection": _floor_rejection,
    **{f"floor: {what}": build for what, build in policies.FLOORS.items()},
}


async def _call() -> Run:
    return own.through_call(own.default("call"), work)


async def _guard() -> Run:
    return own.through_guard(own.default("guard"), work)


async def _mixed() -> Run:
    breaker = own.default("mixed")
    return mixed_calls(breaker(work), breaker(broken))


async def _count_window() -> Run:
    return calls(own.windowed("count window", own.COUNT_WINDOW)(work))


async def _count_window_with_failures() -> Run:
    breaker = own.windowed("count window with failures", own.COUNT_WINDOW)
    return mixed_calls(breaker(work), breaker(broken))


async def _time_window() -> Run:
    return calls(own.windowed("time window", own.TIME_WINDOW)(work))


async def _time_window_with_failures() -> Run:
    breaker = own.windowed("time window with failures", own.TIME_WINDOW)
    return mixed_calls(breaker(work), breaker(broken))


async def _listener() -> Run:
    breaker = own.default("listener")
    breaker.subscribe(lambda _event: None)
    return calls(breaker(work))


async def _try_acquire() -> Run:
    breaker = CircuitBreaker("try_acquire", failure_threshold=TRIP_AFTER, reset_timeout_seconds=LONG_SECONDS)
    dependency = Dependency()
    await trip(own.RECLOSER, breaker(dependency.function()), dependency)
    return own.rejected_permits(breaker)


def own_comparisons() -> list[Comparison]:
    """Returns every path of recloser, with its bar."""
    success, failure, rejection = contender_comparisons(own.RECLOSER, {SUCCESS: 1.35, FAILURE: 1.5, REJECTION: 1.35})
    who = own.RECLOSER.distribution
    plain = ("bare await", "floor: decorator")
    mixed = ("bare mixed awaits", "floor: mixed")
    return [
        success,
        Comparison("closed", who, "closed, success, `call`", *plain, _call, 1.6),
        Comparison("closed", who, "closed, success, `guard()`", "bare await", "floor: async with", _guard, 2.1),
        Comparison("closed", who, "closed, 1 call in 20 fails, decorator", *mixed, _mixed),
        Comparison("windows", who, "count window 100, no failure in it", *plain, _count_window, 1.5),
        Comparison("windows", who, "count window 100, 1 call in 20 fails", *mixed, _count_window_with_failures, 2.0),
        Comparison("windows", who, "time window of 10 buckets", *plain, _time_window, 2.2),
        Comparison("windows", who, "time window, 1 call in 20 fails", *mixed, _time_window_with_failures),
        Comparison("listener", who, "closed, success, one listener", *plain, _listener),
        *(
            Comparison(
                "listener", who, f"closed, success, {what}", *plain, build, 1.35 if what in telemetry.FREE else None
            )
            for what, build in telemetry.WATCHES.items()
        ),
        failure,
        rejection,
        Comparison("open", who, "open, `try_acquire` -> None", "loop alone", "floor: rejection", _try_acquire, 0.45),
    ]


def policy_comparisons() -> list[Comparison]:
    """Returns every policy around a successful call, compared with its hand-written equivalent."""
    who = own.RECLOSER.distribution
    return [
        Comparison("policies", who, f"policy: {what}", "bare await", f"floor: {what}", build, 1.5)
        for what, build in policies.POLICIES.items()
    ]
