"""`recloser status`: one look at a dashboard, for people and for scripts."""

import json
from collections.abc import Sequence
from functools import partial

import anyio
import httpx

from recloser.cli.client.board import Board
from recloser.cli.client.breaker import CLOSED
from recloser.cli.client.connection import Header, ask, client
from recloser.cli.client.errors import ForeignError, UnreachableError
from recloser.cli.client.formatting import printable, state_word
from recloser.cli.client.sentences import counted, fleet, lasted, next_step, why

__all__ = ["look"]


def look(url: httpx.URL, headers: Sequence[Header], *, timeout_seconds: float, as_json: bool) -> tuple[int, str]:
    """Return the state of all breakers, as an exit code and as text.

    Args:
        url: The dashboard's.
        headers: Sent along.
        timeout_seconds: How long the answer may take.
        as_json: Let the text be the dashboard's document.

    Returns:
        The code, 0 if all breakers are closed, 1 if any is not; and the text.

    Raises:
        UnreachableError: There is no answer, or none of a dashboard.
    """
    return anyio.run(partial(_look, url, headers, timeout_seconds, as_json=as_json))


async def _look(url: httpx.URL, headers: Sequence[Header], timeout_seconds: float, *, as_json: bool) -> tuple[int, str]:
    async with client(url, headers, timeout_seconds) as http:
        data = await ask(http, timeout_seconds)
    board = Board()
    try:
        board.replace(data)
    except ForeignError as error:
        raise UnreachableError(str(error)) from None
    code = int(any(breaker.state != CLOSED for breaker in board.breakers.values()))
    return code, json.dumps(data) if as_json else "\n".join(_lines(board))


def _lines(board: Board) -> list[str]:
    """Return a line on all, one on the fleet, and two on each breaker that is not closed, the most urgent first."""
    now = board.now
    lines = [counted(board), *filter(None, [fleet(board)])]
    for breaker in board.ordered():
        if breaker.state != CLOSED:
            said = [f"{state_word(breaker.state)} {lasted(breaker, now)}", next_step(breaker, now)]
            lines.append(f"{printable(breaker.name)}: {', '.join(filter(None, said))}")
            lines.append(f"    {why(breaker)}")
    return lines
