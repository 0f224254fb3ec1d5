"""Breakers in servers of each MCP SDK that is installed, asked by its own client."""

import importlib
import inspect
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import anyio
import pytest

from recloser import BreakerRegistry, CircuitBreakerOpenError
from recloser.errors import RateLimitedError
from recloser.integrations import mcp as integration
from recloser.integrations.mcp import HEALTH_URI, add_health_resource, explain_rejections
from recloser.testing import ManualClock
from tests.integrations.mcp_session import Session

INTERNAL = "internal-host:8443"
ROOT = Path(__file__).parents[2]


def installed() -> list[str]:
    """Names the SDKs that are installed; of mcp there is one major version at a time."""
    names = []
    for package in ("mcp", "fastmcp"):
        try:
            major = version(package).partition(".")[0]
        except PackageNotFoundError:
            continue
        names.append(package if package == "fastmcp" else f"{package}{major}")
    return names


SDKS = {name: importlib.import_module(f"tests.integrations.sdk_{name}") for name in installed()}

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[(name, backend) for name, sdk in SDKS.items() for backend in sdk.BACKENDS], ids="-".join)
def sdk_and_backend(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture
def anyio_backend(sdk_and_backend: tuple[str, str]) -> str:
    return sdk_and_backend[1]


@pytest.fixture
def sdk(sdk_and_backend: tuple[str, str]) -> ModuleType:
    return SDKS[sdk_and_backend[0]]


@pytest.fixture
def registry() -> BreakerRegistry:
    return BreakerRegistry(failure_threshold=1, reset_timeout_seconds=60, clock=ManualClock())


@pytest.fixture
def server(sdk: ModuleType, registry: BreakerRegistry) -> object:
    """A server with one tool, which refuses numbers and echoes all else, behind a breaker with a secret name."""
    server = sdk.Server("tested")

    @server.tool()
    @explain_rejections
    @registry.breaker(INTERNAL)
    async def echo(text: str, times: int = 1) -> str:
        """Repeats a text."""
        await anyio.lowlevel.checkpoint()
        if text.isdigit():
            raise ConnectionError(f"{INTERNAL} refused")
        return text * times

    return server


async def open_breaker(session: Session) -> None:
    assert (await session.call("echo", text="7")).is_error


def raiser(server: object, error: Exception, **options: str) -> None:
    """Gives a server a tool that raises an error."""

    async def fetch() -> str:
        await anyio.lowlevel.checkpoint()
        raise error

    server.tool()(explain_rejections(fetch, **options))


async def test_the_model_reads_of_a_rejection_and_when_to_come_back(sdk: ModuleType, server: object) -> None:
    async with sdk.connect(server) as session:
        await open_breaker(session)
        answer = await session.call("echo", text="hello")
    assert answer.is_error
    assert answer.text.endswith("The service behind this tool is temporarily unavailable. Retry in 60 s.")


async def test_a_rejection_is_logged_without_a_traceback_and_not_as_an_error(
    sdk: ModuleType, server: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with sdk.connect(server) as session:
        await open_breaker(session)
        caplog.clear()
        caplog.set_level(logging.DEBUG)
        await session.call("echo", text="hello")
    assert [record for record in caplog.records if record.exc_info or record.levelno > logging.INFO] == []


async def test_a_rejection_names_nothing_internal(sdk: ModuleType, server: object) -> None:
    async with sdk.connect(server) as session:
        await open_breaker(session)
        answer = await session.call("echo", text="hello")
    assert INTERNAL not in answer.text


async def test_the_breaker_inside_a_tool_sees_the_errors_of_its_dependency(
    sdk: ModuleType, server: object, registry: BreakerRegistry
) -> None:
    async with sdk.connect(server) as session:
        await open_breaker(session)
    assert "ConnectionError" in registry.breaker(INTERNAL).explain()


async def test_the_error_that_opens_the_breaker_is_not_explained(sdk: ModuleType, server: object) -> None:
    async with sdk.connect(server) as session:
        answer = await session.call("echo", text="7")
    assert answer.is_error
    assert "temporarily" not in answer.text


async def test_an_admitted_call_is_answered(sdk: ModuleType, server: object) -> None:
    async with sdk.connect(server) as session:
        assert await session.call("echo", text="ab", times=2) == ("abab", False)


async def test_the_schema_of_a_tool_is_that_of_its_function(sdk: ModuleType, server: object) -> None:
    async with sdk.connect(server) as session:
        schema = await session.schema("echo")
    assert {name: field["type"] for name, field in schema["properties"].items()} == {
        "text": "string",
        "times": "integer",
    }
    assert schema["required"] == ["text"]


async def test_a_context_is_passed_through_to_the_tool(sdk: ModuleType, registry: BreakerRegistry) -> None:
    server = sdk.Server("tested")

    async def who(context: object) -> str:
        await anyio.lowlevel.checkpoint()
        return type(context).__name__

    who.__annotations__["context"] = sdk.Context
    server.tool()(explain_rejections(registry.breaker("upstream")(who)))
    async with sdk.connect(server) as session:
        assert await session.call("who") == ("Context", False)
        assert (await session.schema("who"))["properties"] == {}


async def test_a_rejection_in_a_task_group_is_explained(sdk: ModuleType) -> None:
    server = sdk.Server("tested")

    async def reject(seconds: float) -> NoReturn:
        await anyio.lowlevel.checkpoint()
        raise CircuitBreakerOpenError(INTERNAL, seconds)

    @server.tool()
    @explain_rejections
    async def fetch() -> str:
        async with anyio.create_task_group() as group:
            group.start_soon(reject, 4.2)
        return "never"

    async with sdk.connect(server) as session:
        answer = await session.call("fetch")
    assert answer.text.endswith("Retry in 5 s.")


async def test_what_a_client_raised_from_a_rejection_is_explained(sdk: ModuleType) -> None:
    server, error = sdk.Server("tested"), LookupError(INTERNAL)
    error.__cause__ = CircuitBreakerOpenError(INTERNAL, 4.2)
    raiser(server, error)
    async with sdk.connect(server) as session:
        answer = await session.call("fetch")
    assert answer.text.endswith("is temporarily unavailable. Retry in 5 s.")


async def test_what_a_tool_says_itself_about_a_rejection_stays(sdk: ModuleType) -> None:
    server = sdk.Server("tested")

    @explain_rejections
    async def reject() -> None:
        await anyio.lowlevel.checkpoint()
        raise CircuitBreakerOpenError(INTERNAL, 4.2)

    with pytest.raises(Exception, match="temporarily unavailable") as caught:
        await reject()
    error = type(caught.value)("The weather is not available today.")
    error.__cause__ = CircuitBreakerOpenError(INTERNAL, 4.2)
    raiser(server, error)
    async with sdk.connect(server) as session:
        answer = await session.call("fetch")
    assert answer.text.endswith("The weather is not available today.")


async def test_an_error_beside_a_rejection_is_not_explained_away(sdk: ModuleType) -> None:
    server = sdk.Server("tested")
    raiser(server, ExceptionGroup("two", [CircuitBreakerOpenError(INTERNAL, 5.0), LookupError("no such thing")]))
    async with sdk.connect(server) as session:
        answer = await session.call("fetch")
    assert answer.is_error
    assert "temporarily" not in answer.text


async def test_without_a_time_the_model_is_told_to_try_later(sdk: ModuleType) -> None:
    server = sdk.Server("tested")
    raiser(server, CircuitBreakerOpenError(INTERNAL))
    async with sdk.connect(server) as session:
        answer = await session.call("fetch")
    assert answer.text.endswith("is temporarily unavailable. Try again later.")


async def test_a_tool_can_word_its_own_message(sdk: ModuleType) -> None:
    server = sdk.Server("tested")
    raiser(server, RateLimitedError(INTERNAL, 0.0), message="The weather is not available.")
    async with sdk.connect(server) as session:
        answer = await session.call("fetch")
    assert answer.text.endswith("The weather is not available. Retry in 1 s.")


async def test_a_message_of_its_own_stands_alone_where_no_time_is_known(sdk: ModuleType) -> None:
    server = sdk.Server("tested")
    raiser(server, CircuitBreakerOpenError(INTERNAL), message="The weather is not available. Please try again later.")
    async with sdk.connect(server) as session:
        answer = await session.call("fetch")
    assert answer.text.endswith("The weather is not available. Please try again later.")


async def test_the_health_resource_is_the_health_of_the_registry(
    sdk: ModuleType, server: object, registry: BreakerRegistry
) -> None:
    add_health_resource(server, registry, error_messages=True)
    async with sdk.connect(server) as session:
        await open_breaker(session)
        media_type, text = await session.read("health://circuit-breakers")
    assert media_type == "application/json"
    assert json.loads(text)["breakers"] == registry.health()["breakers"]
    assert {"state": "open", "failure_count": 1, "threshold": 1}.items() <= json.loads(text)["breakers"][
        INTERNAL
    ].items()


async def test_the_health_resource_has_no_message_of_an_error(
    sdk: ModuleType, server: object, registry: BreakerRegistry
) -> None:
    with pytest.raises(TypeError, match="error_messages must be True or False, not 1"):
        add_health_resource(server, registry, error_messages=1)  # type: ignore[arg-type]
    add_health_resource(server, registry)
    permit = await registry.breaker("api", failure_threshold=1).acquire()
    permit.fail(RuntimeError("no user Alice"), peer="api.example:443")
    registry.breaker("other").force_open("maintenance")
    async with sdk.connect(server) as session:
        _, text = await session.read(HEALTH_URI)
    causes = {name: entry["cause"] for name, entry in json.loads(text)["breakers"].items() if entry["cause"]}
    assert (causes["api"]["last_error"], causes["api"]["peer"]) == ("RuntimeError (api.example:443)", "api.example:443")
    assert causes["other"]["reason"] == "maintenance"
    assert "Alice" not in text


async def test_a_client_by_stdio_reads_of_rejections_and_of_health(
    sdk: ModuleType, sdk_and_backend: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "tests.integrations.mcp_server", sdk_and_backend[0]]
    monkeypatch.chdir(ROOT)
    with (tmp_path / "stderr").open("w+") as errlog:
        async with sdk.by_stdio(command, errlog) as session:
            await session.call("fetch")
            errlog.seek(0)
            errlog.truncate()
            answer = await session.call("fetch")
            _, health = await session.read(HEALTH_URI)
        errlog.seek(0)
        logged = errlog.read()
    assert answer.is_error
    assert "temporarily unavailable. Retry in " in answer.text
    assert json.loads(health)["breakers"]["upstream"]["state"] == "open"
    assert "Traceback" not in logged


def test_a_call_outside_of_any_server_raises_the_error_of_an_sdk_that_is_installed() -> None:
    script = """
import asyncio, sys
from recloser import RejectedError
from recloser.integrations.mcp import explain_rejections
assert not any(name.partition(".")[0] in ("mcp", "fastmcp") for name in sys.modules)

@explain_rejections
async def fetch():
    raise RejectedError("upstream", 5.0)

try:
    asyncio.run(fetch())
except Exception as error:
    assert isinstance(error.__cause__, RejectedError)
    print(type(error).__name__, "-", error)
"""
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "ToolError - The service behind this tool is temporarily unavailable. Retry in 5 s."


def test_the_decorated_function_is_still_a_coroutine_function(registry: BreakerRegistry) -> None:
    @explain_rejections(message="No weather.")
    @registry.breaker("upstream")
    async def weather(city: str) -> str: ...

    assert inspect.iscoroutinefunction(weather)
    assert list(inspect.signature(weather).parameters) == ["city"]


def test_without_an_sdk_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integration, "find_spec", lambda _: None)
    with pytest.raises(ImportError, match=r"pip install 'recloser\[mcp\]' or pip install 'recloser\[fastmcp\]'"):
        explain_rejections(anyio.sleep)


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda: explain_rejections(print), "coroutine functions, not <built-in function print>"),
        (lambda: explain_rejections(message=7), "message must be a string, not 7"),
        (lambda: add_health_resource(object(), BreakerRegistry()), "server must be an MCPServer .*, not <object"),
        (
            lambda: add_health_resource(next(iter(SDKS.values())).Server("tested"), {}),
            "registry must be a BreakerRegistry",
        ),
    ],
)
def test_what_cannot_work_is_refused(refused: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        refused()
