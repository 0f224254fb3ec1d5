"""What belongs to one event loop at a time.

A policy may be used in one event loop after another, asyncio and trio. What waits or is held in a loop that died would
never come free; so it is made anew when the loop has changed.
"""

from __future__ import annotations

from asyncio import get_running_loop
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from anyio.lowlevel import current_token

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class PerLoop(Generic[T]):
    """One object for the running event loop, made when it is first needed there.

    Args:
        make: Makes one; called within the event loop.
    """

    __slots__ = ("_make", "latest", "loop")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self.loop: object = None
        """What stands for the event loop of `latest`: on asyncio the loop itself, elsewhere anyio's token."""
        self.latest: Any = None
        """The object made last, None before the first; Any, for a path too short to ask which. For any thread."""

    def here(self) -> T:
        """Return the object of the running event loop.

        Raises:
            RuntimeError: No event loop runs in this thread.
        """
        loop: object
        try:
            loop = get_running_loop()  # takes a fifth of what current_token() takes, and is the same on asyncio
        except RuntimeError:
            loop = current_token()
        if loop != self.loop:
            self.latest = self._make()
            self.loop = loop
        latest: T = self.latest
        return latest
