"""The results of a run as tables: the bars, the times behind them, and the libraries side by side."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from benchmarks.harness import Overhead, Timings
from benchmarks.report import table

HERDS = (100, 10_000)


@dataclass(frozen=True, slots=True)
class Bar:
    """A limit for a figure.

    Args:
        text: The limit in the table.
        keeps: Returns whether a figure is within the limit.
    """

    text: str
    keeps: Callable[[float], bool]


def at_most(limit: float, unit: str) -> Bar:
    """Returns the bar `figure <= limit`."""
    return Bar(f"<= {limit:,g} {unit}", lambda figure: figure <= limit)


def less_than(limit: float, unit: str) -> Bar:
    """Returns the bar `figure < limit`."""
    return Bar(f"< {limit:,g} {unit}", lambda figure: figure < limit)


def exactly(wanted: int) -> Bar:
    """Returns the bar `figure == wanted`."""
    return Bar(f"{wanted}", lambda figure: figure == wanted)


class BarRow(NamedTuple):
    """A figure of recloser and its bar."""

    what: str
    bar: str
    figure: str
    verdict: str


class TimeRow(NamedTuple):
    """The nanoseconds of one path, and its overhead in units of the floor's."""

    what: str
    minimum: str
    median: str
    spread: str
    ratio: str = ""
    quartiles: str = ""
    of_minima: str = ""


@dataclass(slots=True)
class Results:
    """The rows of a run.

    Args:
        bars: The figures of recloser and their bars.
        times: All measured times.
        libraries: One row per library; the first cell is its name.
        absent: The libraries that are not installed, with the reason.
        errors: What could not be measured, and why.
    """

    bars: list[BarRow] = field(default_factory=list)
    times: list[TimeRow] = field(default_factory=list)
    libraries: list[tuple[str, ...]] = field(default_factory=list)
    absent: tuple[tuple[str, str], ...] = ()
    errors: dict[str, Exception] = field(default_factory=dict)

    def add_bar(self, what: str, bar: Bar | None, figure: float, text: str) -> None:
        """Adds a figure of recloser and its verdict.

        Args:
            what: The name of the figure.
            bar: Its bar; None for no bar.
            figure: The measured value.
            text: The value in the table.
        """
        verdict = "" if bar is None else "pass" if bar.keeps(figure) else "MISS"
        self.bars.append(BarRow(what, "" if bar is None else bar.text, text, verdict))

    def add_times(self, what: str, timings: Timings, ratio: Overhead | None) -> None:
        """Adds the times of a subject.

        Args:
            what: The subject.
            timings: Its rounds.
            ratio: The overhead compared with the floor; None for bases and floors.
        """
        row = TimeRow(what, f"{timings.minimum:,.1f}", f"{timings.median:,.1f}", f"{timings.spread:.0%}")
        if ratio is not None:
            row = row._replace(
                ratio=f"{ratio.ratio:.2f}",
                quartiles=f"{ratio.low:.2f} - {ratio.high:.2f}",
                of_minima=f"{ratio.of_minima:.2f}",
            )
        self.times.append(row)

    def text(self) -> str:
        """Returns all tables, and a note about what is missing."""
        parts = []
        if self.bars:
            parts.append(table(BAR_HEADER, self.bars))
        if self.times:
            parts.append(table(TIME_HEADER, self.times))
        if self.libraries:
            parts.append(table(LIBRARY_HEADER, self.libraries))
        parts += [f"Not installed: {name} ({reason})." for name, reason in self.absent]
        parts += [f"Not measured: {what}: {type(error).__name__}: {error}" for what, error in self.errors.items()]
        return "\n\n".join(parts)


BAR_HEADER = ("recloser", "bar", "figure", "verdict")

TIME_HEADER = ("one call", "ns, minimum", "ns, median", "spread", "x floor", "quartiles", "of minima")

LIBRARY_HEADER = (
    "library",
    "success, x floor",
    "failure, x floor",
    "rejection, x floor",
    "left behind",
    "used breaker",
    *(f"of {tasks:,} tasks" for tasks in HERDS),
)
