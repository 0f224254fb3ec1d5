"""The transports for httpx and httpx2: their arguments, their life, and what is told when the library is missing."""

import importlib
import subprocess
import sys
from typing import Self

import pytest

from recloser import BreakerRegistry, CircuitBreaker
from tests.integrations.conftest import Library
from tests.integrations.kit import one

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"transport": object()}, TypeError, "transport must be an AsyncBaseTransport of httpx2?, not <object"),
        ({"registry": {}}, TypeError, "registry must be a BreakerRegistry, not {}"),
        ({"breaker": "api"}, TypeError, "breaker must be a CircuitBreaker, not 'api'"),
        ({"failure_statuses": 503}, TypeError, "failure_statuses must be a collection of HTTP statuses .*, not 503"),
        ({"failure_statuses": "503"}, TypeError, "failure_statuses must be .*, not '503'"),
        ({"failure_statuses": [True]}, TypeError, "failure_statuses must be .*, not .True."),
        ({"failure_statuses": [99]}, ValueError, "HTTP statuses from 100 to 599, not .99."),
        ({"failure_statuses": {600}}, ValueError, "HTTP statuses from 100 to 599, not .600."),
        ({"ignored_exception": "ReadTimeout"}, TypeError, "ignored_exception must be exception types"),
        ({"ignored_exception": (KeyboardInterrupt,)}, TypeError, "ignored_exception must be exception types"),
        ({"max_retry_after_seconds": "60"}, TypeError, "max_retry_after_seconds must be a finite .*, not '60'"),
        ({"max_retry_after_seconds": True}, TypeError, "max_retry_after_seconds must be .*, not True"),
        ({"max_retry_after_seconds": 0}, ValueError, "max_retry_after_seconds must be .* > 0, or None, not 0"),
        ({"max_retry_after_seconds": float("inf")}, ValueError, "max_retry_after_seconds must be .*, not inf"),
        ({"max_retry_after_seconds": float("nan")}, ValueError, "max_retry_after_seconds must be .*, not nan"),
    ],
)
def test_bad_arguments_are_refused(
    library: Library, arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        library.transport(**arguments)


def test_a_registry_and_a_breaker_exclude_each_other(library: Library) -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        library.transport(registry=BreakerRegistry(), breaker=CircuitBreaker())


def test_it_is_a_transport_of_its_library(library: Library) -> None:
    assert isinstance(library.transport(), library.web.AsyncBaseTransport)


def test_a_transport_of_another_library_is_refused() -> None:
    with pytest.raises(TypeError, match=r"transport must be an AsyncBaseTransport of httpx, not <httpx2\."):
        importlib.import_module("recloser.integrations.httpx").BreakerTransport(
            importlib.import_module("httpx2").AsyncHTTPTransport()
        )


def test_any_iterable_of_statuses_will_do(library: Library) -> None:
    library.transport(failure_statuses=range(500, 600))
    library.transport(failure_statuses=())


async def test_the_inner_transport_is_entered_and_left_with_it(library: Library) -> None:
    log: list[str] = []

    class Inner(library.web.AsyncBaseTransport):
        async def __aenter__(self) -> Self:
            log.append("entered")
            return self

        async def __aexit__(self, *exc_info: object) -> None:
            log.append("left")

        async def aclose(self) -> None:
            log.append("closed")

    async with library.web.AsyncClient(transport=library.transport(Inner(), breaker=one())):
        assert log == ["entered"]
    assert log == ["entered", "left"]
    await library.transport(Inner(), breaker=one()).aclose()
    assert log == ["entered", "left", "closed"]


@pytest.mark.parametrize("name", ["httpx", "httpx2"])
def test_a_missing_library_is_told_with_the_extra_that_brings_it(name: str) -> None:
    script = f"import sys; sys.modules[{name!r}] = None\nimport recloser.integrations.{name}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert f"ImportError: recloser.integrations.{name} needs {name}: pip install 'recloser[{name}]'" in done.stderr


@pytest.mark.parametrize(("name", "other"), [("httpx", "httpx2"), ("httpx2", "httpx")])
def test_one_library_does_without_the_other(name: str, other: str) -> None:
    script = f"import sys; sys.modules[{other!r}] = None\nimport recloser.integrations.{name}"
    subprocess.run([sys.executable, "-c", script], check=True)
