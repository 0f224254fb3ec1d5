"""The bodies of an exchange: a response's settles its permit, a request's remembers whose error it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recloser.integrations._http import is_event_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from recloser import Permit


class GuardedBody:
    """A response's body that settles the permit of its exchange.

    Args:
        body: The transport's own.
        permit: The exchange's.
        judge: Settles a permit by an exception.
        headers: The response's.
    """

    def __init__(
        self,
        body: Any,  # noqa: ANN401 - of httpx or httpx2
        permit: Permit,
        judge: Callable[[Permit, BaseException], None],
        headers: Mapping[str, str],
    ) -> None:
        self._body = body
        self._permit = permit
        self._judge = judge
        self._headers = headers
        self._begun = False
        self._paused_at: float | None = None

    def __aiter__(self) -> Self:
        """Begin to read."""
        self._chunks = aiter(self._body)
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk; what the reader does between two of them takes none of the exchange's time."""
        permit = self._permit
        if self._paused_at is not None:
            permit.resume(self._paused_at)
        try:
            chunk: bytes = await anext(self._chunks)
        except StopAsyncIteration:
            permit.succeed()
            raise
        except BaseException as exc:
            if self._begun and not isinstance(exc, Exception | GeneratorExit) and is_event_stream(self._headers):
                permit.succeed()
            else:
                self._judge(permit, exc)
            raise
        if not self._begun:
            self._begun = True
            permit.progress()
        self._paused_at = permit.pause()
        return chunk

    async def aclose(self) -> None:
        """Close the body; if it had not ended, the exchange is a success. The permit is back before anything waits."""
        self._permit.resume(self._paused_at)
        self._permit.succeed()
        await self._body.aclose()


class GuardedUpload:
    """A request's body that remembers what its source raised, which is the caller's error, whatever its type.

    A gateway that streams the response of one origin into a request to another one sees the transport errors of the
    first come out of the second.

    Args:
        source: The request's own body.
    """

    def __init__(self, source: Any) -> None:  # noqa: ANN401 - of httpx or httpx2
        self._source = source
        self.error: Exception | None = None

    def __aiter__(self) -> Self:
        """Begin to deliver the body."""
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
