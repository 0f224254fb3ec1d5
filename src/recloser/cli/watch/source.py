"""A dashboard, asked over HTTP: once, or for all that changes, for as long as anybody wants to know."""

import json
from collections.abc import Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, Protocol

import anyio
import httpx
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse

from recloser.cli.watch.errors import ForeignError, UnreachableError

__all__ = ["Listener", "ask", "client", "follow"]

_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 10.0
_SILENCES = 2.5


class Listener(Protocol):
    """Is told what a dashboard says."""

    @property
    def quiet_seconds(self) -> float:
        """The longest time in which a server that lives says nothing, as far as it has been told."""
        ...

    def snapshot(self, data: dict[str, Any]) -> None:
        """Take the whole state."""

    def update(self, data: dict[str, Any]) -> None:
        """Take what has changed."""

    def found(self) -> None:
        """Hear that the connection stands."""

    def lost(self, problem: str) -> None:
        """Hear that the connection is lost; it is tried again."""


def client(url: httpx.URL, headers: Mapping[str, str], timeout_seconds: float) -> httpx.AsyncClient:
    """Return a client for a dashboard: redirects are not followed, for the headers may hold secrets."""
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=httpx.Timeout(timeout_seconds, read=None))


async def ask(http: httpx.AsyncClient, timeout_seconds: float) -> dict[str, Any]:
    """Return the whole state as it is now.

    Args:
        http: The client.
        timeout_seconds: How long the answer may take.

    Raises:
        UnreachableError: There is no answer, or none of a dashboard.
    """
    try:
        with anyio.fail_after(timeout_seconds):
            response = await http.get("status.json")
        _check(response, "application/json")
        return _members(response.text)
    except (httpx.HTTPError, ForeignError, TimeoutError) as error:
        raise UnreachableError(_words(error, timeout_seconds)) from error


async def follow(http: httpx.AsyncClient, listener: Listener, timeout_seconds: float) -> None:
    """Tell a listener what a dashboard says, for ever; a lost connection is taken up again after what was told last.

    Args:
        http: The client.
        listener: Who is told.
        timeout_seconds: How long connecting and the first message may take.

    Raises:
        UnreachableError: The dashboard could not be reached the first time.
    """
    stream = _Stream(http, listener, timeout_seconds)
    wait = _FIRST_WAIT_SECONDS
    while True:
        heard_before = stream.heard
        try:
            await stream.listen()
            problem = "the server ended the stream"
        except (httpx.HTTPError, SSEError, ForeignError, TimeoutError) as error:
            problem = _words(error, stream.patience_seconds)
        if not stream.heard:
            raise UnreachableError(problem)
        wait = _FIRST_WAIT_SECONDS if stream.heard > heard_before else min(2 * wait, _LONGEST_WAIT_SECONDS)
        listener.lost(problem)
        await anyio.sleep(wait)


class _Stream:
    """The events of a dashboard, over one connection after the other; `heard` counts them."""

    def __init__(self, http: httpx.AsyncClient, listener: Listener, timeout_seconds: float) -> None:
        self.heard = 0
        self._http = http
        self._listener = listener
        self._timeout_seconds = timeout_seconds
        self._last_id = ""

    async def listen(self) -> None:
        """Listen over one connection until it ends."""
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        with anyio.fail_after(self._timeout_seconds) as limit:
            async with aconnect_sse(self._http, "GET", "events", headers=headers) as source:
                _check(source.response, "text/event-stream")
                self._listener.found()
                limit.deadline = anyio.current_time() + self.patience_seconds
                async with aclosing(source.aiter_sse()) as events:
                    async for event in events:
                        self._hear(event)
                        limit.deadline = anyio.current_time() + self.patience_seconds

    @property
    def patience_seconds(self) -> float:
        """How long a silence may be."""
        if not self.heard:
            return self._timeout_seconds
        return max(self._timeout_seconds, _SILENCES * self._listener.quiet_seconds)

    def _hear(self, event: ServerSentEvent) -> None:
        if event.event == "snapshot":
            self._listener.snapshot(_members(event.data))
        elif event.event == "update" and self.heard:
            self._listener.update(_members(event.data))
        else:
            return
        self.heard += 1
        self._last_id = event.id


def _check(response: httpx.Response, wanted: str) -> None:
    """Refuse what is no answer of a dashboard."""
    status = response.status_code
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise ForeignError("it answers 503 Service Unavailable: all of its streams may be in use")
    if response.is_redirect:
        raise ForeignError(
            f"it redirects to {response.headers['location']!r}: give that address, or the headers of a login"
        )
    if not response.is_success:
        raise ForeignError(f"it answers {status} {response.reason_phrase}".rstrip())
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != wanted:
        raise ForeignError(f"it answers with {kind or 'what has no type'} instead of {wanted}: is there a dashboard?")


def _members(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ForeignError(f"it sent what is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise ForeignError("it sent JSON that is no object")
    return data


def _words(error: Exception, timeout_seconds: float) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"nothing came within {timeout_seconds:g} s"
    return str(error) or type(error).__name__
