"""The bodies of an exchange: that of the response settles the permit, that of the request remembers its own error.

A body behaves as the one inside. Each `aiter()` starts an iteration of its own, because some clients leave one in the
middle and read the rest in another. An iterator has the methods of a generator if the one inside has them, because some
clients close what they leave.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Protocol

from anyio import get_cancelled_exc_class

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Self

    from recloser import Permit


class GuardedBody:
    """A response body that settles the permit of its exchange.

    Args:
        body: The body from the transport.
        permit: The permit of the exchange.
        settle: Settles a permit by an exception.
        is_subscription: Whether the body tells what happens, whenever it does: its silence says nothing.
    """

    def __init__(
        self,
        body: Any,  # noqa: ANN401 - of httpx or httpx2
        permit: Permit,
        settle: Callable[[Permit, BaseException], None],
        *,
        is_subscription: bool,
    ) -> None:
        self._body = body
        self._permit = permit
        self._settle = settle
        self._is_subscription = is_subscription
        self._has_begun = False
        self._is_left = False
        self._paused_at: float | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Start an iteration."""
        return iteration(aiter(self._body), self)

    async def take(self, chunk_to_come: Awaitable[bytes]) -> bytes:
        """Wait for the next chunk; the time that the reader takes between two chunks does not count."""
        permit = self._permit
        permit.resume(self._paused_at)
        self._paused_at = None
        try:
            chunk = await chunk_to_come
        except StopAsyncIteration:
            permit.succeed()
            raise
        except BaseException as exc:
            if self._is_left:
                permit.succeed()
            elif self._is_subscription and isinstance(exc, get_cancelled_exc_class()):
                permit.ignore(cancelled=True)
            else:
                self._settle(permit, exc)
            raise
        if not self._has_begun:
            self._has_begun = True
            permit.progress()
        self._paused_at = permit.pause()
        return chunk

    def leave(self) -> None:
        """Note that an iteration ends in the middle.

        That closes the connection, as without a breaker. What another iteration then raises is the reader's doing.
        """
        self._is_left = True

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

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Start an iteration."""
        return iteration(aiter(self._source), self)

    async def take(self, chunk_to_come: Awaitable[bytes]) -> bytes:
        """Wait for the next chunk."""
        try:
            return await chunk_to_come
        except Exception as exc:
            self.error = exc
            raise

    def leave(self) -> None:
        """Do nothing: the transport may read as little as it wants."""

    async def aclose(self) -> None:
        """Close the body."""
        await self._source.aclose()


class ReadBody(Protocol):
    """What an iteration tells about itself."""

    async def take(self, chunk_to_come: Awaitable[bytes], /) -> bytes:
        """Wait for a chunk."""
        ...

    def leave(self) -> None:
        """Note that the iteration ends in the middle."""
        ...


def iteration(chunks: AsyncIterator[bytes], body: ReadBody) -> AsyncIterator[bytes]:
    """Return an iterator that takes the chunks of another one through its body.

    Args:
        chunks: The iterator inside. If it is a generator, the iterator has the methods of one.
        body: Waits for each chunk.
    """
    kind = _GeneratorIteration if isinstance(chunks, AsyncGenerator) else _Iteration
    return kind(chunks, body)


class _Iteration:
    """One iteration over a body."""

    __slots__ = ("_body", "_chunks", "_is_reading", "_is_waiting")

    def __init__(self, chunks: Any, body: ReadBody) -> None:  # noqa: ANN401 - an iterator or a generator
        self._chunks = chunks
        self._body = body
        self._is_reading = False
        self._is_waiting = False

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk. A second reader at the same time gets the error of the iterator inside, uncounted."""
        if self._is_waiting:
            return await anext(self._chunks)
        self._is_waiting, self._is_reading = True, False
        try:
            chunk = await self._body.take(anext(self._chunks))
        finally:
            self._is_waiting = False
        self._is_reading = True
        return chunk

    def __del__(self) -> None:
        """Note an iteration that is dropped in the middle."""
        self._leave()

    def _leave(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._body.leave()


class _GeneratorIteration(_Iteration):
    """One iteration over a body whose iterators are generators; it is an `AsyncGenerator` for those who ask."""

    __slots__ = ()

    async def asend(self, value: Any) -> bytes:  # noqa: ANN401, ARG002 - as the generator inside
        """Return the next chunk; the generator makes no use of the value."""
        return await anext(self)

    async def athrow(self, *exc_info: Any) -> bytes:  # noqa: ANN401 - as the generator inside
        """Raise an error of the reader's in the generator."""
        self._leave()
        chunk: bytes = await self._chunks.athrow(*exc_info)
        return chunk

    async def aclose(self) -> None:
        """End the iteration; the body stays open."""
        self._leave()
        await self._chunks.aclose()
