"""`recloser top` in a pipe or a log: a line for each transition."""

from typing import Self, TextIO

from recloser.cli.client.board import Board
from recloser.cli.client.formatting import printable, time_of_day
from recloser.cli.client.messages import TransitionEntry
from recloser.cli.client.overview import headline
from recloser.cli.client.sentences import (
    counted,
    missed,
    mode,
    next_step,
    time_in_state,
    transition_is_about,
    transition_text,
    why,
)
from recloser.cli.client.states import CLOSED, word

__all__ = ["Lines"]


class Lines:
    """Writes lines that never move.

    Args:
        stream: The stream to write to.
        board: What is known.
        text: Write only about breakers with this text in their name or their cause.
    """

    refresh_seconds: float = 3600.0

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

    def connected(self) -> None:
        """Say that the connection stands again."""
        if self._problem:
            self._write("connected again")
        self._problem = ""

    def lost(self, problem: str, last_message_at: float) -> None:
        """Say that the connection is lost, once for each reason."""
        if problem != self._problem:
            self._write(
                f"connection lost, last message at {time_of_day(last_message_at)}, trying again: {printable(problem)}"
            )
        self._problem = problem

    def changed(self, transitions: list[TransitionEntry], *, is_whole: bool) -> None:
        """Write the transitions, and after them a summary if the whole state has come."""
        self._write_missed()
        for transition in transitions:
            if transition_is_about(transition, self._text):
                self._write(transition_text(transition), transition.at)
        if is_whole:
            self._sum_up()

    def refresh(self) -> None:
        """Write nothing: only events get a line."""

    def _write_missed(self) -> None:
        board = self._board
        now = (board.missed_updates, board.missed_transitions)
        updates, transitions = (max(0, after - before) for before, after in zip(self._missed, now, strict=True))
        if text := missed(updates, transitions):
            self._write(text)
        self._missed = now

    def _sum_up(self) -> None:
        board, now = self._board, self._board.now
        if board.overview is not None:
            self._write(str(headline(board.overview, now)))
        self._write(counted(board.counts))
        for breaker in board.ordered(self._text):
            if breaker.state != CLOSED:
                parts = [f"{word(breaker.state)} {time_in_state(breaker, now)}", next_step(breaker, now), mode(breaker)]
                self._write(f"{printable(breaker.name)}: {', '.join(filter(None, parts))}: {why(breaker)}")

    def _write(self, text: str, at: float | None = None) -> None:
        self._stream.write(f"{time_of_day(self._board.now if at is None else at)}  {text}\n")
        self._stream.flush()
