"""`recloser top` in a pipe or a log: a line for everything that happens."""

from typing import Self, TextIO

from recloser.cli.client.board import Board
from recloser.cli.client.breaker import CLOSED
from recloser.cli.client.formatting import plural, printable, state_word
from recloser.cli.client.messages import TransitionEntry
from recloser.cli.client.sentences import changed, counted, lasted, next_step, time_of_day, why

__all__ = ["Lines"]


class Lines:
    """Writes lines that never move.

    Args:
        stream: Where to write.
        board: What is told of.
        text: Only of breakers with this in their name or their explanation.
    """

    refresh_seconds = 3600.0

    def __init__(self, stream: TextIO, board: Board, *, text: str) -> None:
        self._stream = stream
        self._board = board
        self._text = text
        self._problem = ""
        self._missed = (0, 0)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End."""

    def found(self) -> None:
        """Say that the connection stands again."""
        if self._problem:
            self._write("connected again")
        self._problem = ""

    def lost(self, problem: str, heard_at: float) -> None:
        """Say that the connection is lost, once for each reason."""
        if problem != self._problem:
            said = f"connection lost, last heard of at {time_of_day(heard_at)}, trying again: {printable(problem)}"
            self._write(said)
        self._problem = problem

    def told(self, transitions: list[TransitionEntry], *, anew: bool) -> None:
        """Say what has changed, and after that what is, if it is the whole state that has come."""
        self._say_what_is_missing()
        for transition in transitions:
            if transition.is_about(self._text):
                self._write(changed(transition), transition.at)
        if anew:
            self._sum_up()

    def refresh(self) -> None:
        """Say nothing: only what happens is worth a line."""

    def _say_what_is_missing(self) -> None:
        board = self._board
        now = (board.dropped, board.untold)
        for before, after, one in zip(self._missed, now, ("update", "transition"), strict=True):
            if after > before:
                self._write(f"{plural(after - before, one)} missed")
        self._missed = now

    def _sum_up(self) -> None:
        board, now = self._board, self._board.now
        self._write(counted(board))
        for breaker in board.ordered(self._text):
            if breaker.state != CLOSED:
                said = f"{state_word(breaker.state)} {lasted(breaker, now)}, {next_step(breaker, now)}"
                self._write(f"{printable(breaker.name)}: {said}: {why(breaker)}")

    def _write(self, text: str, at: float | None = None) -> None:
        self._stream.write(f"{time_of_day(self._board.now if at is None else at)}  {text}\n")
        self._stream.flush()
