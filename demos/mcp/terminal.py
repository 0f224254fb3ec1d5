"""The view for a terminal: coloured, wrapped to its width, each state with a colour of its own."""

from contextlib import AbstractContextManager

from rich.console import Console
from rich.rule import Rule
from rich.status import Status
from rich.table import Table
from rich.text import Text

from demos.mcp import wording
from demos.mcp.facts import Exchange, Health, Kind, Report
from demos.mcp.script import Phase

__all__ = ["TerminalView"]

_STATES = {"closed": "green", "open": "red", "half_open": "yellow"}
_KINDS = {
    Kind.ANSWER: "green",
    Kind.ERROR: "red",
    Kind.REJECTED: "yellow",
    Kind.CACHED: "blue",
    Kind.STAND_IN: "cyan",
}
_LABEL_WIDTH = 13  # of "10 x rejected"


class TerminalView:
    """Prints what happens.

    Args:
        console: The terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console

    def begin(self, health: Health) -> None:
        """Print that the server is running."""
        self._console.print(Text("\nAn MCP server is running; the client calls it over stdio.", style="bold"))
        self._rows([(Text("health", style="dim"), _states(health))])

    def phase(self, number: int, phase: Phase) -> None:
        """Draw a line across the terminal."""
        self._console.print()
        self._console.print(Rule(Text(f"{number}  {phase.name}", style="bold"), style="dim"))
        self._console.print(Text(phase.about, style="italic"))

    def report(self, report: Report) -> None:
        """Print the outcome of a step."""
        self._console.print()
        for name in report.broken:
            self._console.print(Text(f"now {wording.failure(name)}", style="red"))
        for exchange in report.exchanges:
            self._console.print(Text(wording.asked(exchange), style="bold"))
            self._rows(_answers(exchange))
        rows: list[tuple[Text, Text]] = []
        if report.reached is not None:
            rows.append((Text("reached", style="dim"), Text(wording.reached(report))))
        self._rows([*rows, (Text("health", style="dim"), _health(report))])
        for problem in report.problems:
            self._console.print(Text(f"PROBLEM: {problem}", style="bold red"))

    def waiting(self, seconds: float, health: Health) -> AbstractContextManager[Status]:
        """Print how long the wait is, with a spinner."""
        self._console.print()
        self._console.print(Text(wording.wait(seconds, health)))
        return self._console.status(Text(f"waiting {seconds:.1f} s"))

    def ready(self, health: Health) -> None:
        """Print health at the end of the wait."""
        self._rows([(Text("health", style="dim"), _states(health).append(", until a call arrives", style="dim"))])

    def _rows(self, rows: list[tuple[Text, Text]]) -> None:
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", no_wrap=True, min_width=_LABEL_WIDTH)
        table.add_column(overflow="fold")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)


def _answers(exchange: Exchange) -> list[tuple[Text, Text]]:
    style = _KINDS[exchange.ask.kind]
    return [(Text(label, style=style), Text(text)) for label, text in wording.answers(exchange)]


def _health(report: Report) -> Text:
    changed = wording.changes(report)
    said = [
        Text.assemble((f"{name} ", "bold"), (old, _STATES.get(old, "")), " → ", (f" {new} ", f"reverse {_STATES[new]}"))
        for name, old, new in changed
    ]
    rest = _states(report.after, [name for name, *_ in changed], style="dim")
    return Text("\n").join([*said, rest] if rest else said)


def _states(health: Health, but: list[str] | None = None, style: str = "") -> Text:
    groups = wording.still(health, but or ())
    return Text("  ").join(
        Text.assemble((f"{state} ", _STATES.get(state, style)), (names, _STATES.get(names, style)))
        for state, names in groups
    )
