"""What several processes report becomes one figure with its spread, which is compared with the bar."""

from benchmarks import tables
from benchmarks.harness import overhead
from benchmarks.job import Job, Report
from benchmarks.paths import DECORATOR, own_comparisons
from benchmarks.results import Figure, OfPython, Results
from benchmarks.run import combined


def _results(*costs: float) -> Results:
    pythons = [
        OfPython(
            f"CPython 3.{11 + number}.0",
            nanoseconds={DECORATOR: Figure(280, 270, 290)},
            ratios={"floor": {DECORATOR: Figure(cost, 1.1, 1.9)}, "lean": {DECORATOR: Figure(1.5, 1.4, 1.6)}},
        )
        for number, cost in enumerate(costs)
    ]
    return Results("a machine", 5, 30, 4.0, pythons)


def _rows(text: str, start: str) -> list[list[str]]:
    lines = (line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    assert overhead([12, 30, 14], [10, 10, 10], [11, 15, 12]) == 2


def test_the_figure_of_several_processes_is_their_median_with_the_lowest_and_the_highest() -> None:
    reports = [
        Report("CPython 3.11.7", ratios={"floor": {"a": ratio}}, sizes={"b": ratio} if number == 0 else {})
        for number, ratio in enumerate([1.3, 1.1, 1.2])
    ]
    python = combined(reports)
    assert python.ratios["floor"]["a"] == Figure(1.2, 1.1, 1.3)
    assert python.sizes["b"] == Figure(1.3, 1.3, 1.3)


def test_what_only_one_process_could_not_measure_is_named() -> None:
    reports = [Report("CPython 3.11.7", nanoseconds={"a": 1.0}), Report("CPython 3.11.7", errors={"a": "OSError: no"})]
    assert combined(reports).errors == {"a": "OSError: no"}


def test_jobs_reports_and_results_keep_their_values_on_the_way_through_json() -> None:
    job = Job(("open",), 3, 0.5, 100, 1_000, 1, is_first=False)
    assert Job.parsed(job.text()) == job
    report = Report("CPython 3.11.7", nanoseconds={"a": 1.5}, ratios={"floor": {"a": 1.2}})
    assert Report.parsed(report.text()) == report
    results = _results(1.2, 1.3)
    assert Results.parsed(results.text()) == results


def test_each_python_has_a_column_and_a_miss_names_it() -> None:
    text = tables.text(_results(1.2, 1.4, 1.3))
    assert _rows(text, "recloser, x floor")[0][2:] == ["CPython 3.11", "CPython 3.12", "CPython 3.13", "verdict"]
    assert _rows(text, DECORATOR)[0] == [DECORATOR, "<= 1.35", "1.20", "1.40", "1.30", "MISS: CPython 3.12"]


def test_the_spread_between_processes_and_the_second_floor_are_shown() -> None:
    row = _rows(tables.text(_results(1.2)), DECORATOR)[1]
    assert row == [DECORATOR, "280", "270 - 290", "1.20", "1.10 - 1.90", "1.50", "1.40 - 1.60"]


def test_pythons_that_were_looked_for_and_not_found_are_named() -> None:
    results = _results(1.2)
    results.missing = ["CPython 3.14"]
    assert "Not found: CPython 3.14." in tables.text(results)


def test_every_path_is_named_once() -> None:
    keys = [each.key for each in own_comparisons()]
    assert len(keys) == len(set(keys))
