"""Writes README.md in this directory, the tables of a run and its machine, and the costs in the README.md above it."""

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import recloser
from benchmarks import registry
from benchmarks.results import LIBRARY_HEADER, Results
from benchmarks.runner import Options

TARGET = Path(__file__).with_name("README.md")
OVERVIEW = Path(__file__).parents[1] / "README.md"

COSTS = {
    "success, x floor": "cost of a successful call",
    "failure, x floor": "cost of a failing call",
    "rejection, x floor": "cost of a rejected call",
}
"""The rows of the overview by the column of the table of libraries that they sum up."""
LEAST_WHOLE = 9.95
"""From here on, two digits leave none for tenths."""

INTRODUCTION = """\
# Benchmarks

`python -m benchmarks --write` generates this file, so don't edit it. Run the benchmarks with `nox -s bench`, or a part
of them with `python -m benchmarks --only closed,open --no-peers`. `--profile` shows what a call executes.
"""

READING = """\
## How to read this

**x floor.** The floor is the smallest breaker that one would write by hand: try, except, a counter, a time
([floor.py](floor.py)). The ratio compares what a library adds to the bare work with what the floor adds to the same
work: `(library - bare) / (floor - bare)`. For closed calls, the bare work is to await a coroutine that returns
immediately. For failing calls, it is to await one that raises. A rejected call does no work, so only the loop is
subtracted. A network call takes a million nanoseconds or more, and all of these figures are small compared with that.

**Noise.** Each round runs every subject once and starts with a different one. Times are CPU times of the thread. The
cyclic garbage collector runs between the rounds, not during them. The ratio is the median of the ratios of the single
rounds, with their *quartiles*. A shared machine can change its speed by half from one minute to the next, so only
figures of the same round are comparable. *Of minima* is the ratio of the fastest rounds. If it differs much from the
median, the machine was busy, and you should repeat the run. *Spread* is the distance between the quartiles of the
nanoseconds, as a share of their median. Nanoseconds differ between machines, and ratios differ between Python versions,
so only compare figures of one run. A difference of 0.1 in a ratio near 1 means nothing.

**Bytes.** `tracemalloc` measures {breakers:,} breakers (a tenth of that to compare the libraries). Names don't count. A
*used* breaker has seen successes and a failure, in every bucket if it has buckets. *Left behind* is the memory that a
rejected call leaves with the garbage collector off. If a collection changes that, the second figure is what remains.

**Tasks.** This many tasks call an open breaker at the same time, after its reset timeout. The dependency doesn't answer
until all of them have tried. How many calls reach it? It should be one.

**Registry.** Every key is looked up once, in random order. Most of the time is spent by the machine to fetch data that
is in no cache. The figure is the fastest of {passes} passes.

**Requests.** This is the CPU time of the client's thread. The server is a process of its own, so the caller waits for
longer.

**Queries.** This is the CPU time of this process for `select 1`, in SQLite in memory and, if there is one, in a
PostgreSQL on loopback.
"""


def write(results: Results, options: Options) -> None:
    """Replaces README.md in this directory, and the costs in the project's README.md.

    Args:
        results: The results of a run.
        options: The options of the run.
    """
    about = f"{machine()}; {options.rounds} rounds of about {options.batch_milliseconds:g} ms a subject."
    reading = READING.format(breakers=options.breakers, passes=registry.PASSES)
    TARGET.write_text(f"{INTRODUCTION}\n{about}\n\n{results.text()}\n\n{reading}", encoding="utf-8")
    write_overview()


def write_overview() -> None:
    """Puts the costs from this directory's README.md into the project's."""
    text = OVERVIEW.read_text(encoding="utf-8")
    OVERVIEW.write_text(with_costs(text, TARGET.read_text(encoding="utf-8")), encoding="utf-8")


def with_costs(overview: str, tables: str) -> str:
    """Returns the project's README with the costs of a run.

    Args:
        overview: The text of the project's README.md.
        tables: The text of this directory's README.md.
    """
    for row in cost_rows(tables):
        start = row[: row.index("|", 1) + 1]
        overview, replaced = re.subn(rf"^{re.escape(start)}.*$", row, overview, flags=re.MULTILINE)
        if replaced != 1:
            raise ValueError(f"the overview must have one row that begins with {start!r}, not {replaced}")
    return overview


def cost_rows(tables: str) -> list[str]:
    """Returns the rows of costs: those of recloser, and the range of those of the other libraries.

    Args:
        tables: The text of this directory's README.md.
    """
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in tables.splitlines()]
    start = lines.index(list(LIBRARY_HEADER))
    length = next(number for number, line in enumerate(lines[start:]) if line == [""])
    by_library = {line[0]: dict(zip(LIBRARY_HEADER, line, strict=True)) for line in lines[start + 2 : start + length]}
    rows = []
    for column, what in COSTS.items():
        costs = {name: float(row[column]) for name, row in by_library.items() if name != "floor"}
        own = costs.pop("recloser")
        low, high = min(costs.values()), max(costs.values())
        rows.append(f"| {what} | {two_digits(own)} | {two_digits(low)} to {two_digits(high)} |")
    return rows


def two_digits(figure: float) -> str:
    """Returns a figure of 1 or more with two digits: 3.0 or 35."""
    return f"{figure:.1f}" if figure < LEAST_WHOLE else f"{figure:.0f}"


def machine() -> str:
    """Returns the processor, system, Python and libraries, and nothing that identifies the machine."""
    others = ", ".join(f"{name} {found}" for name in LIBRARIES if (found := _version(name)))
    return (
        f"{_processor()}, {os.cpu_count()} cores, {_system()}; "
        f"{platform.python_implementation()} {platform.python_version()}; "
        f"recloser {recloser.__version__}, {others}"
    )


LIBRARIES = (
    "anyio",
    "circuitbreaker",
    "aiobreaker",
    "purgatory",
    "interlock-cb",
    "pyresilience",
    "aioresilience",
    "hyx",
)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
