"""Reads the HTTP status of an exception from the attributes that clients and web frameworks give to theirs.

No client is imported. These are read:

- `status_code`, `status`, `http_status`, or `code`: FastAPI, Starlette, aiohttp, urllib, the SDKs of model APIs;
- `status_code` or `status` of its `response`: httpx, requests;
- `code()`, a status of gRPC.
"""

from __future__ import annotations

from recloser._core.slots import refusal

STATUSES = range(100, 600)
OF_EXCEPTIONS = ("status_code", "status", "http_status")
OF_RESPONSES = ("status_code", "status")
OF_GRPC = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
"""HTTP statuses by the names of gRPC's, as the gRPC documentation assigns them."""


def http_status(exc: BaseException) -> int | None:
    """Return the HTTP status that an exception has, or that stands for its status of gRPC; None if it has neither.

    Args:
        exc: Any exception; its causes are not looked at.
    """
    values = [attribute(exc, name) for name in OF_EXCEPTIONS] + [_code_of(exc)]
    if (response := attribute(exc, "response")) is not None:
        values += [attribute(response, name) for name in OF_RESPONSES]
    return next((status for value in values if value is not None and (status := _status(value)) is not None), None)


def grpc_status(exc: BaseException) -> str | None:
    """Return the name of the gRPC status that an exception has; None if it has none."""
    code = _code_of(exc)
    name = None if code is None else attribute(code, "name")
    return name if isinstance(name, str) and name in OF_GRPC else None


def attribute(owner: object, name: str) -> object:
    """Return an attribute of an object that others made; None if it has none, or if reading it raises."""
    try:
        return getattr(owner, name, None)
    except Exception:  # noqa: BLE001 - a property may raise anything
        return None


def _status(value: object) -> int | None:
    """Return an HTTP status; None for any other code, such as that of an API, a process or a WebSocket."""
    if isinstance(value, int):
        return int(value) if value in STATUSES else None
    name = attribute(value, "name")
    return OF_GRPC.get(name) if isinstance(name, str) else None


def _code_of(exc: BaseException) -> object:
    code = attribute(exc, "code")
    if not callable(code):
        return code
    try:
        returned: object = code()
    except Exception:  # noqa: BLE001 - as above
        return None
    return returned if refusal("code", returned) is None else None
