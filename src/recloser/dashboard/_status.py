"""`/status.json`: every breaker as it is now, as fields and in the sentence of `explain()`."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from recloser.dashboard._document import pieces
from recloser.dashboard._feed import UpdateFeed
from recloser.dashboard._fleet import read_fleet
from recloser.dashboard._http import LIVE, Body, Receive, Scope, Send, logger
from recloser.dashboard._overview import Overview
from recloser.dashboard._sample import BreakerEntry, dated, read_with_text


class StatusEndpoint:
    """Responds with the whole state.

    Args:
        feed: What is known about the breakers, and what has happened to them.
        about: The description of the dashboard itself.
        tells_all: Returns whether a request gets the whole texts of errors.
    """

    methods: ClassVar[tuple[str, ...]] = ("GET", "HEAD")

    def __init__(self, feed: UpdateFeed, about: dict[str, Any], tells_all: Callable[[Scope], bool]) -> None:
        self._feed = feed
        self._registry = feed.registry
        self._about = about
        self._tells_all = tells_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as all endpoints
        """Respond to one request; the breakers are read while the client takes them."""
        headers = {"content-type": "application/json", **LIVE}
        write = partial(self._write, error_messages=self._tells_all(scope))
        await Body(send).stream(headers, write if scope["method"] == "GET" else None)

    async def _write(self, body: Body, *, error_messages: bool) -> None:
        now = datetime.now(UTC)
        overview = self._feed.new_overview(now)

        def rest() -> dict[str, Any]:
            return {
                "dashboard": self._about,
                "fleet": read_fleet(self._registry),
                "overview": overview.fields(),
                "outages": self._feed.ended.all(),
            }

        entries = self._entries(overview, error_messages=error_messages)
        for piece in pieces(now.isoformat(), entries, rest):
            await body.write(piece)

    def _entries(self, overview: Overview, *, error_messages: bool) -> Iterator[tuple[str, BreakerEntry]]:
        for name in [breaker.name for breaker in self._registry]:
            breaker = self._registry.get(name)
            if breaker is None:
                continue
            try:
                entry = dated(read_with_text(breaker, error_messages=error_messages))
            except Exception:  # noqa: BLE001 - raised by the breaker's clock; it is logged, and the others are shown
                logger.exception("Circuit breaker %r can't be shown", name)
            else:
                overview.add(name, entry)
                yield name, entry
