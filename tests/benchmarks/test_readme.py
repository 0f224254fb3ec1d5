"""What README.md and the documentation say about speed is what the last run has measured."""

import re

import pytest

from benchmarks import claims, readme
from benchmarks.claims import BEGIN, END, Claim, rounded, with_overview
from benchmarks.contender import COUNT, COUNT_SLOW, IN_A_ROW, TIME, TIME_SLOW
from benchmarks.libraries import PATHS
from benchmarks.results import Figure, OfPython, Results

COSTS = {
    ("recloser", IN_A_ROW): 1.24,
    ("recloser", COUNT): 1.22,
    ("recloser", TIME): 1.61,
    ("recloser", COUNT_SLOW): 2.31,
    ("recloser", TIME_SLOW): 2.34,
    ("hyx", IN_A_ROW): 5.3,
    ("circuitbreaker", IN_A_ROW): 4.6,
    ("pyresilience", COUNT): 23.2,
    ("nopanic", TIME): 7.3,
    ("nopanic", TIME_SLOW): 8.2,
    ("interlock-cb", COUNT_SLOW): 34.4,
}


def _python() -> OfPython:
    python = OfPython("CPython 3.11.7", ratios={"floor": {}})
    for (library, rules), cost in COSTS.items():
        name = f"{library} ({rules})"
        python.libraries[name] = {"library": library, "rules": rules, "does": ""}
        python.facts[name] = {claims.HERD: 10_000 if library in {"hyx", "circuitbreaker"} else 1}
        python.ratios["floor"] |= {f"{name}: {path}": Figure(cost, cost, cost) for path in PATHS}
    python.nanoseconds = {"slow": Figure(3_300, 0, 0), "fast": Figure(300, 0, 0)}
    return python


RESULTS = Results("a machine", 5, 30, 4.0, [_python()])


def test_all_pages_quote_the_last_run() -> None:
    results = Results.parsed(readme.RECORD.read_text(encoding="utf-8"))
    for path, text in readme.rendered(results).items():
        assert path.read_text(encoding="utf-8") == text, f"`python -m benchmarks --render` writes {path.name}"


def test_the_overview_compares_the_libraries_with_the_same_rules() -> None:
    text = claims.overview(RESULTS)
    assert "| cost of a successful call, failures in a row | 1.2 | 4.6 to 5.3 |" in text
    assert "| cost of a successful call, failure rate in a window | 1.2 to 1.6 | 7.3 to 23 |" in text
    assert "| cost of a successful call, failure rate and slow calls in a window | 2.3 | 8.2 to 34 |" in text


def test_the_overview_counts_the_libraries() -> None:
    text = claims.overview(RESULTS)
    assert "five other libraries: hyx, circuitbreaker, pyresilience, nopanic and interlock-cb." in " ".join(
        text.split()
    )
    assert "| 1 | 1 (three of them), 10 000 (two of them) |" in text


def test_a_run_replaces_the_figures_of_the_readme_and_nothing_else() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_overview(page, RESULTS) == f"before\n{BEGIN}\n{claims.overview(RESULTS)}\n{END}\nafter\n"


def test_a_readme_without_a_place_for_the_figures_is_noticed() -> None:
    with pytest.raises(ValueError, match=re.escape(END)):
        with_overview(f"{BEGIN}\n", RESULTS)


def test_a_sentence_gets_its_figure_wherever_its_lines_break() -> None:
    claim = Claim("page.md", "it adds about {} to each call", claims.added("slow", "fast"))
    text = "So it adds\nabout 12 ns to each call, as\nit was."
    assert claim.replaced(text, RESULTS) == "So it adds\nabout 3 µs to each call, as\nit was."


@pytest.mark.parametrize("text", ["", "adds 1 ns. adds 1 ns."])
def test_a_sentence_that_is_gone_or_there_twice_is_noticed(text: str) -> None:
    claim = Claim("page.md", "adds {}.", claims.added("slow", "fast"))
    with pytest.raises(ValueError, match="page.md must say"):
        claim.replaced(text, RESULTS)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(83, "80 ns"), (312, "300 ns"), (1_234, "1.2 µs"), (7_890, "8 µs"), (996, "1 µs"), (10_400, "10 µs")],
)
def test_times_are_rounded_to_what_a_reader_needs(nanoseconds: float, text: str) -> None:
    assert rounded(nanoseconds) == text
