"""`recloser top` on a terminal: a frame that fills it, drawn again whenever anything changes."""

from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from recloser.cli.client.board import Board
from recloser.cli.client.breaker import Breaker
from recloser.cli.client.formatting import printable, rate, time_of_day
from recloser.cli.client.messages import TransitionEntry
from recloser.cli.client.overview import detail, headline, notes
from recloser.cli.client.sentences import (
    fleet_status,
    missed,
    mode,
    next_step,
    time_in_state,
    transition_is_about,
    transition_text,
    why,
)
from recloser.cli.client.states import CLOSED, word

__all__ = ["Screen", "frame"]

_STYLES = {"closed": "dim", "half_open": "yellow", "disabled": "blue"}
_OPEN_STYLE = "red"
_STATE_WIDTH = 13
_RATES = {"calls/s": ("calls", ""), "failed/s": ("failures", "red"), "rejected/s": ("rejections", "yellow")}
_RATE_WIDTH = 12
_UNKNOWN = "-"
_RATES_FROM_WIDTH = 72
_LEAST_ROWS = 3
_WRAP_OFF, _WRAP_ON = "\x1b[?7l", "\x1b[?7h"  # DECAWM: text beyond the last column does not wrap
_MOST_TRANSITIONS = 8


class Screen:
    """Shows a board in a terminal's other screen while it is entered.

    Args:
        console: The terminal.
        board: What to show.
        address: The address of the dashboard.
        text: Show only breakers with this text in their name or their cause.
        sort: What to sort them by.
    """

    refresh_seconds: float = 0.5

    def __init__(self, console: Console, board: Board, address: str, *, text: str, sort: str) -> None:
        self._console = console
        self._board = board
        self._title = printable(address)
        self._view = (text, sort)
        self._problem = "connecting"
        self._live = Live(console=console, auto_refresh=False, screen=True)

    def __enter__(self) -> Self:
        """Take over the terminal; without wrapping, a line that it takes for longer than it is moves no others."""
        self._live.__enter__()
        self._control(_WRAP_OFF)
        self.refresh()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Give the terminal back as it was."""
        self._control(_WRAP_ON)
        self._live.__exit__(None, None, None)

    def connected(self) -> None:
        """Show that the connection stands."""
        self._problem = ""
        self.refresh()

    def lost(self, problem: str, last_message_at: float) -> None:
        """Show that the connection is lost, and how old the shown state is."""
        self._problem = f"as of {time_of_day(last_message_at)}; trying again: {printable(problem)}"
        self.refresh()

    def changed(self, transitions: list[TransitionEntry], *, is_whole: bool) -> None:  # noqa: ARG002 - the whole board is drawn
        """Show what has changed."""
        self.refresh()

    def refresh(self) -> None:
        """Draw the board as it is now."""
        size = self._console.size
        self._live.update(frame(self._board, self._head(), self._view, (size.width, size.height)), refresh=True)

    def _head(self) -> Text:
        state = Text(self._problem, style="bold red") if self._problem else Text("live", style="dim")
        return Text.assemble((self._title, "bold"), "  ", state)

    def _control(self, sequence: str) -> None:
        if not self._console.legacy_windows:
            self._console.file.write(sequence)


def frame(board: Board, head: Text, view: tuple[str, str], size: tuple[int, int]) -> Group:
    """Return what fills a terminal.

    Args:
        board: What is known.
        head: The first line.
        view: The text to look for in names and causes, and what to sort breakers by.
        size: The terminal's columns and lines.

    Returns:
        A group of lines for a rich console, no more than fit on the terminal.
    """
    text, sort = view
    width, height = size
    lines = [head, *_summary(board), _titles(width)]
    space = max(_LEAST_ROWS, height - len(lines))
    transitions = [each for each in board.transitions if transition_is_about(each, text)]
    transitions = transitions[-min(_MOST_TRANSITIONS, max(1, space // 3)) :][::-1]
    lines += _rows(board, board.ordered(text, sort), width, space - (len(transitions) + 1 if transitions else 0))
    if transitions:
        lines += [Text("Latest transitions", style="bold"), *map(_transition, transitions)]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Group(*lines[:height])


def _summary(board: Board) -> list[Text]:
    """Return the lines between the first one and the breakers."""
    counts = [(f"{count:,} {word(state)}", _style(state)) for state, count in board.counts.items()]
    states = Text("  ").join(Text(text, style=style) for text, style in counts) if counts else Text("no breakers")
    states.append(f"  {missed(board.missed_updates, board.missed_transitions)}", style="yellow")
    lines = [*_overview(board), states]
    if board.fleet is not None:
        lines.append(Text(fleet_status(board.fleet), style="" if board.fleet.connected else "yellow"))
    return lines


def _overview(board: Board) -> list[Text]:
    """Return the sentence about all breakers, what else there is to say, and what may have been forgotten."""
    overview, now = board.overview, board.now
    if overview is None:
        return []
    sentence, more = headline(overview, now), detail(overview, now, *_traffic(board))
    lines = [Text.assemble((sentence.lead, "bold red"), (sentence.rest, "bold"))]
    return [*lines, *([Text(more)] if more else []), *(Text(note, style="magenta") for note in notes(overview, now))]


def _traffic(board: Board) -> tuple[float, float]:
    """Return how many calls are rejected per second, and how many there are in all."""
    rates = [known for breaker in board.breakers.values() if (known := board.rates(breaker)) is not None]
    rejected = sum(each.rejections for each in rates)
    return rejected, rejected + sum(each.calls for each in rates)


def _titles(width: int) -> Text:
    titles = [f"{title:>{_RATE_WIDTH}}" for title in _RATES] if _has_rates(width) else []
    return _line(Text("state"), Text("breaker"), [Text(title) for title in titles], width, style="bold")


def _rows(board: Board, breakers: list[Breaker], width: int, space: int) -> list[Text]:
    """Return two lines for each breaker that is not closed, one for others, and one for those that don't fit."""
    rows: list[Text] = []
    for place, breaker in enumerate(breakers):
        lines = _breaker(board, breaker, width)
        hidden = len(breakers) - place
        if len(rows) + len(lines) + (hidden > 1) > space:
            return [*rows, Text(f"{'':{_STATE_WIDTH}}and {hidden:,} more", style="dim")]
        rows += lines
    return rows


