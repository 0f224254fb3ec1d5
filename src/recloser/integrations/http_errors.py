"""A predicate for functions that raise the HTTP errors of any client: `expected_exception=http_errors.is_failure`.

A client raises an exception for every bad status, but most of these are answers: a 404 says that the server works. It
is a failure if the server is overloaded or broken.

No client is imported; the status is read from the attributes that HTTP clients and web frameworks give to their
exceptions:

- `status_code`, `status`, `http_status`, or `code`: FastAPI, Starlette, aiohttp, urllib, the SDKs of model APIs;
- `status_code` or `status` of its `response`: httpx, requests;
- `code()`, a status of gRPC, which counts as the HTTP status that the gRPC documentation assigns to it.

An exception without a status is judged by its `__cause__`, if that has one. Model APIs report errors in the middle of a
stream, whose status was 200; the SDKs put the type of such an error into the `body` of their exception.
"""

from __future__ import annotations

from recloser.integrations._http import FAILURE_STATUSES
from recloser.lowlevel import http_status, leaves, publish

__all__ = ["is_failure"]

FAILURES: frozenset[int | None] = frozenset({None, *FAILURE_STATUSES})
"""The statuses that are failures; None stands for an exception without a status."""
TOO_SLOW = 408
"""What litellm gives to its own timeouts; as the status of an answer, it says that the client was too slow."""
GOOD = 2
"""The first digit of a status that is no error."""
OF_EVENTS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
}
"""HTTP statuses by the types of the errors in a stream that are answers; any other type is a failure."""


def is_failure(exc: BaseException) -> bool:
    """Return whether an exception means that an HTTP service failed; for `expected_exception=` of a breaker.

    Failures are the statuses 429 and 5xx except 501 and 505, and exceptions without a status, such as a refused
    connection. Any other status is an answer; a 2xx is none, because something failed after it.

    Args:
        exc: Any exception; a group is a failure if one of its exceptions is.
    """
    return any(_status_behind(leaf) in FAILURES for leaf in leaves(exc))


def _status_behind(exc: BaseException) -> int | None:
    """Return the status of an exception, else that of the nearest of its causes that has one."""
    seen = set[int]()
    cause: BaseException | None = exc
    while cause is not None and id(cause) not in seen:
        status = http_status(cause)
        if status == TOO_SLOW and any("Timeout" in kind.__name__ for kind in type(cause).__mro__):
            return None
        if status is None or status // 100 == GOOD:  # the status of a stream, not of its error
            status = _status_of_event(cause)
        if status is not None:
            return status
        seen.add(id(cause))
        cause = cause.__cause__
    return None


def _status_of_event(exc: BaseException) -> int | None:
    """Return the status of an error that came as an event of a stream."""
    body = vars(exc).get("body")
    error = body.get("error", body) if isinstance(body, dict) else None
    kind = error.get("type") if isinstance(error, dict) else None
    return OF_EVENTS.get(kind) if isinstance(kind, str) else None


publish(globals())
