"""Writes README.md beside this file: the tables of a run, and on what it ran."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import recloser
from benchmarks import registry
from benchmarks.results import Results
from benchmarks.runner import Options

TARGET = Path(__file__).with_name("README.md")

INTRODUCTION = """\
# Benchmarks

Written by `python -m benchmarks --write`; don't edit. Run it with `nox -s bench`, or a part of it with
`python -m benchmarks --only closed,open --no-peers`. `--profile` shows what a call executes.
"""

READING = """\
## How to read this

**x floor.** The floor is the smallest breaker that one would write by hand: try, except, a count, a time
([floor.py](floor.py)). A ratio is what a library adds to the bare work, divided by what the floor adds to the same
work: `(library - bare) / (floor - bare)`. For closed calls the bare work is an awaited coroutine that returns at once;
for failing calls one that raises; a rejected call has no work, so only the loop is subtracted. A network call takes a
million nanoseconds and more: next to that all of these are small.

**Noise.** Each round runs every subject once, starting with another one each time. Time is CPU time of the thread; the
cyclic garbage collector runs between the rounds, not within. The ratio is the median of the ratios within each round,
with their *quartiles*: a shared machine changes its speed by half from one minute to the next, and only what ran in the
same round can be compared. *Of minima* is the ratio of the fastest rounds; where the two differ much, the machine was
not quiet, and the run is best repeated. *Spread* is the distance between the quartiles of the nanoseconds as a share of
their median. Nanoseconds differ between machines, and ratios between Python versions: compare figures of one run, and
take a difference of 0.1 in a ratio near 1 for nothing.

**Bytes.** `tracemalloc` over {breakers:,} breakers (a tenth of that for the comparison between libraries); their names
don't count. A *used* breaker has seen successes and a failure, in every bucket if it has any. *Left behind* is what
remains of a rejected call with the garbage collector off; where a collection changes it, what remains then follows.

**Tasks.** So many tasks call at once through an open breaker whose time has come, and the dependency does not answer
before all have tried: how many calls reach it? One should.

**Registry.** The keys are got in random order, each time another one: most of the time is the machine's, which fetches
what is in no cache. The fastest of {passes} passes counts.

**Requests.** CPU time of the client's thread; the server is a process of its own. What the caller waits for is longer.

**Queries.** `select 1`, in SQLite in memory and in a PostgreSQL on loopback if there is one: CPU time of this process.
"""


def write(results: Results, options: Options) -> None:
    """Replaces README.md.

    Args:
        results: Of a run.
        options: That it ran with.
    """
    about = f"{machine()}; {options.rounds} rounds of about {options.batch_milliseconds:g} ms a subject."
    reading = READING.format(breakers=options.breakers, passes=registry.PASSES)
    TARGET.write_text(f"{INTRODUCTION}\n{about}\n\n{results.text()}\n\n{reading}", encoding="utf-8")


def machine() -> str:
    """Names processor, system, Python and libraries, and nothing that tells where this ran."""
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
