"""Runs the processes of a benchmark one after the other, and combines what they report."""

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import pythons
from benchmarks.job import GROUPS, OF_EACH_PYTHON, Job, Report
from benchmarks.results import Figure, OfPython, Results, machine


@dataclass(frozen=True, slots=True)
class Options:
    """What to run, and how long.

    Args:
        groups: Some of `GROUPS`.
        processes: How many processes measure the same.
        rounds: How often each of them times each subject.
        batch_milliseconds: How long a subject runs each time.
        breakers: How many breakers to create to measure their memory.
        keys: How many breakers a registry contains.
        with_pythons: Whether to measure on the other Pythons, too.
    """

    groups: tuple[str, ...] = GROUPS
    processes: int = 5
    rounds: int = 30
    batch_milliseconds: float = 4.0
    breakers: int = 10_000
    keys: int = 1_000_000
    with_pythons: bool = False

    def quick(self) -> "Options":
        """Returns options for a run of a few seconds, whose figures mean little."""
        return replace(self, processes=2, rounds=3, batch_milliseconds=0.5, breakers=100, keys=1_000)

    def job(self, number: int, groups: Iterable[str]) -> Job:
        """Returns what one of the processes does.

        Args:
            number: Which of them it is, from 0 on.
            groups: The groups that it measures.
        """
        return Job(
            tuple(groups), self.rounds, self.batch_milliseconds, self.breakers, self.keys, number, is_first=number == 0
        )


def run(options: Options) -> Results:
    """Measures everything that the options select."""
    results = Results(machine(), options.processes, options.rounds, options.batch_milliseconds)
    results.pythons.append(_measured(options, pythons.this().label, sys.executable, options.groups))
    if options.with_pythons:
        _run_others(options, results)
    return results


def _run_others(options: Options, results: Results) -> None:
    found, results.missing = pythons.find()
    groups = [group for group in options.groups if group in OF_EACH_PYTHON]
    with tempfile.TemporaryDirectory() as directory:
        for python in found:
            try:
                program = pythons.environment(python, Path(directory) / python.label.replace(" ", "-"))
            except subprocess.CalledProcessError as error:
                results.missing.append(f"{python.label} (can't be set up: {error})")
            else:
                results.pythons.append(_measured(options, python.label, program, groups))


def _measured(options: Options, label: str, program: str, groups: Sequence[str]) -> OfPython:
    reports = []
    for number in range(options.processes):
        print(f"{label}: process {number + 1} of {options.processes}", file=sys.stderr)
        command = [program, "-m", "benchmarks.worker"]
        done = subprocess.run(
            command,
            cwd=pythons.ROOT,
            input=options.job(number, groups).text(),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        reports.append(Report.parsed(done.stdout))
    return combined(reports)


def combined(reports: Sequence[Report]) -> OfPython:
    """Returns the medians of what several processes have measured, and how far they differ.

    Args:
        reports: The reports of processes with the same Python; the first one has what is the same in each.
    """
    first = reports[0]
    return OfPython(
        python=first.python,
        versions=first.versions,
        nanoseconds=_figures([each.nanoseconds for each in reports]),
        ratios={column: _figures([each.ratios[column] for each in reports]) for column in first.ratios},
        sizes=_figures([each.sizes for each in reports]),
        facts=first.facts,
        libraries=first.libraries,
        absent=first.absent,
        errors={key: error for each in reports for key, error in each.errors.items()},
    )


def _figures(found: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    return {key: Figure.of([each[key] for each in found if key in each]) for key in sorted(found[0])}
