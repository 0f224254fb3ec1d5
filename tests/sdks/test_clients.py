"""The SDKs of model APIs and of other services over the transports: attempts, waits, errors, and what is counted."""

import gc
import importlib
import json
import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
import pytest

from recloser import CircuitBreaker, rejection_of
from recloser.integrations.http_errors import is_failure
from tests.integrations.kit import LEFT_EARLY, totals
from tests.integrations.upstream import Script, hang, reset, send
from tests.sdks.api import END, document, events, serving
from tests.sdks.clients import SDKS, Sdk

pytestmark = [
    pytest.mark.anyio,
    LEFT_EARLY,
    pytest.mark.filterwarnings("default"),  # of the SDKs
]

MODULES = {"google-genai": "google.genai", "qdrant-client": "qdrant_client"}
TEST_DEPENDENCIES = ON_TRIO = ("openai", "anthropic")
WAYS = (None, "answer_503", "raise_transport_error")


class Run(NamedTuple):
    """What came of a call: the error if any, the requests that were sent, the seconds waited, the totals."""

    error: BaseException | None
    got: int
    requests: int
    waited: float
    totals: dict[str, int]


def is_installed(name: str) -> bool:
    try:
        return find_spec(MODULES.get(name, name)) is not None
    except ModuleNotFoundError:  # the package around it
        return False


INSTALLED = [name for name in SDKS if is_installed(name)]


def installed(*names: str) -> pytest.MarkDecorator:
    """Runs a test with those of the SDKs that are installed."""
    return pytest.mark.parametrize("sdk", [name for name in INSTALLED if name in names], indirect=True)


@pytest.fixture(params=INSTALLED)
def sdk(request: pytest.FixtureRequest, anyio_backend_name: str) -> Sdk:
    if anyio_backend_name == "trio" and request.param not in ON_TRIO:
        pytest.skip(f"{request.param} needs asyncio")
    return SDKS[str(request.param)]


@pytest.mark.parametrize("name", SDKS)
def test_an_sdk_is_installed(name: str) -> None:
    if name not in INSTALLED:
        reason = f"{name} is not installed; nox -s sdks tests it"
        is_needed = os.environ.get("CI") == "true" and name in TEST_DEPENDENCIES
        pytest.fail(reason) if is_needed else pytest.skip(reason)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Returns the seconds that the SDKs wait between attempts; the tests don't wait that long."""
    seconds: list[float] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(anyio, "sleep", sleep)
    return seconds


@pytest.fixture
def run(sdk: Sdk, waits: list[float]) -> Callable[..., Any]:
    """Returns a function that makes a call of the SDK against a script."""

    async def call(
        script: Script, *, is_stream: bool = False, breaker: CircuitBreaker | None = None, **options: object
    ) -> Run:
        breaker = breaker or CircuitBreaker("api", failure_threshold=99)
        transport = importlib.import_module(f"recloser.integrations.{sdk.web}").BreakerTransport
        error: Exception | None = None
        got = 0
        async with serving() as api:
            api.script = script
            async with sdk.opened(api.url, transport(breaker=breaker, **options)) as calls:
                try:
                    if is_stream:
                        async for _ in calls.stream():
                            got += 1
                    else:
                        await calls.ask()
                except Exception as exc:  # noqa: BLE001 - looked at by the test
                    error = exc
            gc.collect()
            await anyio.lowlevel.checkpoint()
            return Run(error, got, api.hits, sum(waits), totals(breaker))

    return call


def refused(sdk: Sdk, status: str, *fields: str) -> Script:
    text = '{"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}'
    fields = (*fields, "x-elastic-product: Elasticsearch") if sdk.package == "elasticsearch" else fields
    return send(document(status, text, *fields))


def attempts_of(sdk: Sdk) -> int:
    """Returns how often an SDK tries by default, if it retries what happened."""
    return {"openai": 3, "anthropic": 3, "elasticsearch": 4}.get(sdk.package, 1)


def waits_between(sdk: Sdk) -> bool:
    return sdk.package in {"openai", "anthropic"}


async def test_a_good_answer_is_a_success(sdk: Sdk, run: Callable[..., Any]) -> None:
    assert await run(send(sdk.good())) == Run(None, 0, 1, 0, {"success": 1})


@pytest.mark.parametrize("status", ["503 Service Unavailable", "529 Overloaded"])
async def test_each_attempt_that_fails_by_its_status_is_a_failure(
    sdk: Sdk, run: Callable[..., Any], status: str
) -> None:
    seen = await run(refused(sdk, status))
    attempts = 1 if (sdk.package, status[:3]) == ("elasticsearch", "529") else attempts_of(sdk)
    assert (seen.requests, seen.totals) == (attempts, {"failure": attempts})
    assert (seen.waited >= 1) is waits_between(sdk)
    assert is_failure(seen.error)


