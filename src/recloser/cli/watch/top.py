"""`recloser top`: a dashboard followed for as long as anybody looks."""

import sys
from functools import partial
from typing import Any

import anyio
import httpx
from rich.console import Console

from recloser.cli.endings import unwrapped
from recloser.cli.watch.board import Board
from recloser.cli.watch.errors import UnreachableError
from recloser.cli.watch.lines import Lines
from recloser.cli.watch.screen import Screen
from recloser.cli.watch.source import client, follow
from recloser.cli.watch.view import View

__all__ = ["watch"]


def watch(
    url: httpx.URL, headers: dict[str, str], *, timeout_seconds: float, plain: bool, text: str, sort: str
) -> None:
    """Show a dashboard until the user has seen enough.

    Args:
        url: The dashboard's.
        headers: Sent along.
        timeout_seconds: How long connecting and the first message may take.
        plain: Write lines even on a terminal.
        text: Only breakers with this in their name or their explanation.
        sort: What they are sorted by.

    Raises:
        UnreachableError: The dashboard could not be reached the first time.
        KeyboardInterrupt: The user pressed Ctrl-C; the terminal is as it was.
        BrokenPipeError: Nobody reads the output any more.
    """
    console = Console()
    board = Board()
    shown = str(url.copy_with(userinfo=b""))
    view: View
    if plain or not console.is_terminal:
        view = Lines(sys.stdout, board, text=text)
    else:
        view = Screen(console, board, shown, text=text, sort=sort)
    with unwrapped(UnreachableError), view:
        anyio.run(partial(_follow, url, headers, timeout_seconds, board, view))


async def _follow(url: httpx.URL, headers: dict[str, str], timeout_seconds: float, board: Board, view: View) -> None:
    async with client(url, headers, timeout_seconds) as http, anyio.create_task_group() as group:
        group.start_soon(_keep_fresh, view)
        await follow(http, _Follower(board, view), timeout_seconds)


async def _keep_fresh(view: View) -> None:
    while True:
        await anyio.sleep(view.refresh_seconds)
        view.refresh()


class _Follower:
    """Puts what a dashboard says onto a board, and tells a view."""

    def __init__(self, board: Board, view: View) -> None:
        self._board = board
        self._view = view
        self.found, self.lost = view.found, view.lost

    @property
    def quiet_seconds(self) -> float:
        return self._board.quiet_seconds

    def snapshot(self, data: dict[str, Any]) -> None:
        self._board.replace(data)
        self._view.told(None)

    def update(self, data: dict[str, Any]) -> None:
        self._view.told(self._board.update(data))
