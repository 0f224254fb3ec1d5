"""Who sees what of an error: without a login the type, the status and the peer; nobody sees a secret."""

import asyncio
import json
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recloser import BreakerRegistry, CircuitBreaker, CircuitBreakerOpenError, Constant, Event, Fallback, Retry
from recloser.dashboard import Dashboard
from recloser.dashboard._sample import read_with_text
from tests.core.test_cleaning import PLANTED, secrets_of_people
from tests.dashboard.kit import ask, connected

TOKEN = "a token of sixteen or more".replace(" ", "-")
MESSAGE = "no user Alice"


class BusyError(Exception):
    """What an API answers when it is overloaded."""

    status_code = 529


async def raising(exc: Exception) -> None:
    raise exc


async def opened(exc: Exception, *, peer: str | None = None) -> BreakerRegistry:
    registry = BreakerRegistry(failure_threshold=1)
    permit = await registry.breaker("api").acquire()
    permit.fail(exc, peer=peer)
    return registry


async def shown(dashboard: Dashboard, **headers: str) -> dict[str, Any]:
    entry: dict[str, Any] = (await ask(dashboard, "/status.json", headers=headers)).json()["breakers"]["api"]
    return entry


@pytest.mark.anyio
async def test_without_a_token_the_status_tells_the_type_the_status_and_the_peer() -> None:
    registry = await opened(BusyError(MESSAGE), peer="api.example:443")
    entry = await shown(Dashboard(registry))
    assert entry["last_error"] == entry["cause"]["last_error"] == "BusyError: 529 (api.example:443)"
    assert "last error BusyError: 529 (api.example:443)" in entry["explanation"]
    registry = await opened(ValueError(MESSAGE))
    entry = await shown(Dashboard(registry))
    assert entry["last_error"] == "ValueError"
    assert MESSAGE not in json.dumps(entry)


@pytest.mark.anyio
async def test_with_the_token_or_if_asked_the_status_tells_all() -> None:
    registry = await opened(ValueError(MESSAGE))
    for dashboard, headers in (
        (Dashboard(registry, control_token=TOKEN), {"authorization": f"Bearer {TOKEN}"}),
        (Dashboard(registry, error_messages=True), {}),
    ):
        entry = await shown(dashboard, **headers)
        assert entry["last_error"] == entry["cause"]["last_error"] == f"ValueError: {MESSAGE}"
        assert entry["explanation"] == registry.breaker("api").explain()
    for authorization in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", ""):
        entry = await shown(Dashboard(registry, control_token=TOKEN), authorization=authorization)
        assert entry["last_error"] == "ValueError"


@pytest.mark.anyio
async def test_what_is_no_exception_is_told_to_everybody() -> None:
    registry = BreakerRegistry(failure_threshold=1)
    permit = await registry.breaker("api").acquire()
    permit.fail()
    assert (await shown(Dashboard(registry)))["last_error"] == "a result that counts as a failure"


@pytest.mark.anyio
@pytest.mark.parametrize("error_messages", [False, True])
async def test_the_events_tell_what_the_status_tells(*, error_messages: bool) -> None:
    registry = BreakerRegistry(failure_threshold=1)
    async with connected(Dashboard(registry, error_messages=error_messages, interval_seconds=0.05)) as client:
        await client.wait_for_event()
        permit = await registry.breaker("api").acquire()
        permit.fail(ValueError(MESSAGE))
        update = await client.wait_for_event()
    expected = f"ValueError: {MESSAGE}" if error_messages else "ValueError"
    assert update.data["transitions"][0]["cause"]["last_error"] == expected
    assert (MESSAGE in json.dumps(update.data)) == error_messages


def test_error_messages_is_a_flag() -> None:
    with pytest.raises(TypeError, match="error_messages must be True or False, not 'no'"):
        Dashboard(BreakerRegistry(), error_messages="no")  # type: ignore[arg-type]


def wrapped(exc: Exception) -> Exception:
    outer = RuntimeError("no luck")
    outer.__cause__ = exc
    return outer


Wrapper = Callable[[Exception], Exception]
KINDS = [RuntimeError, KeyError, OSError, BusyError]
WRAPPERS: list[Wrapper] = [
    lambda exc: exc,
    wrapped,
    lambda exc: ExceptionGroup("unhandled errors in a TaskGroup", [exc, exc]),
]


@given(
    secret=secrets_of_people,
    template=st.sampled_from(PLANTED),
    kind=st.sampled_from(KINDS),
    wrapper=st.sampled_from(WRAPPERS),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_secret_in_a_message_shows_nowhere(
    secret: str, template: str, kind: type[Exception], wrapper: Wrapper, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "recloser")
    written = asyncio.run(whatever_is_written(wrapper(kind(template.format(secret)))))
    assert "api" in written
    assert secret not in written
    assert secret not in caplog.text


async def whatever_is_written(exc: Exception) -> str:
    """Opens a breaker by an exception; returns what the library says about it, wherever it does."""
    events: list[Event] = []
    registry = BreakerRegistry(failure_threshold=1)
    breaker = registry.breaker("api")
    breaker.subscribe(events.append)
    with pytest.raises(type(exc)):
        await Retry(2, 0.0, budget=None).call(raising, exc)
    await Fallback(Constant(0), on=Exception)(raising)(exc)
    with pytest.raises(type(exc)):
        await breaker.call(raising, exc)
    with pytest.raises(CircuitBreakerOpenError) as rejection:
        await breaker.call(raising, exc)
    dashboards = [Dashboard(registry), Dashboard(registry, error_messages=True)]
    return "\n".join(
        [
            repr(breaker),
            breaker.explain(),
            repr(breaker.snapshot()),
            json.dumps(registry.health()),
            *map(repr, events),
            *map(str, events),
            str(rejection.value),
            repr(pickle.loads(pickle.dumps(rejection.value)).args),  # noqa: S301 - own bytes
            *[json.dumps(await shown(dashboard)) for dashboard in dashboards],
        ]
    )


class Reopening:
    """A breaker that another thread resets, and that opens again, between two readings."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        self._explanations = [self.reopened, breaker.explain]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a breaker has
        return getattr(self._breaker, name)

    def explain(self) -> str:
        return self._explanations.pop(0)()

    def reopened(self) -> str:
        self._breaker.reset()
        return self._breaker.explain()


@pytest.mark.anyio
async def test_a_sentence_about_another_state_is_read_again() -> None:
    breaker = (await opened(ValueError(MESSAGE))).breaker("api")
    entry = read_with_text(Reopening(breaker))  # type: ignore[arg-type]
    assert MESSAGE not in entry["explanation"]
    assert "closed" in entry["explanation"]
