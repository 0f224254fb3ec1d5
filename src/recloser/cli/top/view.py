"""What every view of a board that is followed can do."""

from contextlib import AbstractContextManager
from typing import Protocol

from recloser.cli.client.messages import TransitionEntry

__all__ = ["BoardView"]


class BoardView(AbstractContextManager[object, None], Protocol):
    """Shows a board.

    Attributes:
        refresh_seconds: The time between two calls of `refresh`.
    """

    refresh_seconds: float

    def found(self) -> None:
        """Hear that the connection stands."""

    def lost(self, problem: str, heard_at: float) -> None:
        """Hear that the connection is lost, and when anything was heard the last time, in seconds since 1970."""

    def told(self, transitions: list[TransitionEntry], *, anew: bool) -> None:
        """Hear what has changed: these transitions among other things; `anew` if everything has been told again."""

    def refresh(self) -> None:
        """Show times as they are now."""
