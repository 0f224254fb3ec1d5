"""Runs the selected benchmarks."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks import database, herd, memory, own, peers, registry, transport
from benchmarks.comparisons import (
    FAILURE,
    REJECTION,
    SUCCESS,
    build_subjects,
    contender_comparisons,
    own_comparisons,
    policy_comparisons,
)
from benchmarks.contender import Contender
from benchmarks.harness import Overhead, measure, overhead
from benchmarks.results import HERDS, Bar, Results, at_most, exactly, less_than

GROUPS = (
    "closed",
    "windows",
    "listener",
    "failing",
    "open",
    "policies",
    "memory",
    "retained",
    "herd",
    "registry",
    "http",
    "database",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What to run, and how long.

    Args:
        groups: Some of `GROUPS`.
        rounds: How often each subject is timed.
        batch_milliseconds: How long it runs each time.
        with_peers: Whether to include other libraries.
        breakers: How many breakers to create to measure their memory.
        keys: How many breakers a registry contains.
    """

    groups: tuple[str, ...] = GROUPS
    rounds: int = 60
    batch_milliseconds: float = 4.0
    with_peers: bool = True
    breakers: int = memory.BREAKERS
    keys: int = registry.KEYS

    def quick(self) -> "Options":
        """Returns options for a run of a few seconds, whose figures mean little."""
        return Options(
            self.groups, rounds=3, batch_milliseconds=0.5, with_peers=self.with_peers, breakers=100, keys=1_000
        )


async def run(options: Options) -> Results:
    """Measures everything that the options select."""
    results = Results()
    found = peers.find() if options.with_peers else peers.Peers((), ())
    results.absent = found.absent
    overheads = await _run_times(options, results, found.present)
    await _run_own(options, results)
    if options.with_peers:
        for contender in (own.FLOOR, own.RECLOSER, *found.present):
            results.libraries.append(await _library_row(options, results, contender, overheads))
    return results


async def _run_times(options: Options, results: Results, contenders: Sequence[Contender]) -> dict[str, Overhead]:
    """Times every path and returns the overheads by the comparisons' keys."""
    others = [comparison for contender in contenders for comparison in contender_comparisons(contender)]
    comparisons = [
        each for each in (*own_comparisons(), *policy_comparisons(), *others) if each.group in options.groups
    ]
    if not comparisons:
        return {}
    subjects, errors = await build_subjects(comparisons)
    results.errors.update(errors)
    timings = await measure(subjects, rounds=options.rounds, batch_milliseconds=options.batch_milliseconds)
    overheads = {}
    for each in comparisons:
        if each.key not in timings:
            continue
        overheads[each.key] = found = overhead(timings[each.key], timings[each.base], timings[each.floor])
        if each.who == own.RECLOSER.distribution:
            bar = None if each.bar is None else at_most(each.bar, "x")
            results.add_bar(each.what, bar, found.ratio, f"{found.ratio:.2f} x")
    for subject in subjects:
        results.add_times(subject.key, timings[subject.key], overheads.get(subject.key))
    return overheads


async def _run_own(options: Options, results: Results) -> None:
    """Measures everything except the times of calls: memory, calls that get through, and the registry."""
    if "memory" in options.groups:
        for kind in own.KINDS:
            for used, when in ((False, "fresh"), (True, "used")):
                weigh = partial(own.weigh, kind, used=used, breakers=options.breakers)
                await _add(results, f"one breaker, {kind.what}, {when}", at_most(kind.bar, "B"), weigh, "{:,.0f} B")
    if "retained" in options.groups:
        await _add(results, "left behind by a rejected call", less_than(1, "B"), _own_retained, "{:.2f} B")
    if "herd" in options.groups:
        for tasks in HERDS:
            what = f"calls of {tasks:,} tasks that reach the dependency after the reset timeout"
            await _add(results, what, exactly(1), partial(herd.reached_by, own.RECLOSER, tasks), "{:,}")
    if "registry" in options.groups:
        get = partial(registry.nanoseconds_per_get, options.keys)
        await _add(results, f"registry get by key among {options.keys:,}", at_most(1_000, "ns"), get, "{:,.0f} ns")
        weigh = partial(registry.bytes_per_breaker, options.breakers)
        await _add(
            results, "one idle breaker in a registry, including its entry", at_most(1024, "B"), weigh, "{:,.0f} B"
        )
    await _run_integrations(options, results)


async def _run_integrations(options: Options, results: Results) -> None:
    """Measures what breakers add to the requests and queries of clients."""
    if "http" in options.groups:
        for library in transport.LIBRARIES:
            measured = partial(transport.percent_of_a_request, library, options.rounds)
            what = f"a breaker per origin, added to a request with {library} on loopback"
            await _add(results, what, at_most(5, "%"), measured, "{:.1f} %")
    if "database" in options.groups:
        for library in database.LIBRARIES:
            measured = partial(database.percent_of_a_block, library, options.rounds)
            await _add(results, f"a breaker, added to one query with {library}", at_most(10, "%"), measured, "{:.1f} %")


async def _own_retained() -> float:
    return (await memory.retained_per_rejection(own.RECLOSER)).at_once


async def _add(results: Results, what: str, bar: Bar, measured: Callable[[], Awaitable[float]], form: str) -> None:
    try:
        figure = await measured()
    except Exception as error:  # noqa: BLE001 - the table says what could not be measured
        results.errors[what] = error
    else:
        results.add_bar(what, bar, figure, form.format(figure))


async def _library_row(
    options: Options, results: Results, contender: Contender, overheads: dict[str, Overhead]
) -> tuple[str, ...]:
    name = contender.distribution
    cells = [name]
    for path in (SUCCESS, FAILURE, REJECTION):
        found = overheads.get(f"{name}: {path}")
        cells.append("1" if contender is own.FLOOR else "" if found is None else f"{found.ratio:.2f}")

    async def cell(group: str, what: str, text: Callable[[], Awaitable[str]]) -> None:
        if group not in options.groups:
            cells.append("")
            return
        try:
            cells.append(await text())
        except Exception as error:  # noqa: BLE001 - any library may fail in any way, and the table says how
            results.errors[f"{name}: {what}"] = error
            cells.append("error")

    await cell("retained", "left behind", partial(_retained_text, contender))
    await cell("memory", "used breaker", partial(_weight_text, contender, max(1, options.breakers // 10)))
    for tasks in HERDS:
        await cell("herd", f"{tasks} tasks", partial(_herd_text, contender, tasks))
    return tuple(cells)


async def _retained_text(contender: Contender) -> str:
    retained = await memory.retained_per_rejection(contender)
    text = f"{retained.at_once:,.0f} B"
    if round(retained.at_once) != round(retained.for_good):
        text += f", then {retained.for_good:,.0f} B"
    return text


async def _weight_text(contender: Contender, breakers: int) -> str:
    return f"{await memory.weigh_used(contender, breakers=breakers):,.0f} B"


async def _herd_text(contender: Contender, tasks: int) -> str:
    return f"{await herd.reached_by(contender, tasks):,}"
