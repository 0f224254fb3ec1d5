"""The costs in the project's README are those of the run in benchmarks/README.md."""

from pathlib import Path

import pytest

from benchmarks import readme
from benchmarks.report import table
from benchmarks.results import LIBRARY_HEADER

REST = ("0 B", "1 B", "1", "1")
TABLE = table(
    LIBRARY_HEADER,
    [
        ("floor", "1", "1", "1", *REST),
        ("recloser", "1.24", "1.26", "1.33", *REST),
        ("hyx", "5.34", "3.30", "2.51", *REST),
        ("interlock-cb", "34.93", "14.44", "6.76", *REST),
    ],
)
TABLES = f"# Benchmarks\n\n{TABLE}\n\n## How to read this\n"


def test_the_costs_in_the_readme_are_those_of_the_benchmarks() -> None:
    overview = readme.OVERVIEW.read_text(encoding="utf-8").splitlines()
    rows = readme.cost_rows(readme.TARGET.read_text(encoding="utf-8"))
    missing = [row for row in rows if row not in overview]
    assert not missing, "`python -m benchmarks --write` or benchmarks.readme.write_overview() writes these rows"


def test_costs_have_two_digits_and_the_range_of_the_other_libraries() -> None:
    assert readme.cost_rows(TABLES) == [
        "| cost of a successful call | 1.2 | 5.3 to 35 |",
        "| cost of a failing call | 1.3 | 3.3 to 14 |",
        "| cost of a rejected call | 1.3 | 2.5 to 6.8 |",
    ]


def test_a_run_replaces_the_costs_in_the_readme_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = "| | recloser | the others |\n|---|---|---|\n{}\nThe end.\n"
    old = (
        "| cost of a successful call | 9 | 9 |\n| cost of a failing call | 9 | 9 |\n| cost of a rejected call | 9 | 9 |"
    )
    overview, target = tmp_path / "README.md", tmp_path / "benchmarks.md"
    overview.write_text(rest.format(old), encoding="utf-8")
    target.write_text(TABLES, encoding="utf-8")
    monkeypatch.setattr(readme, "OVERVIEW", overview)
    monkeypatch.setattr(readme, "TARGET", target)
    readme.write_overview()
    assert overview.read_text(encoding="utf-8") == rest.format("\n".join(readme.cost_rows(TABLES)))


def test_a_row_that_is_gone_is_noticed() -> None:
    with pytest.raises(ValueError, match="cost of a successful call"):
        readme.with_costs("no table", TABLES)
