"""Circuit breakers for httpx2, one per origin: `httpx2.AsyncClient(transport=BreakerTransport())`."""

from types import ModuleType
from typing import ClassVar

from recloser.integrations._bodies import GuardedBody, GuardedUpload
from recloser.integrations._transport import GuardedTransport

try:
    import httpx2
except ModuleNotFoundError as _error:
    raise ImportError("recloser.integrations.httpx2 needs httpx2: pip install 'recloser[httpx2]'") from _error

__all__ = ["BreakerTransport"]


class _Body(GuardedBody, httpx2.AsyncByteStream):
    """A response body of httpx2."""


class _Upload(GuardedUpload, httpx2.AsyncByteStream):
    """A request body of httpx2."""


class BreakerTransport(GuardedTransport[httpx2.AsyncBaseTransport], httpx2.AsyncBaseTransport):
    """An httpx2 transport that sends requests through circuit breakers, one per origin.

    The arguments, errors and rules are those of `recloser.integrations.httpx.BreakerTransport`, with the classes of
    httpx2 instead of those of httpx.
    """

    _library: ClassVar[ModuleType] = httpx2
    _upload = _Upload
    _body = _Body
