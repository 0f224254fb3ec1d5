"""`recloser top`: a dashboard followed for as long as anybody looks."""

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
from recloser.cli.client.connection import Header, client, follow
from recloser.cli.client.errors import EndedError, UnreachableError
from recloser.cli.endings import unwrapped
from recloser.cli.top.lines import Lines
from recloser.cli.top.screen import Screen
from recloser.cli.top.view import BoardView

__all__ = ["watch"]

_SIGNALS = [] if sys.platform == "win32" else [signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP]


def watch(
    url: httpx.URL, headers: Sequence[Header], *, timeout_seconds: float, plain: bool, text: str, sort: str
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
        anyio.run(partial(_follow, url, headers, timeout_seconds, board, view))


async def _follow(
    url: httpx.URL, headers: Sequence[Header], timeout_seconds: float, board: Board, view: BoardView
) -> None:
    async with client(url, headers, timeout_seconds) as http, anyio.create_task_group() as group:
        group.start_soon(_keep_fresh, view)
        group.start_soon(_obey_signals, view)
        await follow(http, _Follower(board, view), timeout_seconds)


async def _keep_fresh(view: BoardView) -> None:
    while True:
        await anyio.sleep(view.refresh_seconds)
        view.refresh()


async def _obey_signals(view: BoardView) -> None:
    """Give the terminal back when somebody else ends or stops the process."""
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
    """Puts what a dashboard says onto a board, and tells a view."""

    def __init__(self, board: Board, view: BoardView) -> None:
        self._board = board
        self._view = view
        self._heard_at = -math.inf

    @property
    def quiet_seconds(self) -> float:
        return self._board.about.quiet_seconds

    def snapshot(self, data: dict[str, Any]) -> None:
        transitions = self._board.replace(data)
        self._heard_at = self._board.now
        self._view.told(transitions, anew=True)

    def update(self, data: dict[str, Any]) -> None:
        transitions = self._board.update(data)
        self._heard_at = self._board.now
        self._view.told(transitions, anew=False)

    def alive(self) -> None:
        self._heard_at = self._board.now

    def found(self) -> None:
        self._view.found()

    def lost(self, problem: str) -> None:
        self._view.lost(problem, self._heard_at)
