"""`recloser top`: follows a dashboard until the user stops it."""

import math
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import httpx
from rich.console import Console

from recloser.cli.client.board import Board
from recloser.cli.client.connection import Header, follow, new_client
from recloser.cli.client.errors import EndedError, UnreachableError
from recloser.cli.endings import unwrapped
from recloser.cli.top.lines import Lines
from recloser.cli.top.screen import Screen
from recloser.cli.top.view import BoardView

__all__ = ["show", "watch"]

_SIGNALS = [] if sys.platform == "win32" else [signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP]


def watch(
    url: httpx.URL, headers: Sequence[Header], *, timeout_seconds: float, plain: bool, text: str, sort: str
) -> None:
    """Show a dashboard until the user stops it.

    Args:
        url: The URL of the dashboard.
        headers: Sent with each request.
        timeout_seconds: How long connecting and the first message may take.
        plain: Write lines even on a terminal.
        text: Show only breakers with this text in their name or their cause.
        sort: What to sort them by.

    Raises:
        UnreachableError: The dashboard could not be reached the first time.
        EndedError: A signal has ended it; the terminal is as it was.
        KeyboardInterrupt: The user pressed Ctrl-C; the terminal is as it was.
        BrokenPipeError: Nobody reads the output any more.
    """
    console = Console()
    board = Board()
    view: BoardView
    if plain or not sys.stdout.isatty() or console.is_dumb_terminal:
        view = Lines(sys.stdout, board, text=text)
    else:
        view = Screen(console, board, str(url.copy_with(userinfo=b"")), text=text, sort=sort)
    with unwrapped(UnreachableError, EndedError), view:
        anyio.run(partial(show, url, headers, timeout_seconds, board, view))


async def show(
    url: httpx.URL, headers: Sequence[Header], timeout_seconds: float, board: Board, view: BoardView
) -> None:
    """Follow a dashboard, and have a view show what is on the board, until a signal ends it."""
    async with new_client(url, headers, timeout_seconds) as http, anyio.create_task_group() as group:
        group.start_soon(_keep_fresh, view)
        group.start_soon(_obey_signals, view)
        await follow(http, _Follower(board, view), timeout_seconds)


async def _keep_fresh(view: BoardView) -> None:
    while True:
        await anyio.sleep(view.refresh_seconds)
        view.refresh()


async def _obey_signals(view: BoardView) -> None:
    """Restore the terminal when a signal ends or stops the process."""
    if not _SIGNALS:
        return
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        async for number in signals:
            if number != signal.SIGTSTP:
                raise EndedError(number)
            view.__exit__(None, None, None)
            os.kill(os.getpid(), signal.SIGSTOP)
            view.__enter__()


class _Follower:
    """Passes what a dashboard sends on to a board, and has a view show it."""

    def __init__(self, board: Board, view: BoardView) -> None:
        self._board = board
        self._view = view
        self._last_message_at = -math.inf

    @property
    def quiet_seconds(self) -> float:
        return self._board.about.quiet_seconds

    def snapshot(self, data: dict[str, Any]) -> None:
        transitions = self._board.replace(data)
        self._last_message_at = self._board.now
        self._view.changed(transitions, is_whole=True)

    def update(self, data: dict[str, Any]) -> None:
        transitions = self._board.update(data)
        self._last_message_at = self._board.now
        self._view.changed(transitions, is_whole=False)

    def alive(self) -> None:
        self._last_message_at = self._board.now

    def connected(self) -> None:
        self._view.connected()

    def lost(self, problem: str) -> None:
        self._view.lost(problem, self._last_message_at)
