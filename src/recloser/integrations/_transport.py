"""What the transports for httpx and httpx2 share: one API in two trees of classes, which each module names.

How an exchange is judged, once:

- Rejected: the breaker's error reaches the client's caller; nothing was sent.
- The transport raises: a failure if it is a transport error, ignored if that is the client's own (its pool is full, its
  request wrong) or no transport error at all. Cancellations are judged by the breaker, as those of any call.
- A status that is a failure counts as soon as it is there: nothing in the body can change it, and a page of an error
  that trickles in must not keep a breaker closed.
- Otherwise the body decides. Its end is a success, an error while it is read a failure. Closed before its end it is a
  success: the dependency answered, and the reader has had enough. So is an event stream that is cancelled after it has
  delivered something: being cut off is its only end.

A probe holds its permit until then; one whose body has begun is not failed by its time limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from recloser import BreakerRegistry, CircuitBreaker, RejectedError
from recloser.integrations._http import (
    FAILURE_STATUSES,
    LONGEST_RETRY_AFTER_SECONDS,
    SWITCHING_PROTOCOLS,
    checked_statuses,
    origin,
    retry_after,
    stand_in,
    status_error,
)
from recloser.lowlevel import checks

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from recloser import Permit
    from recloser.integrations._bodies import GuardedBody, GuardedUpload

Transport = TypeVar("Transport")


class GuardedTransport(Generic[Transport]):
    """An asynchronous transport with a breaker before another one; the libraries' modules describe it."""

    _transport: ClassVar[type[Any]]
    """What a transport is an instance of."""
    _default: ClassVar[type[Any]]
    """The transport that is used when none is given."""
    _url: ClassVar[type[Any]]
    """What a URL is an instance of; made of a text or a URL."""
    _plain: ClassVar[type[Any]]
    """What the body of a request is an instance of when it lies in memory."""
    _upload: ClassVar[type[GuardedUpload]]
    """The body of another request, as a stream of the library."""
    _body: ClassVar[type[GuardedBody]]
    """The body of a response, as a stream of the library."""
    _failures: ClassVar[type[Exception]]
    """What a transport raises when the exchange has failed."""
    _always_ignored: ClassVar[tuple[type[Exception], ...]]
    """Which of these say nothing about the dependency."""

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        registry: BreakerRegistry | None = None,
        breaker: CircuitBreaker | None = None,
        failure_statuses: Iterable[int] = FAILURE_STATUSES,
        ignored_exception: type[Exception] | tuple[type[Exception], ...] = (),
        max_retry_after_seconds: float | None = LONGEST_RETRY_AFTER_SECONDS,
    ) -> None:
        if transport is not None and not isinstance(transport, self._transport):
            raise TypeError(f"transport must be an {self._transport.__name__}, not {transport!r}")
        if registry is not None and not isinstance(registry, BreakerRegistry):
            raise TypeError(f"registry must be a BreakerRegistry, not {registry!r}")
        if breaker is not None and not isinstance(breaker, CircuitBreaker):
            raise TypeError(f"breaker must be a CircuitBreaker, not {breaker!r}")
        if registry is not None and breaker is not None:
            raise ValueError(f"registry={registry!r} and breaker={breaker!r} exclude each other")
        ignored = ignored_exception if isinstance(ignored_exception, tuple) else (ignored_exception,)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in ignored):
            raise TypeError(f"ignored_exception must be exception types, not {ignored_exception!r}")
        self._inner: Any = self._default() if transport is None else transport
        self._breaker = breaker
        self._registry = BreakerRegistry() if registry is None and breaker is None else registry
        self._failure_statuses = checked_statuses("failure_statuses", failure_statuses)
        self._ignored: tuple[type[Exception], ...] = (RejectedError, *self._always_ignored, *ignored)
        self._longest_wait = checks.seconds_or_none("max_retry_after_seconds", max_retry_after_seconds)

    @property
    def registry(self) -> BreakerRegistry | None:
        """Where the breakers of the origins are; None if there is one breaker for all."""
        return self._registry

    def breaker_for(self, url: Any) -> CircuitBreaker:  # noqa: ANN401 - of httpx or httpx2
        """Return the breaker that requests to a URL go through.

        Args:
            url: A URL of the library, or a text.
        """
        return self._breaker_of(self._url(url))

    async def handle_async_request(self, request: Any) -> Any:  # noqa: ANN401 - of httpx or httpx2
        """Send a request if its breaker lets it through; see the class.

        Raises:
            CircuitBreakerOpenError: The breaker rejects the request; nothing was sent.
            Exception: Whatever the transport raises, the same object.
        """
        permit = await self._breaker_of(request.url).acquire()
        try:
            response = await self._send(request, permit)
        except BaseException as exc:
            self._judge(permit, exc)
            raise
        self._judge_head(permit, response)
        return response

    async def _send(self, request: Any, permit: Permit) -> Any:  # noqa: ANN401 - of httpx or httpx2
        """Send a request; what its own body raises is ignored."""
        source = request.stream
        if isinstance(source, self._plain):
            return await self._inner.handle_async_request(request)
        request.stream = upload = self._upload(source)
        try:
            return await self._inner.handle_async_request(request)
        except Exception as exc:
            if exc is upload.error:
                permit.ignore()
            raise
        finally:
            request.stream = source

    async def __aenter__(self) -> Self:
        """Enter the inner transport."""
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Leave the inner transport, which closes it."""
        await self._inner.__aexit__(exc_type, exc_value, traceback)

    async def aclose(self) -> None:
        """Close the inner transport; the breakers live on."""
        await self._inner.aclose()

    def _breaker_of(self, url: Any) -> CircuitBreaker:  # noqa: ANN401 - of httpx or httpx2
        if self._registry is None:
            return cast("CircuitBreaker", self._breaker)  # one of the two is there
        return self._registry.breaker(origin(url.scheme, url.raw_host.decode("ascii"), url.port))

    def _judge(self, permit: Permit, exc: BaseException) -> None:
        """Settle a permit by what the transport or the body raised."""
        if not isinstance(exc, Exception):
            permit.__exit__(type(exc), exc, None)
        elif self._is_failure(exc):
            permit.fail(stand_in(type(exc).__qualname__)())
        else:
            permit.ignore()

    def _is_failure(self, exc: BaseException) -> bool:
        """Return whether an error is one of the dependency; a group is one if it holds one."""
        if isinstance(exc, BaseExceptionGroup):
            return any(self._is_failure(part) for part in exc.exceptions)
        return isinstance(exc, self._failures) and not isinstance(exc, self._ignored)

    def _judge_head(self, permit: Permit, response: Any) -> None:  # noqa: ANN401 - of httpx or httpx2
        """Settle a permit by a response's head, or leave it to the body."""
        status = response.status_code
        if status in self._failure_statuses:
            permit.fail(status_error(status), open_seconds=retry_after(response.headers, self._longest_wait))
        elif response.is_closed or status == SWITCHING_PROTOCOLS:  # read already, or no longer HTTP
            permit.succeed()
        else:
            response.stream = self._body(response.stream, permit, self._judge, response.headers)
