"""What `recloser top` needs of a view."""

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

    def connected(self) -> None:
        """Show that the connection stands."""

    def lost(self, problem: str, last_message_at: float) -> None:
        """Show that the connection is lost, and when the last message came, in seconds since 1970."""

    def changed(self, transitions: list[TransitionEntry], *, is_whole: bool) -> None:
        """Show what has changed, with these new transitions; `is_whole` if the whole state has come."""

    def refresh(self) -> None:
        """Show times as they are now."""
