"""Circuit breakers for httpx, one per origin: `httpx.AsyncClient(transport=BreakerTransport())`."""

from recloser.integrations._bodies import GuardedBody, GuardedUpload
from recloser.integrations._transport import GuardedTransport

try:
    import httpx
except ModuleNotFoundError as error:
    raise ImportError("recloser.integrations.httpx needs httpx: pip install 'recloser[httpx]'") from error

__all__ = ["BreakerTransport"]


class _Body(GuardedBody, httpx.AsyncByteStream):
    """A response's body, as httpx wants it."""


class _Upload(GuardedUpload, httpx.AsyncByteStream):
    """A request's body, as httpx wants it."""


class BreakerTransport(GuardedTransport[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport):
    """An httpx transport that sends requests through circuit breakers, one per origin.

    An origin is a scheme, a host and a port, however they are written; its breaker is named after it, such as
    `https://api.example` or `http://[::1]:8080`, and nothing else of a request is in names, health, logs, events or
    errors. A rejected request raises `CircuitBreakerOpenError` out of the client's method. Each redirect and each
    request of an authentication flow is an exchange by itself.

    Failures are httpx's transport errors and the given statuses. Ignored are a pool without a free connection
    (`PoolTimeout`), requests that are wrong (`LocalProtocolError`, `UnsupportedProtocol`), whatever the request's own
    body raises, and what is no transport error. All else is settled at the end of the response's body: an error while
    it is read is a failure, closing it early is a success. A cancellation is judged as that of any call; of an event
    stream (`text/event-stream`) that has delivered something it is a success. The breaker's own `expected_exception`,
    `ignored_exception` and `failed_result` are not asked.

    Args:
        transport: What sends the requests; an `httpx.AsyncHTTPTransport()` if not given. The client's `http2`,
            `verify`, `limits` and proxies do not reach a transport that is given to it: give them to this one.
        registry: Holds the breakers, and their settings; one of its own, with the defaults, if not given. Bounded by
            its `max_breakers`, however many hosts there are. May be shared with other transports.
        breaker: One breaker for everything in place of one per origin; not together with `registry`.
        failure_statuses: Statuses that are failures, from 100 to 599.
        ignored_exception: Further types of exceptions that are ignored.
        max_retry_after_seconds: When a response with such a status opens the breaker, its `Retry-After` says for how
            long, at most this long (finite, > 0). None: it is not heeded.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range, or both `registry` and `breaker` are given.
    """

    _transport = httpx.AsyncBaseTransport
    _default = httpx.AsyncHTTPTransport
    _url = httpx.URL
    _plain = httpx.ByteStream
    _upload = _Upload
    _body = _Body
    _failures = httpx.TransportError
    _always_ignored = (httpx.PoolTimeout, httpx.LocalProtocolError, httpx.UnsupportedProtocol)
