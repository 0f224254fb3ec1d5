"""`recloser status`: the state that a dashboard shows now, for people and for scripts."""

import json
from collections.abc import Sequence
from functools import partial

import anyio
import httpx

from recloser.cli.client.board import Board
from recloser.cli.client.connection import Header, get_status, new_client
from recloser.cli.client.errors import ForeignError, UnreachableError
from recloser.cli.client.formatting import printable
from recloser.cli.client.sentences import counted, fleet_status, mode, next_step, time_in_state, why
from recloser.cli.client.states import CLOSED, word

__all__ = ["look"]


def look(url: httpx.URL, headers: Sequence[Header], *, timeout_seconds: float, as_json: bool) -> tuple[int, str]:
    """Return the state of all breakers, as an exit code and as text.

    Args:
        url: The URL of the dashboard.
        headers: Sent with the request.
        timeout_seconds: How long the response may take.
        as_json: Return the dashboard's document as the text.

    Returns:
        The code, 0 if all breakers are closed, 1 if any is not; and the text.

    Raises:
        UnreachableError: There is no response, or it is not that of a dashboard.
    """
    return anyio.run(partial(_look, url, headers, timeout_seconds, as_json=as_json))


async def _look(url: httpx.URL, headers: Sequence[Header], timeout_seconds: float, *, as_json: bool) -> tuple[int, str]:
    async with new_client(url, headers, timeout_seconds) as http:
        data = await get_status(http, timeout_seconds)
    board = Board()
    try:
        board.replace(data)
    except ForeignError as error:
        raise UnreachableError(str(error)) from None
    code = int(any(breaker.state != CLOSED for breaker in board.breakers.values()))
    return code, json.dumps(data) if as_json else "\n".join(_lines(board))


def _lines(board: Board) -> list[str]:
    """Return a line about all breakers, one about the fleet, and two about each breaker that is not closed."""
    now = board.now
    lines = [counted(board.counts), *filter(None, [fleet_status(board.fleet)])]
    for breaker in board.ordered():
        if breaker.state != CLOSED:
            parts = [f"{word(breaker.state)} {time_in_state(breaker, now)}", next_step(breaker, now), mode(breaker)]
            lines.append(f"{printable(breaker.name)}: {', '.join(filter(None, parts))}")
            lines.append(f"    {why(breaker)}")
    return lines
