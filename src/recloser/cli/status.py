"""`recloser status`: the state that a dashboard shows now, for people and for scripts."""

import json
from collections.abc import Iterable, Sequence
from functools import partial

import anyio
import httpx

from recloser.cli.client.board import Board, counts_of
from recloser.cli.client.breaker import Breaker
from recloser.cli.client.connection import Header, get_status, new_client
from recloser.cli.client.errors import ForeignError, UnreachableError
from recloser.cli.client.formatting import printable
from recloser.cli.client.overview import detail, headline, notes
from recloser.cli.client.sentences import counted, fleet_status, mode, next_step, outage, time_in_state, why
from recloser.cli.client.states import BY_HAND_STATES, CLOSED, word
from recloser.cli.exit_codes import BY_HAND, NOT_OK, OK

__all__ = ["exit_code", "look"]


def look(
    url: httpx.URL, headers: Sequence[Header], *, timeout_seconds: float, text: str, as_json: bool
) -> tuple[int, str]:
    """Return the state of all breakers, as an exit code and as text.

    Args:
        url: The URL of the dashboard.
        headers: Sent with the request.
        timeout_seconds: How long the response may take.
        text: Only breakers with this text in their name or their cause.
        as_json: Return the dashboard's document instead of sentences, with the chosen breakers.

    Returns:
        The exit code, and the text to print.

    Raises:
        UnreachableError: There is no response, or it is not that of a dashboard.
    """
    return anyio.run(partial(_look, url, headers, timeout_seconds, text, as_json=as_json))


async def _look(
    url: httpx.URL, headers: Sequence[Header], timeout_seconds: float, text: str, *, as_json: bool
) -> tuple[int, str]:
    async with new_client(url, headers, timeout_seconds) as http:
        data = await get_status(http, timeout_seconds)
    board = Board()
    try:
        board.replace(data)
    except ForeignError as error:
        raise UnreachableError(str(error)) from None
    chosen = board.ordered(text)
    if as_json:
        names = {breaker.name for breaker in chosen}
        data["breakers"] = {name: entry for name, entry in data["breakers"].items() if name in names}
    return exit_code(chosen), json.dumps(data) if as_json else "\n".join(_lines(board, chosen, text))


def exit_code(breakers: Iterable[Breaker]) -> int:
    """Return the exit code for the states of breakers; those in shadow mode reject no call, and don't count."""
    states = {breaker.state for breaker in breakers if not breaker.entry["shadow"]} - {CLOSED}
    if states - BY_HAND_STATES:
        return NOT_OK
    return BY_HAND if states else OK


def _overview(board: Board) -> list[str]:
    """Return the sentence about all breakers, what else there is to say, and what may have been forgotten."""
    overview, now = board.overview, board.now
    if overview is None:
        return []
    return [str(headline(overview, now)), *filter(None, [detail(overview, now, None, None)]), *notes(overview, now)]


def _lines(board: Board, chosen: Sequence[Breaker], text: str) -> list[str]:
    """Return what is wrong, how many breakers are in which state, and some lines about each that is not closed.

    Of a choice, nothing is said about all breakers together.
    """
    now = board.now
    lines = [] if text else _overview(board)
    if chosen or not lines:
        lines.append(counted(counts_of(chosen)))
    lines += filter(None, [fleet_status(board.fleet)])
    for breaker in chosen:
        if breaker.state != CLOSED:
            parts = [f"{word(breaker.state)} {time_in_state(breaker, now)}", next_step(breaker, now), mode(breaker)]
            lines.append(f"{printable(breaker.name)}: {', '.join(filter(None, parts))}")
            lines += [f"    {line}" for line in (why(breaker), outage(breaker, now)) if line]
    return lines
