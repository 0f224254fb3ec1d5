"""The bodies of an exchange: that of the response settles the permit, that of the request remembers its own error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recloser.integrations._http import is_event_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from recloser import Permit


class GuardedBody:
    """A response body that settles the permit of its exchange.

    Args:
        body: The body from the transport.
        permit: The permit of the exchange.
        settle: Settles a permit by an exception.
        headers: The headers of the response.
    """

    def __init__(
        self,
        body: Any,  # noqa: ANN401 - of httpx or httpx2
        permit: Permit,
        settle: Callable[[Permit, BaseException], None],
        headers: Mapping[str, str],
    ) -> None:
        self._body = body
        self._permit = permit
        self._settle = settle
        self._headers = headers
        self._has_begun = False
        self._paused_at: float | None = None

    def __aiter__(self) -> Self:
        """Start reading."""
        self._chunks = aiter(self._body)
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk; the time that the reader takes between two chunks does not count."""
        permit = self._permit
        if self._paused_at is not None:
            permit.resume(self._paused_at)
        try:
            chunk: bytes = await anext(self._chunks)
        except StopAsyncIteration:
            permit.succeed()
            raise
        except BaseException as exc:
            if self._has_begun and not isinstance(exc, Exception | GeneratorExit) and is_event_stream(self._headers):
                permit.succeed()
            else:
                self._settle(permit, exc)
            raise
        if not self._has_begun:
            self._has_begun = True
            permit.progress()
        self._paused_at = permit.pause()
        return chunk

    async def aclose(self) -> None:
        """Close the body. An exchange that has not ended yet is a success; it is settled before anything waits."""
        self._permit.resume(self._paused_at)
        self._permit.succeed()
        await self._body.aclose()


class GuardedUpload:
    """A request body that remembers the error of its source, which is the caller's, whatever its type.

    A gateway may stream the response of one origin into a request to another. The transport errors of the first origin
    then come out of the request to the second.

    Args:
        source: The body of the request.
    """

    def __init__(self, source: Any) -> None:  # noqa: ANN401 - of httpx or httpx2
        self._source = source
        self.error: Exception | None = None

    def __aiter__(self) -> Self:
        """Start sending."""
        self._chunks = aiter(self._source)
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk."""
        try:
            chunk: bytes = await anext(self._chunks)
        except Exception as exc:
            self.error = exc
            raise
        return chunk

    async def aclose(self) -> None:
        """Close the body."""
        await self._source.aclose()
