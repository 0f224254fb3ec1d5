"""The figures at the end, computed from the record."""

from collections import Counter
from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from demos.mcp.facts import Kind, Report
from demos.mcp.play import Record
from demos.mcp.script import OPEN

__all__ = ["summary"]

_COLUMNS = {
    Kind.ANSWER: "fresh",
    Kind.CACHED: "cached",
    Kind.STAND_IN: "stand-in",
    Kind.ERROR: "errors",
    Kind.REJECTED: "rejected",
}


def summary(record: Record) -> Group:
    """Return a table of what the client saw in each phase, with sentences below it."""
    table = Table(
        title="What the client saw, and what reached the dependencies", box=box.SIMPLE_HEAD, collapse_padding=True
    )
    table.add_column("phase")
    for title in ("calls", *_COLUMNS.values(), "reached"):
        table.add_column(title, justify="right")
    for phase, reports in record.phases:
        table.add_row(phase.name, *_figures(reports))
    table.add_section()
    table.add_row("all", *_figures(report for _, reports in record.phases for report in reports))
    return Group("", table, Text("\n".join(_sentences(record))))


def _figures(reports: Iterable[Report]) -> list[str]:
    kinds, reached = _counts(reports)
    return [str(count) for count in (kinds.total(), *(kinds[kind] for kind in _COLUMNS), reached)]


def _counts(reports: Iterable[Report]) -> tuple[Counter[Kind], int]:
    """Return how many answers of each kind there were, and how many calls reached a dependency."""
    kinds, reached = Counter[Kind](), 0
    for report in reports:
        reached += sum((report.reached or {}).values())
        for exchange in report.exchanges:
            kinds[exchange.ask.kind] += sum(times for _, times in exchange.answers)
    return kinds, reached


def _sentences(record: Record) -> Iterator[str]:
    for phase, reports in record.phases:
        if phase is OPEN:
            kinds, reached = _counts(reports)
            yield (
                f"Open:    {reached} of {kinds.total()} calls reached anything; {kinds[Kind.CACHED]} cached, "
                f"{kinds[Kind.STAND_IN]} stand-ins, {kinds[Kind.REJECTED]} rejected"
            )
    reports = [report for _, reports in record.phases for report in reports]
    first, last = reports[0].before, reports[-1].after
    probes = ", ".join(f"{name} {last[name].probes - first[name].probes}" for name in last)
    yield f"Waited:  {record.waited_seconds:.1f} s, as health said"
    yield f"Probes:  {probes}"
