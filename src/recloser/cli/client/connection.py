"""The connection to a dashboard over HTTP: one request for the whole state, or the stream of what changes."""

from collections.abc import Sequence
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Protocol

import anyio
import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError, aconnect_sse

from recloser.cli.client.errors import ForeignError, UnreachableError
from recloser.cli.client.messages import parse

__all__ = ["Header", "StreamListener", "follow", "get_status", "new_client"]

Header = tuple[str, str]

_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 10.0
_SILENCES = 2.5
_LOOPBACK = ("all://127.0.0.1", "all://localhost", "all://[::1]")


class StreamListener(Protocol):
    """Receives what a dashboard sends."""

    @property
    def quiet_seconds(self) -> float:
        """The longest time in which a server that works sends nothing, as far as the server has said."""
        ...

    def snapshot(self, data: dict[str, Any]) -> None:
        """Take the whole state."""

    def update(self, data: dict[str, Any]) -> None:
        """Take what has changed."""

    def alive(self) -> None:
        """Take note that nothing has changed."""

    def connected(self) -> None:
        """Take note that the connection stands."""

    def lost(self, problem: str) -> None:
        """Take note that the connection is lost; it will be tried again."""


def new_client(url: httpx.URL, headers: Sequence[Header], timeout_seconds: float) -> httpx.AsyncClient:
    """Return an HTTP client for a dashboard.

    It follows no redirect, because the headers may hold secrets, and uses no proxy for this machine itself.
    """
    return httpx.AsyncClient(
        base_url=url,
        headers=list(headers),
        timeout=httpx.Timeout(timeout_seconds, read=None),
        mounts=dict.fromkeys(_LOOPBACK),
    )


async def get_status(http: httpx.AsyncClient, timeout_seconds: float) -> dict[str, Any]:
    """Return the whole state as it is now.

    Args:
        http: The client.
        timeout_seconds: How long the response may take.

    Raises:
        UnreachableError: There is no response, or it is not that of a dashboard.
    """
    try:
        with anyio.fail_after(timeout_seconds):
            response = await http.get("status.json")
        _check(response, "application/json")
        return parse(response.content)
    except TimeoutError:
        raise UnreachableError(f"there was no complete response within {timeout_seconds:g} s") from None
    except (httpx.HTTPError, ForeignError) as error:
        raise UnreachableError(_message(error)) from error


async def follow(http: httpx.AsyncClient, listener: StreamListener, timeout_seconds: float) -> None:
    """Pass what a dashboard sends on to a listener, for ever; a lost connection resumes after the last event.

    Args:
        http: The client.
        listener: Receives the messages.
        timeout_seconds: How long connecting and the first message may take.

    Raises:
        UnreachableError: The dashboard could not be reached the first time.
    """
    stream = _Stream(http, listener, timeout_seconds)
    wait = _FIRST_WAIT_SECONDS
    while True:
        received_before = stream.received
        problem = await stream.listen()
        if not stream.received:
            raise UnreachableError(problem)
        wait = _FIRST_WAIT_SECONDS if stream.received > received_before else min(2 * wait, _LONGEST_WAIT_SECONDS)
        listener.lost(problem)
        await anyio.sleep(wait)


class _Stream:
    """The events of a dashboard, over one connection after another; `received` counts the events with news."""

    def __init__(self, http: httpx.AsyncClient, listener: StreamListener, timeout_seconds: float) -> None:
        self.received = 0
        self._http = http
        self._listener = listener
        self._timeout_seconds = timeout_seconds
        self._last_id = ""
        self._silence = ""

    async def listen(self) -> str:
        """Listen over one connection; return why it has ended."""
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        self._silence = f"no response within {self._timeout_seconds:g} s"
        try:
            with anyio.fail_after(self._timeout_seconds) as limit:
                async with aconnect_sse(self._http, "GET", "events", headers=headers) as source:
                    await self._take(source, limit)
        except TimeoutError:
            return self._silence
        except (httpx.HTTPError, SSEError, ForeignError) as error:
            return _message(error)
        return "the server ended the stream"

    async def _take(self, source: EventSource, limit: anyio.CancelScope) -> None:
        """Take events until there are no more. Other events than a dashboard's don't extend the limit."""
        _check(source.response, "text/event-stream")
        source.response.encoding = "utf-8"
        if self.received:
            self._connect(limit)
        async with aclosing(source.aiter_sse()) as events:
            async for event in events:
                received_before = self.received
                self._take_event(event)
                if self.received and not received_before:
                    self._connect(limit)
                elif self.received:
                    self._extend(limit)

    def _connect(self, limit: anyio.CancelScope) -> None:
        self._listener.connected()
        self._extend(limit)

    def _extend(self, limit: anyio.CancelScope) -> None:
        patience = max(self._timeout_seconds, _SILENCES * self._listener.quiet_seconds)
        limit.deadline = anyio.current_time() + patience
        self._silence = f"it has been silent for {patience:g} s"

    def _take_event(self, event: ServerSentEvent) -> None:
        if event.event == "snapshot":
            self._listener.snapshot(parse(event.data))
        elif event.event == "update" and self.received:
            self._listener.update(parse(event.data))
        elif event.event == "alive" and self.received:
            self._listener.alive()
            return
        else:
            return
        self.received += 1
        self._last_id = event.id if event.id.isascii() and event.id.isprintable() else ""


def _check(response: httpx.Response, wanted: str) -> None:
    """Refuse a response that is not that of a dashboard."""
    if response.has_redirect_location:
        target = response.headers["location"]
        raise ForeignError(f"it redirects to {target!r}: give that address, or the headers of a login")
    if not response.is_success:
        hint = ": all of its streams may be in use" if _is_full(response, wanted) else ""
        raise ForeignError(f"it answers {response.status_code} {response.reason_phrase}".rstrip() + hint)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != wanted:
        raise ForeignError(f"it answers with {kind or 'no content type'} instead of {wanted}: is there a dashboard?")


def _is_full(response: httpx.Response, wanted: str) -> bool:
    return response.status_code == HTTPStatus.SERVICE_UNAVAILABLE and wanted == "text/event-stream"


def _message(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no connection in time"
    return str(error) or type(error).__name__
