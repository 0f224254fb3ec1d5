"""What every view of a board that is followed can do."""

from contextlib import AbstractContextManager
from typing import Protocol

from recloser.cli.watch.board import Transition

__all__ = ["View"]


class View(AbstractContextManager[object, None], Protocol):
    """Shows a board.

    Attributes:
        refresh_seconds: The time between two calls of `refresh`.
    """

    refresh_seconds: float

    def found(self) -> None:
        """Hear that the connection stands."""

    def lost(self, problem: str) -> None:
        """Hear that the connection is lost."""

    def told(self, transitions: list[Transition] | None) -> None:
        """Hear what has changed: these transitions, or None if everything has been told anew."""

    def refresh(self) -> None:
        """Show times as they are now."""