def _breaker(board: Board, breaker: Breaker, width: int) -> list[Text]:
    state, now = breaker.state, board.now
    name = Text(printable(breaker.name), style="" if state == CLOSED else "bold")
    if mode(breaker):
        name.append(f"  {mode(breaker)}", style="dim not bold")
    rates: list[Text] = []
    if _has_rates(width):
        known = board.rates(breaker)
        for key, style in _RATES.values():
            value = None if known is None else getattr(known, key)
            shown = _UNKNOWN if value is None else rate(value)
            rates.append(Text(f"{shown:>{_RATE_WIDTH}}", style=style if value else "dim"))
    lines = [_line(Text(word(state), style=_style(breaker.shown_state)), name, rates, width)]
    if state != CLOSED:
        parts = ", ".join(filter(None, [time_in_state(breaker, now), next_step(breaker, now)]))
        lines.append(Text.assemble(f"  {parts}: ", (why(breaker), "dim")))
    return lines


def _line(state: Text, name: Text, rates: list[Text], width: int, style: str = "") -> Text:
    state.truncate(_STATE_WIDTH, pad=True)
    name.truncate(max(1, width - _STATE_WIDTH - _RATE_WIDTH * len(rates)), overflow="ellipsis", pad=True)
    return Text.assemble(state, name, *rates, style=style)


def _has_rates(width: int) -> bool:
    return width >= _RATES_FROM_WIDTH


def _transition(transition: TransitionEntry) -> Text:
    return Text.assemble((time_of_day(transition.at), _style(transition.new)), "  ", transition_text(transition))


def _style(state: str) -> str:
    return _STYLES.get(state, _OPEN_STYLE)
