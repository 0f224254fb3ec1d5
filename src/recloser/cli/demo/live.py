"""The view for a terminal: a live table, with events scrolling by above it."""

from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from recloser import CircuitState
from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.lane import AnswerSource
from recloser.cli.demo.view import SOURCES, lane_status, milliseconds

__all__ = ["LiveView"]

_STYLES = {CircuitState.CLOSED: "black on green", CircuitState.HALF_OPEN: "black on yellow"}
_OPEN_STYLE = "white on red"


class LiveView:
    """Redraws itself in place while its block runs.

    Args:
        console: The terminal.
        experiment: What to show.
    """

    refresh_seconds: float = 0.1

    def __init__(self, console: Console, experiment: Experiment) -> None:
        self._console = console
        self._experiment = experiment
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        """Start drawing at the bottom of the terminal."""
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the terminal."""
        self._live.__exit__(kind, error, traceback)

    def note(self, text: str) -> None:
        """Print a line above the table."""
        self._console.print(
            f"{self._experiment.clock():5.1f} s  {text}",
            markup=False,
            highlight=False,
            no_wrap=True,
            overflow="ellipsis",
        )

    def refresh(self) -> None:
        """Redraw the table."""
        self._live.update(self._frame(), refresh=True)

    def _frame(self) -> Panel:
        elapsed, total = self._experiment.clock(), self._experiment.plan.seconds
        return Panel(
            Group(
                self._states(),
                Text(self._experiment.breaker.explain(), style="dim"),
                self._figures(),
                ProgressBar(total=total, completed=min(elapsed, total)),
            ),
            title="recloser demo",
            subtitle=f"{elapsed:.1f} of {total:.0f} s",
            box=box.ROUNDED,
        )

    def _states(self) -> Text:
        state = self._experiment.breaker.state
        badge = (f" {state.value.upper()} ", _STYLES.get(state, _OPEN_STYLE))
        return Text.assemble(
            ("breaker ", "bold"), badge, ("   upstream ", "bold"), self._experiment.upstream.phase.name
        )

    def _figures(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False, expand=True)
        table.add_column("breaker", no_wrap=True)
        answers = (f"by {source}" for source in SOURCES.values())
        for title in ("calls", *answers, "failed", "hits", "lost", "latency"):
            table.add_column(title, justify="right", no_wrap=" " not in title)
        for lane in (self._experiment.protected, self._experiment.bare):
            now = lane_status(self._experiment, lane)
            table.add_row(
                lane.name.partition("-")[0],
                str(now.calls),
                *(str(now.counts[source]) if source in lane.sources else "" for source in SOURCES),
                str(now.counts[AnswerSource.FAILURE]),
                str(now.hits),
                f"{now.lost_seconds:.1f} s",
                milliseconds(now.latency_seconds),
            )
        return table
