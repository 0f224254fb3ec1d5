"""The summary as a table and sentences."""

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from recloser.cli.demo.lane import AnswerSource
from recloser.cli.demo.plan import Plan
from recloser.cli.demo.summary import LaneSummary, Summary
from recloser.cli.demo.view import SOURCES, milliseconds

__all__ = ["report"]


def report(summary: Summary, plan: Plan) -> Group:
    """Return the table, and the sentences below it.

    Args:
        summary: The figures.
        plan: What was played.

    Returns:
        Something that a rich console prints.
    """
    table = Table(title=f"{plan.callers} callers with a breaker, {plan.callers} without", box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("with breaker", justify="right")
    table.add_column("without", justify="right")
    for title, protected, bare in zip(_TITLES, _column(summary.protected), _column(summary.bare), strict=True):
        table.add_row(title, protected, bare)
    return Group(table, Text("\n".join(_sentences(summary))))


_TITLES = (
    "calls",
    "answered by the service",
    "answered from memory",
    "... the oldest of these answers",
    "answered by default",
    "failed, as callers saw it",
    "rejected at once by the breaker",
    "requests that reached the upstream",
    "... while it was down",
    "time lost waiting for failures",
    "median time of an answer by the service",
)


def _column(lane: LaneSummary) -> tuple[str, ...]:
    return (
        str(lane.calls),
        str(lane.counts[AnswerSource.SERVICE]),
        str(lane.counts[AnswerSource.MEMORY]),
        "-" if lane.oldest_seconds is None else f"{lane.oldest_seconds:.1f} s",
        str(lane.counts[AnswerSource.DEFAULT]),
        str(lane.counts[AnswerSource.FAILURE]),
        str(lane.rejections),
        str(lane.hits),
        str(lane.hits_while_down),
        f"{lane.lost_seconds:.1f} s",
        milliseconds(lane.latency_seconds),
    )


def _sentences(summary: Summary) -> list[str]:
    probes = ", ".join("unfinished" if count is None else str(count) for count in summary.probes)
    return [
        f"Detected:  {_seconds(summary.detect_seconds)} from the start of the outage until the breaker opened",
        f"Recovered: {_seconds(summary.recover_seconds)} from the upstream's return until the breaker closed",
        f"Outage:    {_meanwhile(summary.protected)}",
        f"Probes:    {probes or 'none'} (requests let through in each half-open episode)",
    ]


def _meanwhile(lane: LaneSummary) -> str:
    """Return what callers got during the outage."""
    fresh, memory, default = (lane.counts_while_down[source] for source in SOURCES)
    errors = lane.counts_while_down[AnswerSource.FAILURE]
    return f"{fresh} fresh answers, {memory} from memory, {default} by default, {errors} errors"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"
