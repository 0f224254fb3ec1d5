"""The results of a run as tables: recloser's bars, the times behind them, and the libraries side by side."""

from collections.abc import Iterator, Sequence

from benchmarks.comparisons import Comparison
from benchmarks.libraries import HERDS, PATHS
from benchmarks.paths import own_comparisons
from benchmarks.pythons import label_of
from benchmarks.report import table
from benchmarks.results import Figure, OfPython, Results
from benchmarks.sizes import Size, sizes

TIME_HEADER = (
    "one call",
    "ns",
    "processes",
    "x floor",
    "processes",
    "x lean floor",
    "processes",
)
COST_HEADER = (
    "library",
    "what a call does",
    *(f"{path}, x floor" for path in PATHS),
    *(f"{path}, x recloser" for path in PATHS),
)
FACT_HEADER = ("library", "left behind", "used breaker", *(f"of {tasks:,} tasks" for tasks in HERDS))


def text(results: Results) -> str:
    """Returns all tables, and a note about what is missing."""
    main = results.pythons[0]
    parts = [
        _table(("recloser, x floor", "bar", *_labels(results), "verdict"), list(_bar_rows(results))),
        _table(("recloser", "bar", *_labels(results), "verdict"), list(_size_rows(results))),
        _table(COST_HEADER, list(_cost_rows(main)), texts=2),
        _table(FACT_HEADER, list(_fact_rows(main))),
        _table(TIME_HEADER, list(_time_rows(main))),
        *(f"Not installed: {name} ({reason})." for name, reason in main.absent.items()),
        *(f"Not found: {label}." for label in results.missing),
        *(
            f"Not measured, {each.python}: {key}: {error}"
            for each in results.pythons
            for key, error in each.errors.items()
        ),
    ]
    return "\n\n".join(part for part in parts if part)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int = 1) -> str:
    return table(header, rows, texts=texts) if rows else ""


def _labels(results: Results) -> list[str]:
    return [label_of(each.python) for each in results.pythons]


def _of_own(python: OfPython, comparison: Comparison) -> Figure | None:
    return python.ratio(next(iter(comparison.against)), comparison.key)


def _bar_rows(results: Results) -> Iterator[tuple[str, ...]]:
    for each in own_comparisons():
        found = [_of_own(python, each) for python in results.pythons]
        if any(found):
            cells = ["" if figure is None else f"{figure.median:.2f}" for figure in found]
            bar = "" if each.bar is None else f"<= {each.bar:g}"
            yield (each.key, bar, *cells, _verdict(results, each.bar, found))


def _size_rows(results: Results) -> Iterator[tuple[str, ...]]:
    for size in sizes():
        found = [python.sizes.get(size.what) for python in results.pythons]
        if any(found):
            cells = ["" if figure is None else _with_unit(size, figure.median) for figure in found]
            bar = "" if size.bar is None else f"<= {_with_unit(size, size.bar, exactly=True)}"
            yield (size.what, bar, *cells, _verdict(results, size.bar, found))


def _with_unit(size: Size, figure: float, *, exactly: bool = False) -> str:
    number = f"{figure:,g}" if exactly else f"{figure:,.{size.digits}f}"
    return f"{number} {size.unit}".rstrip()


def _verdict(results: Results, bar: float | None, found: Sequence[Figure | None]) -> str:
    """Returns `pass`, or `MISS` with the Pythons on which a median is above the bar if they are not all."""
    if bar is None:
        return ""
    measured = [(label, figure) for label, figure in zip(_labels(results), found, strict=True) if figure is not None]
    missed = [label for label, figure in measured if figure.median > bar]
    if len(missed) == len(measured):
        return "MISS"
    return f"MISS: {', '.join(missed)}" if missed else "pass"


def _time_rows(python: OfPython) -> Iterator[tuple[str, ...]]:
    """Returns a row for each subject: those of recloser after what they are compared with, then the libraries."""
    order: dict[str, None] = {}
    for each in own_comparisons():
        order |= dict.fromkeys([each.base, *each.against.values(), each.key])
    kinds = [kind for kind, _ in PATHS.values()]
    order |= dict.fromkeys(key for kind in kinds for key in (kind.base, *kind.against.values()))
    order |= dict.fromkeys(f"{name}: {path}" for name in python.libraries for path in PATHS)
    for key in order:
        if (time := python.nanoseconds.get(key)) is not None:
            yield (
                key,
                f"{time.median:,.0f}",
                f"{time.low:,.0f} - {time.high:,.0f}",
                *_ratio_cells(python.ratio("floor", key) or python.ratio("own", key)),
                *_ratio_cells(python.ratio("lean", key)),
            )


def _ratio_cells(figure: Figure | None) -> tuple[str, str]:
    return ("", "") if figure is None else (f"{figure.median:.2f}", f"{figure.low:.2f} - {figure.high:.2f}")


def _cost_rows(python: OfPython) -> Iterator[tuple[str, ...]]:
    """Returns a row for each library and each set of rules, with those of recloser before."""
    for name, about in python.libraries.items():
        if about["library"] == "floor":
            continue
        costs = [_cost(python, column, f"{name}: {path}") for column in ("floor", "like") for path in PATHS]
        if any(costs):
            yield (name, about["does"], *costs)


def _cost(python: OfPython, column: str, key: str) -> str:
    figure = python.ratio(column, key)
    return "" if figure is None else f"{figure.median:.2f}"


def _fact_rows(python: OfPython) -> Iterator[tuple[str, ...]]:
    for name, facts in python.facts.items():
        left = f"{facts['left at once']:,.0f} B"
        if round(facts["left at once"]) != round(facts["left for good"]):
            left += f", then {facts['left for good']:,.0f} B"
        herds = (f"{facts[f'of {tasks:,} tasks']:,.0f}" for tasks in HERDS)
        yield (name, left, f"{facts['bytes']:,.0f} B", *herds)
