"""`recloser top` in a pipe or a log: a line for everything that happens."""

from typing import Self, TextIO

from recloser.cli.watch.board import Board, Transition
from recloser.cli.watch.sentences import changed, counted, lasted, next_step, time_of_day, why
from recloser.cli.watch.words import plural, printable, state_word

__all__ = ["Lines"]

_CLOSED = "closed"


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
        self._dropped = 0

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End."""

    def found(self) -> None:
        """Say nothing: what comes next says that the connection stands."""

    def lost(self, problem: str) -> None:
        """Say that the connection is lost."""
        self._write(f"connection lost, trying again: {printable(problem)}")

    def told(self, transitions: list[Transition] | None) -> None:
        """Say what has changed; what is, if it is the whole state that has come."""
        if transitions is None:
            self._sum_up()
        for transition in transitions or ():
            if self._text.casefold() in f"{transition.breaker}\n{transition.cause}".casefold():
                self._write(changed(transition), transition.at)

    def refresh(self) -> None:
        """Say nothing: only what happens is worth a line."""

    def _sum_up(self) -> None:
        board, now = self._board, self._board.now
        missed = board.dropped - self._dropped
        self._dropped = board.dropped
        self._write(counted(board) + (f"; {plural(missed, 'update')} missed" if missed > 0 else ""))
        for breaker in board.ordered(self._text):
            if breaker.state != _CLOSED:
                said = f"{state_word(breaker.state)} {lasted(breaker, now)}, {next_step(breaker, now)}"
                self._write(f"{printable(breaker.name)}: {said}: {why(breaker)}")

    def _write(self, text: str, at: float | None = None) -> None:
        self._stream.write(f"{time_of_day(self._board.now if at is None else at)}  {text}\n")
        self._stream.flush()
