"""`http_errors.is_failure` tells what an HTTP error of any client says about the service."""

import email.message
import enum
import subprocess
import sys
import urllib.error
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import fastapi
import httpx
import httpx2
import pytest
import starlette.exceptions

from recloser import BreakerRegistry
from recloser.integrations import http_errors
from recloser.integrations.http_errors import is_failure
from tests.integrations.kit import one, totals

pytestmark = pytest.mark.anyio


class ApiError(Exception):
    """Has the attributes of an error of some client."""

    def __init__(self, **attributes: object) -> None:
        super().__init__("failed")
        vars(self).update(attributes)


class HostileError(Exception):
    """Raises when it is looked at."""

    @property
    def status_code(self) -> int:
        raise RuntimeError("do not look")

    def code(self) -> int:
        raise RuntimeError("do not ask")


class GrpcStatus(enum.Enum):
    """As `grpc.StatusCode`."""

    NOT_FOUND = (5, "not found")
    UNIMPLEMENTED = (12, "unimplemented")
    RESOURCE_EXHAUSTED = (8, "resource exhausted")
    DEADLINE_EXCEEDED = (4, "deadline exceeded")
    UNAVAILABLE = (14, "unavailable")
    OTHER = (99, "other")


def of_httpx(library: Any, status: int) -> Exception:  # noqa: ANN401 - a module
    response = library.Response(status, request=library.Request("GET", "https://api.example"))
    with pytest.raises(library.HTTPStatusError) as caught:
        response.raise_for_status()
    return caught.value


class FalseResponse:
    """A response that is false if its status is an error, as those of requests are."""

    def __init__(self, status: int) -> None:
        self.status_code = status

    def __bool__(self) -> bool:
        return False


CLIENTS = {
    "httpx": lambda status: of_httpx(httpx, status),
    "httpx2": lambda status: of_httpx(httpx2, status),
    "urllib": lambda status: urllib.error.HTTPError("https://api.example", status, "", email.message.Message(), None),
    "starlette": starlette.exceptions.HTTPException,
    "fastapi": fastapi.HTTPException,
    "like requests": lambda status: ApiError(response=FalseResponse(status), errno=None),
    "like aiohttp and kubernetes": lambda status: ApiError(status=status),
    "like openai and anthropic": lambda status: ApiError(
        status_code=status, code="rate_limit_exceeded", response=httpx.Response(status)
    ),
    "like stripe": lambda status: ApiError(http_status=status, code="card_declined"),
    "like tornado": lambda status: ApiError(code=status, response=None),
    "like google": lambda status: ApiError(code=HTTPStatus(status), response=SimpleNamespace(status=status)),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, False) for status in (304, 400, 401, 403, 404, 408, 409, 422, 501, 505)),
        *((status, True) for status in (429, 500, 502, 503, 504, 507, 511)),
    ],
)
def test_the_status_decides_whatever_the_client(client: str, status: int, *, expected: bool) -> None:
    assert is_failure(CLIENTS[client](status)) is expected


@pytest.mark.parametrize("status", [520, 527, 529, 599])
def test_a_status_of_its_own_of_a_network_or_a_model_api_is_a_failure(status: int) -> None:
    assert is_failure(of_httpx(httpx, status))
    assert is_failure(ApiError(status_code=status))


