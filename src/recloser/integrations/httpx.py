"""Circuit breakers for httpx, one per origin: `httpx.AsyncClient(transport=BreakerTransport())`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NoReturn

from recloser import CircuitBreakerOpenError, RejectedError
from recloser.integrations._bodies import GuardedBody, GuardedUpload
from recloser.integrations._slots import unavailable
from recloser.integrations._transport import GuardedTransport

try:
    import httpx
except ModuleNotFoundError as _error:
    raise ImportError("recloser.integrations.httpx needs httpx: pip install 'recloser[httpx]'") from _error

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["BreakerTransport", "RejectedTransportError", "answer_503", "raise_transport_error"]


class _Body(GuardedBody, httpx.AsyncByteStream):
    """A response body of httpx."""


class _Upload(GuardedUpload, httpx.AsyncByteStream):
    """A request body of httpx."""


class BreakerTransport(
    GuardedTransport[httpx.AsyncBaseTransport, httpx.Request, httpx.Response], httpx.AsyncBaseTransport
):
    """An httpx transport that sends requests through circuit breakers, one per origin.

    An origin is a scheme, a host and a port, however they are written. Its breaker is named after it, such as
    `https://api.example` or `http://[::1]:8080`. Nothing else of a request appears in names, health, logs, events or
    errors. For a rejected request the client's method raises `CircuitBreakerOpenError`. Each redirect and each request
    of an authentication flow counts on its own.

    Failures are httpx's transport errors and the given statuses. Ignored are a pool without a free connection
    (`PoolTimeout`), invalid requests (`LocalProtocolError`, `UnsupportedProtocol`), errors of the request's own body,
    and exceptions that are no transport errors. Any other exchange is settled at the end of the response body: an error
    while it is read is a failure, closing it early is a success. A probe passes earlier: with the head of an event
    stream, or with the first chunk of any other body. The breaker classifies a cancellation as it does for
    any call, with one exception: cancelling an event stream (`text/event-stream`) that has delivered something is a
    success. The breaker's own `expected_exception`, `ignored_exception` and `failed_result` have no effect here.

    Args:
        transport: Sends the requests; `httpx.AsyncHTTPTransport()` by default. The client's own `http2`, `verify`,
            `limits` and proxies do not reach a transport that is passed to it: pass them to this one.
        registry: Holds the breakers and their settings; by default a new one with the default settings. Its
            `max_breakers` bounds the number of breakers, however many hosts there are. Several transports may share
            it.
        breaker: One breaker for all origins, instead of a registry.
        key: A synchronous function that returns the name of a request's breaker in the registry, such as a model or a
            tenant, or None for the breaker of its origin.
        on_rejection: A synchronous function of a rejection and its request that answers in place of the rejection: it
            returns a response, a new one each time, or raises an exception. `answer_503` and `raise_transport_error`
            are ready-made. The answer is no outcome.
        failure_statuses: The statuses that are failures, from 100 to 599; by default 429 and all 5xx but 501 and 505.
        ignored_exception: Further exception types that are ignored.
        max_retry_after_seconds: A failing response that opens the breaker may say for how long, in `Retry-After`; this
            is the upper bound (finite, > 0). None to disregard the header.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range, or `breaker` is given together with `registry` or `key`.
    """

    _library: ClassVar[ModuleType] = httpx
    _upload = _Upload
    _body = _Body


class RejectedTransportError(CircuitBreakerOpenError, httpx.TransportError):
    """A rejection that is an `httpx.TransportError` as well; `raise_transport_error` raises it.

    Its fields are those of `CircuitBreakerOpenError`.

    Args:
        fields: The fields of the rejection.
        request: The request that was rejected. It is lost when the error is pickled, because it contains secrets.
    """

    def __init__(self, *fields: object, request: httpx.Request | None = None) -> None:
        Exception.__init__(self, *fields)  # that of httpx's error takes a message only
        self._request = request

    def __reduce__(self) -> tuple[type[RejectedTransportError], tuple[object, ...]]:
        """Pickle the fields."""
        return type(self), self.args


def answer_503(rejection: RejectedError, request: httpx.Request) -> httpx.Response:
    """Answer a rejected request with a 503; for `on_rejection=`.

    The response has `Retry-After` if the time is known, `x-should-retry: false`, which the clients of model APIs obey,
    and a JSON body with the text of the rejection.

    Args:
        rejection: The rejection.
        request: The rejected request.
    """
    response: httpx.Response = unavailable(httpx, rejection, request)
    return response


def raise_transport_error(rejection: RejectedError, request: httpx.Request) -> NoReturn:
    """Raise a rejection that is an `httpx.TransportError` too; for `on_rejection=`.

    It is for code that catches transport errors only. Code that retries transport errors also retries this one.

    Args:
        rejection: The rejection.
        request: The rejected request.

    Raises:
        RejectedTransportError: Always.
    """
    raise RejectedTransportError(*rejection.args, request=request) from None
