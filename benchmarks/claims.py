"""What README.md and the documentation say about speed, computed from the results of a run."""

import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks import contender as of
from benchmarks.libraries import PATHS
from benchmarks.paths import DECORATOR, LISTENER
from benchmarks.results import OfPython, Results

LEAST_WHOLE = 9.95
"""From here on, two digits leave none for tenths."""

HERD = "of 10,000 tasks"
LINE = 120
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

RULES: Final = {
    "failures in a row": (of.IN_A_ROW,),
    "failure rate in a window": (of.COUNT, of.TIME),
    "failure rate and slow calls in a window": (of.COUNT_SLOW, of.TIME_SLOW),
}
"""The sets of rules that a row of the overview sums up."""


def overview(results: Results) -> str:
    """Returns the part of README.md between `BEGIN` and `END`: what was compared, and the table."""
    python = results.pythons[0]
    others = list(dict.fromkeys(about["library"] for about in _others(python)))
    words = (
        f"The figures come from one run on {python.python} that also measured {NUMBERS[len(others)]} other libraries: "
        f"{', '.join(others[:-1])} and {others[-1]}. [The benchmarks](benchmarks/README.md) list every figure, version "
        "and Python and explain how to read them. Costs are relative to a minimal breaker written by hand, which is 1. "
        "Each row compares breakers with the same rules switched on."
    )
    paragraph = textwrap.fill(words, LINE, break_on_hyphens=False)
    head = ["", "| | recloser | the others |", "|---|---|---|"]
    return "\n".join([paragraph, *head, _herd_row(python), *_cost_rows(python)])


def _herd_row(python: OfPython) -> str:
    what = "calls that reach the dependency when 10 000 tasks call right after the reset timeout"
    own, others = (_reached(python, _names(python, own=side)) for side in (True, False))
    return f"| {what} | {own} | {others} |"


def _others(python: OfPython) -> Iterator[dict[str, str]]:
    return (about for about in python.libraries.values() if about["library"] not in {"floor", "recloser"})


def _names(python: OfPython, *, own: bool, rules: Iterable[str] | None = None) -> list[str]:
    return [
        name
        for name, about in python.libraries.items()
        if about["library"] != "floor"
        and (about["library"] == "recloser") == own
        and (rules is None or about["rules"] in rules)
    ]


def _reached(python: OfPython, names: Iterable[str]) -> str:
    """Returns how many calls of a herd get through, with the number of libraries if they differ."""
    by_library: dict[str, int] = {}
    for name in names:
        library = python.libraries[name]["library"]
        by_library[library] = max(round(python.facts[name][HERD]), by_library.get(library, 0))
    figures = Counter(by_library.values())
    if len(figures) == 1:
        return _spaced(next(iter(figures)))
    return ", ".join(f"{_spaced(figure)} ({NUMBERS[count]} of them)" for figure, count in sorted(figures.items()))


def _spaced(figure: int) -> str:
    return f"{figure:,}".replace(",", " ")


def _cost_rows(python: OfPython) -> Iterator[str]:
    what = {"success": "a successful call", "failure": "a failing call", "rejection": "a rejected call"}
    for path in PATHS:
        for title, rules in RULES.items():
            own, others = (_range(python, path, _names(python, own=side, rules=rules)) for side in (True, False))
            yield f"| cost of {what[path]}, {title} | {own} | {others} |"


def _range(python: OfPython, path: str, names: Iterable[str]) -> str:
    costs = [cost.median for name in names if (cost := python.ratio("floor", f"{name}: {path}")) is not None]
    low, high = two_digits(min(costs)), two_digits(max(costs))
    return low if low == high else f"{low} to {high}"


def two_digits(figure: float) -> str:
    """Returns a figure of 1 or more with two digits: 3.0 or 35."""
    return f"{figure:.1f}" if figure < LEAST_WHOLE else f"{figure:.0f}"


def with_overview(page: str, results: Results) -> str:
    """Returns README.md with the figures of a run.

    Raises:
        ValueError: It does not have the lines `BEGIN` and `END`, once each.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"README.md must have one line {BEGIN!r} and one line {END!r} around the figures")
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{overview(results)}\n{END}{rest.split(END)[1]}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the documentation with a figure.

    Args:
        page: The file that has it.
        sentence: Its words, with `{}` for the figure.
        figure: Returns the figure.
    """

    page: str
    sentence: str
    figure: Callable[[OfPython], str]

    def replaced(self, text: str, results: Results) -> str:
        """Returns the text of the page with the figure of a run.

        Raises:
            ValueError: The page does not have the sentence, once.
        """
        words = [re.escape(word).replace(r"\{\}", r"([\d.]+ [nµ]s)") for word in self.sentence.split()]
        found = list(re.finditer(r"\s+".join(words), text))
        if len(found) != 1:
            raise ValueError(f"{self.page} must say {self.sentence!r} once; benchmarks/claims.py looks for it")
        start, end = found[0].span(1)
        return f"{text[:start]}{self.figure(results.pythons[0])}{text[end:]}"


def added(key: str, to: str = DECORATOR) -> Callable[[OfPython], str]:
    """Returns what computes the time that a path adds to another one.

    Args:
        key: The path.
        to: The path without that.
    """

    def figure(python: OfPython) -> str:
        return rounded(python.nanoseconds[key].median - python.nanoseconds[to].median)

    return figure


def rounded(nanoseconds: float) -> str:
    """Returns a time with one digit, or with two from 1 to 2: 80 ns, 300 ns, 1.2 µs, 8 µs."""
    digits = 2 if str(nanoseconds).lstrip("0.")[:1] == "1" else 1
    number = float(f"{nanoseconds:.{digits}g}")
    return f"{number:g} ns" if number < 1000 else f"{number / 1000:g} µs"


CLAIMS = (
    Claim(
        "docs/how-to/logging.md",
        "A listener that receives an event for every call adds about {} to each success",
        added(LISTENER),
    ),
    Claim(
        "docs/how-to/prometheus.md",
        "it adds about {} to each call",
        added("closed, success, Prometheus with durations"),
    ),
    Claim(
        "docs/how-to/opentelemetry.md",
        "That costs about {} per call",
        added("closed, success, OpenTelemetry with durations"),
    ),
)