async def test_each_attempt_that_is_reset_is_a_failure(sdk: Sdk, run: Callable[..., Any]) -> None:
    seen = await run(reset())
    assert (seen.requests, seen.totals) == (attempts_of(sdk), {"failure": attempts_of(sdk)})
    assert is_failure(seen.error)


async def test_a_wait_that_a_429_asks_for_is_waited_by_those_that_retry(sdk: Sdk, run: Callable[..., Any]) -> None:
    seen = await run(refused(sdk, "429 Too Many Requests", "retry-after: 3"))
    assert (seen.requests, seen.totals) == (attempts_of(sdk), {"failure": attempts_of(sdk)})
    assert seen.waited == (6 if waits_between(sdk) else 0)
    assert is_failure(seen.error)


async def test_an_answer_that_does_not_come_is_a_failure(sdk: Sdk, run: Callable[..., Any]) -> None:
    seen = await run(hang())
    attempts = 1 if sdk.package == "elasticsearch" else attempts_of(sdk)
    assert (seen.requests, seen.totals) == (attempts, {"failure": attempts})
    assert is_failure(seen.error)


with_streams = installed(*(name for name, sdk in SDKS.items() if sdk.chunk))


@with_streams
async def test_a_good_stream_is_a_success(sdk: Sdk, run: Callable[..., Any]) -> None:
    seen = await run(send(sdk.good_stream()), is_stream=True)
    assert (seen.error, seen.requests, seen.totals) == (None, 1, {"success": 1})
    assert seen.got >= 2


@with_streams
@pytest.mark.parametrize("end", [send, reset, hang], ids=["breaks off", "is reset", "stalls"])
async def test_a_stream_that_does_not_end_well_is_one_failure_and_not_retried(
    sdk: Sdk, run: Callable[..., Any], end: Callable[[bytes], Script]
) -> None:
    seen = await run(end(events(sdk.chunk)), is_stream=True)
    assert (seen.got, seen.requests, seen.waited, seen.totals) == (1, 1, 0, {"failure": 1})
    assert is_failure(seen.error)


@pytest.mark.parametrize(
    ("kind", "expected"), [("overloaded_error", True), ("invalid_request_error", False)], ids=["failure", "answer"]
)
@installed("openai", "anthropic")  # the others don't tell the type of the error
async def test_an_error_event_in_a_good_stream_is_judged_by_the_predicate(
    sdk: Sdk, run: Callable[..., Any], kind: str, *, expected: bool
) -> None:
    error = f'event: error\ndata: {{"type": "error", "error": {{"type": "{kind}", "message": "no"}}}}\n\n'
    seen = await run(send(events(sdk.chunk, error) + END), is_stream=True)
    assert (seen.got, seen.totals) == (1, {"success": 1})
    assert is_failure(seen.error) is expected


LOST = {
    ("litellm", None),
    ("litellm", "answer_503"),
    ("litellm", "raise_transport_error"),
    ("elasticsearch", "answer_503"),
    ("qdrant-client", "answer_503"),
}
"""What SDKs raise without a trace of the rejection."""


@pytest.mark.parametrize("way", WAYS)
async def test_a_rejection_reaches_the_caller(sdk: Sdk, run: Callable[..., Any], way: str | None) -> None:
    module: Any = importlib.import_module(f"recloser.integrations.{sdk.web}")
    breaker = CircuitBreaker("api")
    breaker.force_open("maintenance", for_seconds=60)
    seen = await run(send(sdk.good()), breaker=breaker, on_rejection=getattr(module, way) if way else None)
    attempts = {
        ("openai", None): 1 if sdk.web == "httpx2" else 3,
        ("openai", "answer_503"): 1,
        ("anthropic", "answer_503"): 1,
    }.get((sdk.package, way), attempts_of(sdk))
    assert (seen.requests, seen.totals) == (0, {"rejected": attempts})
    assert (seen.waited >= 1) is (attempts == 3)
    if (sdk.package, way) not in LOST:
        assert rejection_of(seen.error).name == "api"
    if way == "answer_503":
        assert {getattr(seen.error, name, None) for name in ("status_code", "code", "status")} | {
            getattr(getattr(seen.error, "response", None), "status_code", None)
        } >= {503}


@installed("openai", "anthropic", "litellm", "huggingface_hub")
async def test_a_key_can_be_the_model_of_a_request(sdk: Sdk) -> None:
    module: Any = importlib.import_module(f"recloser.integrations.{sdk.web}")
    transport = module.BreakerTransport(key=lambda request: json.loads(request.content)["model"])
    async with serving() as api:
        api.script = send(sdk.good())
        async with sdk.opened(api.url, transport) as calls:
            await calls.ask()
    assert [breaker.name for breaker in transport.registry] == ["small"]
