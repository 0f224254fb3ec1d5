"""What the transports for httpx and httpx2 share. The two libraries have one API, in two trees of classes.

How an exchange is classified:

- The breaker rejects it: `CircuitBreakerOpenError` reaches the client's caller, or `on_rejection` answers in its place.
  Nothing is sent, and nothing is settled.
- The transport raises: a transport error is a failure, unless the client caused it (its pool is exhausted, its request
  is invalid). Any other exception is ignored. The breaker classifies cancellations, as it does for any call.
- A failing status counts when the head of the response arrives. Nothing in the body can change it, and an error page
  that arrives slowly must not keep the breaker closed.
- Otherwise the body decides. Its end is a success, an error while it is read is a failure. Closing it before its end is
  a success: the dependency has responded, and the reader has enough.
- If the exchange is cut off, the breaker classifies that by the wait under way, for the head or a chunk of the body. An
  event stream that answers a GET is a subscription: it is silent while nothing happens, so cutting it off is ignored.

A probe passes earlier: with the good head of an event stream, and with the first chunk of any other body. The rest of
the exchange is then one of the closed breaker, where the body decides as above.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, TypeVar, cast

from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError, RejectedError
from recloser.integrations._http import (
    FAILURE_STATUSES,
    LONGEST_RETRY_AFTER_SECONDS,
    SWITCHING_PROTOCOLS,
    StatusError,
    checked_statuses,
    is_event_stream,
    origin,
    peer,
    retry_after,
)
from recloser.integrations._slots import KeySlot, RejectionSlot
from recloser.lowlevel import checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType, TracebackType
    from typing import Self

    from recloser import Permit
    from recloser.integrations._bodies import GuardedBody, GuardedUpload

Transport = TypeVar("Transport")
Request = TypeVar("Request")
Response = TypeVar("Response")

LIBRARIES = ("httpx", "httpx2")
"""The libraries that have a transport of their own."""


class GuardedTransport(Generic[Transport, Request, Response]):
    """An asynchronous transport behind circuit breakers; the modules of the libraries describe it."""

    _library: ClassVar[ModuleType]
    """httpx or httpx2."""
    _upload: ClassVar[type[GuardedUpload]]
    """A request body that is a stream of the library."""
    _body: ClassVar[type[GuardedBody]]
    """A response body that is a stream of the library."""

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        registry: BreakerRegistry | None = None,
        breaker: CircuitBreaker | None = None,
        key: Callable[[Request], str | None] | None = None,
        on_rejection: Callable[[RejectedError, Request], Response] | None = None,
        failure_statuses: Iterable[int] = FAILURE_STATUSES,
        ignored_exception: type[Exception] | tuple[type[Exception], ...] = (),
        max_retry_after_seconds: float | None = LONGEST_RETRY_AFTER_SECONDS,
    ) -> None:
        library = self._library
        if transport is not None and not isinstance(transport, library.AsyncBaseTransport):
            raise TypeError(f"transport must be an AsyncBaseTransport of {library.__name__}, not {transport!r}")
        if registry is not None and not isinstance(registry, BreakerRegistry):
            raise TypeError(f"registry must be a BreakerRegistry, not {registry!r}")
        if breaker is not None and not isinstance(breaker, CircuitBreaker):
            raise TypeError(f"breaker must be a CircuitBreaker, not {breaker!r}")
        if registry is not None and breaker is not None:
            raise ValueError(f"registry={registry!r} and breaker={breaker!r} exclude each other")
        if key is not None and breaker is not None:
            raise ValueError(f"key={key!r} chooses among the breakers of a registry; breaker={breaker!r} is only one")
        ignored = ignored_exception if isinstance(ignored_exception, tuple) else (ignored_exception,)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in ignored):
            raise TypeError(f"ignored_exception must be exception types, not {ignored_exception!r}")
        self._inner: Any = library.AsyncHTTPTransport() if transport is None else transport
        self._breaker = breaker
        self._registry = BreakerRegistry() if registry is None and breaker is None else registry
        self._key = None if key is None else KeySlot(key)
        self._on_rejection = None if on_rejection is None else RejectionSlot(on_rejection, library)
        self._failure_statuses = checked_statuses("failure_statuses", failure_statuses)
        of_client = (library.PoolTimeout, library.LocalProtocolError, library.UnsupportedProtocol)
        self._ignored: tuple[type[Exception], ...] = (RejectedError, *of_client, *ignored)
        self._longest_wait = checks.seconds_or_none("max_retry_after_seconds", max_retry_after_seconds)

    @property
    def registry(self) -> BreakerRegistry | None:
        """The registry of the breakers; None if one breaker serves all requests."""
        return self._registry

    def breaker_for(self, target: Any) -> CircuitBreaker:  # noqa: ANN401 - of httpx or httpx2
        """Return the breaker that a request goes through.

        Args:
            target: A request or a URL of the library, or a string. With `key`, it must be a request.

        Raises:
            TypeError: There is a `key`, and the target is no request.
            Exception: Whatever `key` raises.
        """
        if isinstance(target, self._library.Request):
            return self._breaker_of(target)
        if self._key is not None:
            raise TypeError(f"with key={self._key.function!r}, breaker_for() needs a {self._library.__name__}.Request")
        return self._breaker_of(self._library.Request("GET", target))

    async def handle_async_request(self, request: Any) -> Any:  # noqa: ANN401 - of httpx or httpx2
        """Send a request if its breaker admits it; see the class.

        Raises:
            CircuitBreakerOpenError: The breaker rejects the request; nothing is sent.
            TypeError: The client is one of another library, or `key` or `on_rejection` returned something that can't be
                used; nothing is sent.
            Exception: Whatever the transport, `key` or `on_rejection` raises, the same object.
        """
        if not isinstance(request, self._library.Request):
            raise self._misfit(request)
        breaker = self._breaker_of(request)
        try:
            permit = await breaker.acquire()
        except CircuitBreakerOpenError as rejection:
            if self._on_rejection is None:
                raise
            return self._on_rejection.answer(rejection, request)
        try:
            response = await self._send(request, permit)
        except BaseException as exc:
            self._settle(permit, exc, request=request)
            raise
        self._settle_by_head(permit, response, request)
        return response

    def handle_request(self, request: object) -> NoReturn:  # noqa: ARG002 - the signature of a synchronous transport
        """Refuse the request of a synchronous client.

        Raises:
            TypeError: Always; nothing is sent.
        """
        raise self._synchronous()

    def __enter__(self) -> NoReturn:
        """Refuse a synchronous client."""
        raise self._synchronous()

    def _synchronous(self) -> TypeError:
        library = self._library.__name__
        return TypeError(
            f"this BreakerTransport is for {library}.AsyncClient, not for the synchronous {library}.Client"
        )

    def _misfit(self, request: object) -> TypeError:
        """Return the error for a request of another library, without its text, which contains an address."""
        library = self._library.__name__
        other = type(request).__module__.partition(".")[0]
        start = f"this BreakerTransport is for {library}.AsyncClient"
        if other in LIBRARIES:
            return TypeError(f"{start}; {other}.AsyncClient needs recloser.integrations.{other}.BreakerTransport")
        return TypeError(f"{start}; it can't send a {other}.{type(request).__qualname__}")

    async def _send(self, request: Any, permit: Permit) -> Any:  # noqa: ANN401 - of httpx or httpx2
        """Send a request; an error that its own body raises is ignored."""
        source = request.stream
        if not self._is_streamed(source):  # bytes or a form
            return await self._inner.handle_async_request(request)
        request.stream = upload = self._upload(source)
        try:
            return await self._inner.handle_async_request(request)
        except Exception as exc:
            if exc is upload.error:
                permit.ignore()
            raise
        finally:
            if request.stream is upload:  # a transport that reads a request replaces its body by what was read
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
        """Exit the inner transport, which closes it."""
        await self._inner.__aexit__(exc_type, exc_value, traceback)

    async def aclose(self) -> None:
        """Close the inner transport; the breakers stay."""
        await self._inner.aclose()

    def _breaker_of(self, request: Any) -> CircuitBreaker:  # noqa: ANN401 - of httpx or httpx2
        if self._registry is None:
            return cast("CircuitBreaker", self._breaker)  # without a registry there is a breaker
        name = None if self._key is None else self._key.name_of(request)
        if name is not None:
            return self._registry.breaker(name)
        url = request.url
        return self._registry.breaker(origin(url.scheme, url.raw_host.decode("ascii"), url.port))

    def _settle(self, permit: Permit, exc: BaseException, *, request: Any) -> None:  # noqa: ANN401 - of httpx or httpx2
        """Settle a permit by an exception of the transport or of the body."""
        if isinstance(exc, self._library.RequestError):
            failed: Any = exc
            failed.request = request  # as the client does: the request has the time limits
        if not isinstance(exc, Exception):
            permit.__exit__(type(exc), exc, None)
        elif self._is_failure(exc):
            permit.fail(exc, peer=_peer_of(request))
        else:
            permit.ignore()

    def _is_failure(self, exc: BaseException) -> bool:
        """Return whether an exception is a failure of the dependency; a group is one if it contains one."""
        if isinstance(exc, BaseExceptionGroup):
            return any(self._is_failure(part) for part in exc.exceptions)
        return isinstance(exc, self._library.TransportError) and not isinstance(exc, self._ignored)

    def _settle_by_head(self, permit: Permit, response: Any, request: Any) -> None:  # noqa: ANN401 - as above
        """Settle a permit by the head of a response, or leave that to the body."""
        if not isinstance(response, self._library.Response):  # the client refuses it
            permit.ignore()
            return
        status = response.status_code
        if status in self._failure_statuses:
            seconds = retry_after(response.headers, self._longest_wait)
            permit.fail(StatusError(status), reset_timeout_seconds=seconds, peer=_peer_of(request))
        elif response.is_closed or status == SWITCHING_PROTOCOLS or not self._is_streamed(response.stream):
            permit.succeed()  # already read, or no longer HTTP
        else:
            is_stream_of_events = is_event_stream(response.headers)
            if is_stream_of_events:  # whose first event may take long
                permit.progress()
            settle = partial(self._settle, request=request)
            is_subscription = is_stream_of_events and request.method == "GET"
            response.stream = self._body(response.stream, permit, settle, is_subscription=is_subscription)

    def _is_streamed(self, body: object) -> bool:
        """Return whether a body comes bit by bit; the others, which can be read synchronously too, are in memory."""
        library = self._library
        return isinstance(body, library.AsyncByteStream) and not isinstance(body, library.SyncByteStream)


def _peer_of(request: Any) -> str | None:  # noqa: ANN401 - of httpx or httpx2
    url = request.url
    return peer(url.scheme, url.raw_host.decode("ascii"), url.port)
