"""One process of a run: `python -m benchmarks.worker` reads a job from its input and prints a report.

A run needs several, because where objects are in memory alone changes a time by some percent, and each process has them
elsewhere.
"""

import asyncio
import logging
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from benchmarks import libraries, own, peers
from benchmarks.comparisons import Comparison, build_subjects
from benchmarks.contender import Contender
from benchmarks.harness import measure, overhead
from benchmarks.job import Job, Report
from benchmarks.paths import own_comparisons
from benchmarks.sizes import sizes


async def run(job: Job) -> Report:
    """Measures what the job asks for."""
    report = Report(f"{platform.python_implementation()} {platform.python_version()}")
    found = peers.find() if "libraries" in job.groups else peers.Peers((), ())
    report.absent = dict(found.absent)
    report.versions = _versions(("recloser", "anyio", *(each.distribution for each in found.present)))
    comparisons = [*own_comparisons(), *libraries.comparisons(found.present)]
    await _run_times(job, report, [each for each in comparisons if each.group in job.groups])
    for size in sizes():
        if size.group in job.groups and (job.is_first or not size.is_exact):
            try:
                figure = await size.measure(job)
            except Exception as error:  # noqa: BLE001 - the report says what could not be measured
                report.errors[size.what] = _text(error)
            else:
                if figure is not None:
                    report.sizes[size.what] = figure
    if "libraries" in job.groups:
        await _compare(job, report, (own.FLOOR, *own.SETUPS.values(), *found.present))
    return report


async def _run_times(job: Job, report: Report, comparisons: Sequence[Comparison]) -> None:
    if not comparisons:
        return
    subjects, errors = await build_subjects(comparisons, job.seed)
    report.errors.update({key: _text(error) for key, error in errors.items()})
    times = await measure(subjects, rounds=job.rounds, batch_milliseconds=job.batch_milliseconds)
    report.nanoseconds = {key: median(values) for key, values in times.items()}
    for each in comparisons:
        for column, other in each.against.items():
            if each.key in times and other in times:
                ratio = overhead(times[each.key], times[each.base], times[other])
                report.ratios.setdefault(column, {})[each.key] = ratio


async def _compare(job: Job, report: Report, contenders: Sequence[Contender]) -> None:
    for contender in contenders:
        about = {"library": contender.distribution, "rules": contender.rules, "does": contender.does}
        report.libraries[contender.name] = about
        if job.is_first:
            try:
                report.facts[contender.name] = await libraries.facts(contender, max(1, job.breakers // 10))
            except Exception as error:  # noqa: BLE001 - any library may fail in any way, and the table says how
                report.errors[f"{contender.name}: memory and herds"] = _text(error)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _versions(distributions: Sequence[str]) -> dict[str, str]:
    found = {}
    for distribution in distributions:
        try:
            found[distribution] = version(distribution)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    logging.getLogger("recloser").addHandler(logging.NullHandler())
    print(asyncio.run(run(Job.parsed(sys.stdin.read()))).text())
