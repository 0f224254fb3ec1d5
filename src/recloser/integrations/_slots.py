"""The functions that a user gives to a transport: which breaker a request has, and what answers a rejected one.

They run before anything is sent and while no permit is held, so whatever they raise reaches the client's caller as it
is. What they return is checked. The errors about it name types only, because requests and responses contain secrets.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from recloser import CircuitBreakerOpenError
from recloser.errors import MisuseError
from recloser.integrations._http import bounded
from recloser.lowlevel import slots

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from recloser import RejectedError


class KeySlot:
    """The function that chooses the breaker of a request.

    Args:
        function: Returns the name of the breaker for a request, or None for the breaker of its origin.

    Raises:
        TypeError: It is no synchronous function.
    """

    def __init__(self, function: Callable[[Any], str | None]) -> None:
        _check("key", function, "function of the request")
        self.function = function

    def name_of(self, request: Any) -> str | None:  # noqa: ANN401 - of httpx or httpx2
        """Return the name of a request's breaker, fit for logs; None for that of its origin.

        Raises:
            MisuseError: The function returned something else.
            Exception: Whatever the function raises.
        """
        name = self.function(request)
        if name is None:
            return None
        if isinstance(name, str) and name:
            return bounded(name)
        found = slots.refusal("key", name) or f"not {_what(name)}"
        raise MisuseError(f"key must return the name of a breaker, or None for that of the origin: {found}")


class RejectionSlot:
    """The function that answers in place of a rejection.

    Args:
        function: Returns a response for a rejection and a request.
        library: httpx or httpx2.

    Raises:
        TypeError: It is no synchronous function.
    """

    def __init__(self, function: Callable[[Any, Any], Any], library: ModuleType) -> None:
        _check("on_rejection", function, "function of a rejection and a request")
        self._function = function
        self._library = library

    def answer(self, rejection: RejectedError, request: Any) -> Any:  # noqa: ANN401 - of httpx or httpx2
        """Return the response to a rejected request.

        Raises:
            MisuseError: The function returned something that a client of the library can't read.
            Exception: Whatever the function raises.
        """
        library = self._library
        response = self._function(rejection, request)
        if not isinstance(response, library.Response):
            found = slots.refusal("on_rejection", response) or f"not {_what(response)}"
            raise MisuseError(f"on_rejection must return an {library.__name__}.Response: {found}")
        if not isinstance(getattr(response, "stream", None), library.AsyncByteStream):
            raise MisuseError("on_rejection must return a response whose body is bytes or an asynchronous stream")
        return response


def _check(argument: str, function: object, role: str) -> None:
    slots.check_synchronous(argument, function, role)
    if not callable(function):
        raise TypeError(f"{argument} must be a synchronous {role}, not {function!r}")


def _what(value: object) -> str:
    """Return what a value is, without its text."""
    return repr(value) if value in (None, "") else f"an object of type {type(value).__name__}"


def unavailable(library: ModuleType, rejection: RejectedError, request: Any) -> Any:  # noqa: ANN401 - of httpx or httpx2
    """Return a 503 that tells clients when to come back, and those that obey `x-should-retry` not to retry.

    The response carries the rejection, so that `rejection_of()` finds it behind the error that a client raises.
    """
    headers = {"x-should-retry": "false"}
    seconds = rejection.retry_after
    if seconds is not None and math.isfinite(seconds):
        headers["retry-after"] = str(max(1, math.ceil(seconds)))
    error = {
        "type": "circuit_breaker_open" if isinstance(rejection, CircuitBreakerOpenError) else "rejected",
        "code": 503,
        "status": "UNAVAILABLE",
        "message": str(rejection),
    }
    headers["content-type"] = "application/json"
    return library.Response(
        503,
        headers=headers,
        content=json.dumps({"error": error}).encode(),
        extensions={"rejection": rejection},
        request=request,
    )
