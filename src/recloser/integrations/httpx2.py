"""Circuit breakers for httpx2, one per origin: `httpx2.AsyncClient(transport=BreakerTransport())`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NoReturn

from recloser import CircuitBreakerOpenError, RejectedError
from recloser.integrations._bodies import GuardedBody, GuardedUpload
from recloser.integrations._slots import unavailable
from recloser.integrations._transport import GuardedTransport

try:
    import httpx2
except ModuleNotFoundError as _error:
    raise ImportError("recloser.integrations.httpx2 needs httpx2: pip install 'recloser[httpx2]'") from _error

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["BreakerTransport", "RejectedTransportError", "answer_503", "raise_transport_error"]


class _Body(GuardedBody, httpx2.AsyncByteStream):
    """A response body of httpx2."""


class _Upload(GuardedUpload, httpx2.AsyncByteStream):
    """A request body of httpx2."""


class BreakerTransport(
    GuardedTransport[httpx2.AsyncBaseTransport, httpx2.Request, httpx2.Response], httpx2.AsyncBaseTransport
):
    """An httpx2 transport that sends requests through circuit breakers, one per origin.

    The arguments, errors and rules are those of `recloser.integrations.httpx.BreakerTransport`, with the classes of
    httpx2 instead of those of httpx.
    """

    _library: ClassVar[ModuleType] = httpx2
    _upload = _Upload
    _body = _Body


class RejectedTransportError(CircuitBreakerOpenError, httpx2.TransportError):
    """A rejection that is an `httpx2.TransportError` as well; `raise_transport_error` raises it.

    Its fields are those of `CircuitBreakerOpenError`.

    Args:
        fields: The fields of the rejection.
        request: The request that was rejected. It is lost when the error is pickled, because it contains secrets.
    """

    def __init__(self, *fields: object, request: httpx2.Request | None = None) -> None:
        Exception.__init__(self, *fields)  # that of httpx2's error takes a message only
        self._request = request

    def __reduce__(self) -> tuple[type[RejectedTransportError], tuple[object, ...]]:
        """Pickle the fields."""
        return type(self), self.args


def answer_503(rejection: RejectedError, request: httpx2.Request) -> httpx2.Response:
    """Answer a rejected request with a 503; for `on_rejection=`.

    The response has `Retry-After` if the time is known, `x-should-retry: false`, which the clients of model APIs obey,
    and a JSON body with the text of the rejection.

    Args:
        rejection: The rejection.
        request: The rejected request.
    """
    response: httpx2.Response = unavailable(httpx2, rejection, request)
    return response


def raise_transport_error(rejection: RejectedError, request: httpx2.Request) -> NoReturn:
    """Raise a rejection that is an `httpx2.TransportError` too; for `on_rejection=`.

    It is for code that catches transport errors only. Code that retries transport errors also retries this one.

    Args:
        rejection: The rejection.
        request: The rejected request.

    Raises:
        RejectedTransportError: Always.
    """
    raise RejectedTransportError(*rejection.args, request=request) from None
