"""Circuit breakers for httpx2, one per origin: `httpx2.AsyncClient(transport=BreakerTransport())`."""

from recloser.integrations._bodies import GuardedBody, GuardedUpload
from recloser.integrations._transport import GuardedTransport

try:
    import httpx2
except ModuleNotFoundError as error:
    raise ImportError("recloser.integrations.httpx2 needs httpx2: pip install 'recloser[httpx2]'") from error

__all__ = ["BreakerTransport"]


class _Body(GuardedBody, httpx2.AsyncByteStream):
    """A response's body, as httpx2 wants it."""


class _Upload(GuardedUpload, httpx2.AsyncByteStream):
    """A request's body, as httpx2 wants it."""


class BreakerTransport(GuardedTransport[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport):
    """An httpx2 transport that sends requests through circuit breakers, one per origin.

    Arguments, errors and rules are those of `recloser.integrations.httpx.BreakerTransport`, with the classes of httpx2
    in the place of those of httpx.
    """

    _transport = httpx2.AsyncBaseTransport
    _default = httpx2.AsyncHTTPTransport
    _url = httpx2.URL
    _plain = httpx2.ByteStream
    _upload = _Upload
    _body = _Body
    _failures = httpx2.TransportError
    _always_ignored = (httpx2.PoolTimeout, httpx2.LocalProtocolError, httpx2.UnsupportedProtocol)