@pytest.mark.parametrize("is_method", [True, False])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (GrpcStatus.NOT_FOUND, False),
        (GrpcStatus.UNIMPLEMENTED, False),
        (GrpcStatus.RESOURCE_EXHAUSTED, True),
        (GrpcStatus.DEADLINE_EXCEEDED, True),
        (GrpcStatus.UNAVAILABLE, True),
        (GrpcStatus.OTHER, True),
    ],
)
def test_a_status_of_grpc_counts_as_that_of_http(status: GrpcStatus, *, expected: bool, is_method: bool) -> None:
    error = ApiError(code=lambda: status) if is_method else ApiError(status=status)
    assert is_failure(error) is expected


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx2.ReadTimeout("too slow"),
        ApiError(response=None),
        urllib.error.URLError("refused"),
        ConnectionResetError(),
        TimeoutError(),
        ValueError("no JSON"),
        ApiError(code=1006),
        ApiError(code=-32601),
        ApiError(status=True),
        ApiError(status="error", code="overloaded", response={"status": 404}),
        ApiError(status=SimpleNamespace(name=["UNAVAILABLE"])),
        HostileError(),
    ],
    ids=repr,
)
def test_an_exception_without_a_status_is_a_failure(error: Exception) -> None:
    assert is_failure(error)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", True),
        ("api_error", True),
        ("rate_limit_error", True),
        ("server_error", True),
        ("invalid_request_error", False),
        ("authentication_error", False),
        ("not_found_error", False),
        (["invalid_request_error"], True),
        (None, True),
    ],
)
def test_an_error_event_in_a_stream_is_judged_by_its_type(kind: object, *, expected: bool) -> None:
    like_anthropic = ApiError(status_code=200, body={"type": "error", "error": {"type": kind}})
    like_openai = ApiError(code=None, body={"type": kind})
    assert is_failure(like_anthropic) is expected
    assert is_failure(like_openai) is expected


def test_a_timeout_of_the_client_is_a_failure_whatever_its_status() -> None:
    class Timeout(ApiError):  # noqa: N818 - as litellm names it
        pass

    assert is_failure(Timeout(status_code=408))
    assert not is_failure(ApiError(status_code=408))


@pytest.mark.parametrize("body", [None, "overloaded", ["overloaded"], {}, {"error": "overloaded"}])
def test_a_good_status_does_not_make_an_exception_an_answer(body: object) -> None:
    assert is_failure(ApiError(status_code=200, body=body))
    assert not is_failure(ApiError(status_code=404, body=body))


def test_an_exception_without_a_status_is_judged_by_its_cause() -> None:
    error, between = ApiError(), ApiError(code="not_found")
    error.__cause__, between.__cause__ = between, of_httpx(httpx, 404)
    assert not is_failure(error)
    between.__cause__ = of_httpx(httpx, 503)
    assert is_failure(error)
    between.__cause__ = error
    assert is_failure(error)


def test_a_status_of_its_own_comes_before_that_of_the_cause() -> None:
    error = fastapi.HTTPException(502)
    error.__cause__ = of_httpx(httpx, 404)
    assert is_failure(error)


def test_an_exception_that_was_only_being_handled_does_not_count() -> None:
    error = ValueError("no JSON")
    error.__context__ = of_httpx(httpx, 404)
    assert is_failure(error)


def test_one_failure_makes_a_group_a_failure() -> None:
    answer, failure = of_httpx(httpx, 404), of_httpx(httpx, 503)
    assert not is_failure(ExceptionGroup("", [answer, ExceptionGroup("", [answer])]))
    assert is_failure(ExceptionGroup("", [answer, ExceptionGroup("", [failure])]))


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_breaker_stays_closed_for_answers_and_opens_for_failures(client: str) -> None:
    breaker = one(expected_exception=is_failure)

    @breaker
    async def get(status: int) -> None:
        raise CLIENTS[client](status)

    for status in [404] * 5 + [503]:
        with pytest.raises(type(CLIENTS[client](status))):
            await get(status)
    assert totals(breaker) == {"success": 5, "failure": 1}
    assert breaker.get_state() == "open"


def test_a_configuration_can_name_it() -> None:
    settings = {"breakers": {"api": {"expected_exception": "recloser.integrations.http_errors.is_failure"}}}
    registry = BreakerRegistry.from_config(settings)
    assert registry.breaker("api").expected_exception is is_failure


def test_it_imports_no_client() -> None:
    code = (
        f"import sys, {http_errors.__name__}; "
        "print({'httpx', 'httpx2', 'requests', 'aiohttp', 'starlette', 'grpc', 'urllib.request'} & {*sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "set()"
