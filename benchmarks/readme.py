"""Writes the results of a run: results.json and README.md in this directory, and the pages that quote its figures."""

from pathlib import Path

from benchmarks import claims, registry, tables
from benchmarks.results import Results
from benchmarks.run import Options

HERE = Path(__file__).parent
ROOT = HERE.parent
RECORD = HERE / "results.json"
TARGET = HERE / "README.md"
OVERVIEW = ROOT / "README.md"

INTRODUCTION = """\
# Benchmarks

`nox -s bench -- --write` measures, which takes some minutes, and generates this file, so don't edit it. `python -m
benchmarks --render` generates it again from `results.json`. `python -m benchmarks --only closed,open` runs a part of
the benchmarks, and `--profile` shows what a call executes.
"""

READING = """\
## How to read this

**x floor.** The floor is the smallest breaker that one would write by hand: try, except, a counter, a time
([floor.py](floor.py)). The ratio compares what a library adds to the bare work with what the floor adds to the same
work: `(library - bare) / (floor - bare)`. For closed calls, the bare work is to await a coroutine that returns
immediately. For failing calls, it is to await one that raises. For streams, it is to iterate over a generator. A
rejected call does no work, so only the loop is subtracted. A network call takes a million nanoseconds or more, and all
of these figures are small compared with that.

**x lean floor.** The lean floor does the same with everything left out that can be: it takes no keyword arguments, and
a success stores nothing unless there was a failure before ([lean.py](lean.py)). A ratio to something smaller is larger.

**x recloser.** Libraries are compared with recloser *like for like*: in each row, both have the rules that the row
names switched on. The ratio is `(library - bare) / (recloser - bare)`. Some libraries always keep a window or always
measure calls, so they only have rows with these rules. Each library is used in the fastest way that it documents, and
writes no log. A *failing call* is one of 19 in a row after a success, because a rate of 100 % would open the breaker.

**Processes.** Where objects happen to be in memory changes a time by up to a tenth, and each process has them
elsewhere. So several new processes measure everything, each in an order of its own. The figures are the medians of what
the processes have measured, and beside them are the lowest and the highest.

**Rounds.** Within a process, each round runs every subject once and starts with a different one. Times are CPU times of
the thread. The cyclic garbage collector runs between the rounds, not during them. The figure of a process is the median
of its rounds; for a ratio, it is the median of the ratios of the single rounds, because a shared machine can change its
speed by half from one minute to the next. Nanoseconds differ between machines, and ratios differ between Python
versions, so only compare figures of one run. A difference of 0.1 in a ratio near 1 means nothing.

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


def write(results: Results) -> None:
    """Keeps the results of a run, and writes all pages that quote them."""
    RECORD.write_text(results.text(), encoding="utf-8")
    render()


def render() -> None:
    """Writes all pages that quote the results of the last run."""
    for path, text in rendered(Results.parsed(RECORD.read_text(encoding="utf-8"))).items():
        path.write_text(text, encoding="utf-8")


def rendered(results: Results) -> dict[Path, str]:
    """Returns the text of all pages that quote figures, with those of a run."""
    pages = {TARGET: page(results), OVERVIEW: claims.with_overview(OVERVIEW.read_text(encoding="utf-8"), results)}
    for claim in claims.CLAIMS:
        path = ROOT / claim.page
        text = pages[path] if path in pages else path.read_text(encoding="utf-8")
        pages[path] = claim.replaced(text, results)
    return pages


def page(results: Results) -> str:
    """Returns the text of this directory's README.md."""
    main = results.pythons[0]
    about = (
        f"{results.machine}; {', '.join(each.python for each in results.pythons)}; "
        f"{', '.join(f'{name} {version}' for name, version in main.versions.items())}; "
        f"{results.processes} processes on each Python with {results.rounds} rounds of about "
        f"{results.batch_milliseconds:g} ms a subject. {main.python} has the tables of the libraries and of all times."
    )
    reading = READING.format(breakers=Options().breakers, passes=registry.PASSES)
    return f"{INTRODUCTION}\n{about}\n\n{tables.text(results)}\n\n{reading}"
