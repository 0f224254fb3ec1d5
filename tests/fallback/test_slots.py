"""Fallback and LastKnownGood look at what their predicates, key functions and clocks return."""

import functools

import pytest

from recloser import Constant, Fallback, LastKnownGood
from recloser.testing import ManualClock
from tests.fallback.kit import DownError, Source, protect, rejecting

pytestmark = pytest.mark.anyio


async def ask(_: object = None) -> bool:
    return True


def ask_unawaited(what: object = None) -> object:
    """Looks synchronous, and returns a coroutine."""
    return ask(what)


def not_awaited(slot: str) -> str:
    return f"{slot} must be synchronous, but returned a coroutine, which is not awaited"


def faults(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.getMessage(), str(record.exc_info[1])) for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("error", [DownError(), ExceptionGroup("all", [DownError()])], ids=["one", "group"])
async def test_an_on_that_returns_a_coroutine_ends_the_chain_with_the_own_exception(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    with pytest.raises(type(error)) as caught:
        await protect(Source("primary", error), Constant("default"), on=ask_unawaited)()
    assert caught.value is error
    fault = "The predicate `on` of fallback 'primary' raised; the exception of 'primary' goes to the caller"
    assert faults(caplog) == [(fault, not_awaited("on"))]


async def test_a_key_function_that_returns_a_coroutine_is_logged_and_the_call_is_not_remembered(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    memory = LastKnownGood(60, 10, key=ask_unawaited, clock=clock)
    assert await protect(Source("primary"), memory)(7) == "primary answers"
    assert len(memory) == 0
    assert faults(caplog) == [
        ("Key or clock of 'last_known_good' raised; the call is not remembered", not_awaited("key"))
    ]


async def test_a_clock_that_returns_a_coroutine_is_logged_and_nothing_is_remembered_or_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    memory = LastKnownGood(60, 10, clock=ask_unawaited)
    assert await protect(rejecting(), memory, Constant("default"))() == "default"
    assert faults(caplog) == [
        ("Key or clock of 'last_known_good' raised; the call is not remembered", not_awaited("clock"))
    ]


@pytest.mark.parametrize(
    "given", [ask, Source("asked"), functools.partial(Source("asked"))], ids=lambda given: type(given).__name__
)
def test_an_asynchronous_function_is_refused_when_it_is_given(given: object) -> None:
    with pytest.raises(TypeError, match="on must be .* a synchronous predicate on the exception"):
        Fallback(Constant(0), on=given)
    with pytest.raises(TypeError, match="^key must be a synchronous function of a call's arguments or None"):
        LastKnownGood(60, 10, key=given)
    with pytest.raises(TypeError, match="^clock must be a synchronous function that returns monotonic seconds"):
        LastKnownGood(60, 10, clock=given)
