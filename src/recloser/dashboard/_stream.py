"""`/events`: the whole state, then what changes, as server-sent events.

A client has no buffer of its own: it reads the ring at its own pace. A client that reads too slowly falls out of the
ring; it then receives the whole state again, with the number of updates that it has missed.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Any, ClassVar
from urllib.parse import parse_qs

import anyio

from recloser.dashboard._document import pieces
from recloser.dashboard._feed import UpdateFeed
from recloser.dashboard._http import LIVE, Body, Receive, Scope, Send, header, problem

QUIET_SECONDS = 15.0
_RETRY_AFTER_SECONDS = 10
_HEADERS = {
    **LIVE,
    "content-type": "text/event-stream; charset=utf-8",
    "x-accel-buffering": "no",  # otherwise nginx would hold events back
}


class EventsEndpoint:
    """Serves streams, in a bounded number.

    Args:
        feed: The updates to send.
        about: The description of the dashboard itself.
        max_streams: How many clients there may be at once.
    """

    methods: ClassVar[tuple[str, ...]] = ("GET", "HEAD")

    def __init__(self, feed: UpdateFeed, about: dict[str, Any], max_streams: int) -> None:
        self._feed = feed
        self._about = about
        self._max_streams = max_streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one client until it leaves."""
        if scope["method"] == "HEAD":
            await Body(send).stream(_HEADERS, None)
        elif self._feed.readers >= self._max_streams:
            detail = f"All {self._max_streams} streams are in use. Close another page, or try again later."
            wait = {"retry-after": str(_RETRY_AFTER_SECONDS)}
            await problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, wait)(scope, send)
        else:
            with self._feed.reading():
                async with anyio.create_task_group() as group:
                    group.start_soon(_wait_until_gone, receive, group.cancel_scope)
                    await Body(send).stream(_HEADERS, partial(self._send_events, self._last_known(scope)))
                    group.cancel_scope.cancel()

    async def _send_events(self, known: int | None, body: Body) -> None:
        """Send everything after the update that a client knows, for as long as it listens."""
        feed = self._feed
        await body.write("retry: 1000\n\n")
        while True:
            await feed.advance()
            if known is None or not feed.ring.has_all_after(known):
                dropped = 0 if known is None else feed.ring.seq - known
                known = feed.ring.seq
                for piece in self._snapshot(dropped):
                    await body.write(piece)
            elif (update := feed.ring.after(known)) is not None:
                known = update.seq
                await body.write(update.message)
            else:
                await self._rest(body)

    async def _rest(self, body: Body) -> None:
        """Wait until an update is due; send a sign of life before a proxy takes the silence for a dead connection."""
        quiet_at = body.written_at + QUIET_SECONDS
        await anyio.sleep_until(min(self._feed.due_at, quiet_at))
        if anyio.current_time() >= quiet_at:
            await body.write("event: alive\ndata: {}\n\n")

    def _snapshot(self, dropped: int) -> Iterator[str]:
        """Return the pieces of an event with the whole state as of now, however long it takes to write them."""
        feed = self._feed
        now = datetime.now(UTC)
        rest = {
            "dashboard": self._about,
            "fleet": feed.fleet,
            "overview": feed.overview,
            "history": feed.history.fields(now.timestamp()),
            "transitions": feed.timeline.sent,
            "dropped": dropped,
        }
        head = f"event: snapshot\nid: {feed.run}-{feed.ring.seq}\ndata: "
        whole = pieces(now.isoformat(), feed.entries(anyio.current_time()), lambda: rest)
        return chain([head], whole, ["\n\n"])

    def _last_known(self, scope: Scope) -> int | None:
        """Return the number of the latest update that a client says it has; None if there was no such update."""
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        run, _, number = (header(scope, "last-event-id") or query.get("last", [""])[0]).rpartition("-")
        is_number = number.isascii() and number.isdecimal() and len(number) <= len(str(self._feed.ring.seq))
        if run != self._feed.run or not is_number or int(number) > self._feed.ring.seq:
            return None
        return int(number)


async def _wait_until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
