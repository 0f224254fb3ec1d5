"""The evidence of a synchronous slot is what it returned, and a coroutine is no evidence."""

import asyncio
import functools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from recloser import CircuitBreaker, Event
from recloser.events import CallSucceeded
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, answer, fail, make, make_probing, totals

pytestmark = pytest.mark.anyio

FAILED_RESULT = "failed_result of circuit breaker 'payments' raised; the call counts as failed"


async def is_bad(_: object) -> bool:
    return False


def is_bad_unawaited(what: object) -> object:
    """Looks synchronous, and returns a coroutine."""
    return is_bad(what)


class IsBad:
    async def __call__(self, _: object) -> bool:
        return False


async def decorated(breaker: CircuitBreaker) -> object:
    return await breaker(answer)()


async def called(breaker: CircuitBreaker) -> object:
    return await breaker.call(answer)


async def called_in_a_thread(breaker: CircuitBreaker) -> object:
    return await breaker.call_in_thread(str, "answer")


async def permitted(breaker: CircuitBreaker) -> object:
    (await breaker.acquire()).returned("answer")
    return "answer"


async def overlapped(breaker: CircuitBreaker) -> object:
    """Returns after its generation has ended; then the outcome is late."""

    @breaker
    async def reset_meanwhile() -> str:
        breaker.reset()
        return "answer"

    return await reset_meanwhile()


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.ERROR, "recloser")
    return caplog


def faults(log: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Returns the messages about errors of user code, each with the text of its error."""
    return [(record.getMessage(), str(record.exc_info[1])) for record in log.records if record.exc_info]


def not_awaited(slot: str) -> str:
    return f"{slot} must be synchronous, but returned a coroutine, which is not awaited"


@pytest.mark.parametrize("way", [decorated, called, called_in_a_thread, permitted])
@pytest.mark.parametrize("options", [{}, {"overdue_after_seconds": 1}], ids=["counted", "timed"])
async def test_a_failed_result_that_returns_a_coroutine_counts_as_one_that_raises(
    clock: ManualClock,
    log: pytest.LogCaptureFixture,
    way: Callable[[CircuitBreaker], Awaitable[object]],
    options: dict[str, Any],
) -> None:
    breaker = make(clock, failure_threshold=9, failed_result=is_bad_unawaited, **options)
    assert await way(breaker) == "answer"
    assert totals(breaker) == {"failure": 1}
    assert faults(log) == [(FAILED_RESULT, not_awaited("failed_result"))]


async def test_the_result_of_a_probe_is_judged_alike(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    breaker, permit = await make_probing(clock, failed_result=is_bad_unawaited)
    log.clear()
    permit.returned("answer")
    assert breaker.get_state() == "open"
    assert faults(log) == [(FAILED_RESULT, not_awaited("failed_result"))]


async def test_the_result_of_a_late_call_is_looked_at_too(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    breaker = make(clock, failed_result=is_bad_unawaited)
    assert await overlapped(breaker) == "answer"
    assert totals(breaker) == {"late": 1}
    assert faults(log) == [(FAILED_RESULT, not_awaited("failed_result"))]


@pytest.mark.parametrize("slot", ["expected_exception", "ignored_exception"])
@pytest.mark.parametrize("error", [DependencyError("down"), ExceptionGroup("all", [DependencyError("down")])])
async def test_a_predicate_on_exceptions_that_returns_a_coroutine_counts_as_one_that_raises(
    clock: ManualClock, log: pytest.LogCaptureFixture, slot: str, error: Exception
) -> None:
    breaker = make(clock, failure_threshold=9, **{slot: is_bad_unawaited})
    with pytest.raises(type(error)):
        await breaker.call(fail, error)
    assert totals(breaker) == {"failure": 1}
    fault = "A predicate of circuit breaker 'payments' raised; the call counts as failed"
    assert faults(log) == [(fault, not_awaited(slot))]


async def test_is_failure_raises_what_the_predicate_should_have(clock: ManualClock) -> None:
    breaker = make(clock, expected_exception=is_bad_unawaited)
    with pytest.raises(TypeError, match=not_awaited("expected_exception")):
        breaker.is_failure(DependencyError())


@pytest.mark.parametrize("slot", ["expected_exception", "ignored_exception", "failed_result"])
@pytest.mark.parametrize("given", [is_bad, IsBad(), functools.partial(IsBad())], ids=["function", "object", "partial"])
def test_an_asynchronous_predicate_is_refused_when_it_is_given(clock: ManualClock, slot: str, given: object) -> None:
    with pytest.raises(TypeError, match=f"^{slot} must be a synchronous predicate"):
        make(clock, **{slot: given})
    with pytest.raises(TypeError, match=f"^{slot} must be a synchronous predicate"):
        make(clock).reconfigure(**{slot: given})


# Listeners


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "beside another one"])
@pytest.mark.parametrize("kinds", [CallSucceeded, Event], ids=["of successes", "of all"])
async def test_a_listener_that_returns_a_coroutine_is_logged_and_disturbs_nobody(
    clock: ManualClock, log: pytest.LogCaptureFixture, others: int, kinds: type[Event]
) -> None:
    breaker, heard = make(clock), []
    breaker.subscribe(is_bad_unawaited, kinds)
    for _ in range(others):
        breaker.subscribe(heard.append)
    assert await breaker.call(answer) == "answer"
    assert [type(event) for event in heard] == [CallSucceeded] * others
    fault = "A listener of circuit breaker 'payments' raised on CallSucceeded"
    assert faults(log) == [(fault, not_awaited("listener"))]


async def test_a_listener_of_failures_is_looked_at_too(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    breaker = make(clock, failure_threshold=9)
    breaker.subscribe(is_bad_unawaited)
    with pytest.raises(DependencyError):
        await breaker.call(fail)
    assert faults(log) == [("A listener of circuit breaker 'payments' raised on CallFailed", not_awaited("listener"))]


async def test_a_listener_may_return_anything_else(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    breaker = make(clock)
    breaker.subscribe(repr)
    await breaker.call(answer)
    assert faults(log) == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_listener_may_start_a_task(clock: ManualClock, log: pytest.LogCaptureFixture) -> None:
    breaker, tasks = make(clock), []
    breaker.subscribe(lambda event: tasks.append(asyncio.create_task(is_bad(event))) or tasks[-1])
    await breaker.call(answer)
    assert [await task for task in tasks] == [False]
    assert faults(log) == []


async def notify(event: Event) -> AsyncGenerator[Event]:
    yield event


@pytest.mark.parametrize("given", [notify, functools.partial(IsBad())], ids=["generator function", "partial"])
def test_an_asynchronous_listener_is_refused_when_it_is_given(clock: ManualClock, given: object) -> None:
    with pytest.raises(TypeError, match="^listener must be a synchronous callable"):
        make(clock).subscribe(given)


# Clocks


async def read() -> float:
    return 0.0


def read_unawaited() -> object:
    return read()


@pytest.mark.parametrize("given", [read, functools.partial(IsBad(), 1)], ids=["function", "partial"])
def test_an_asynchronous_clock_is_refused_when_it_is_given(given: object) -> None:
    with pytest.raises(TypeError, match="^clock must be a synchronous function that returns monotonic seconds"):
        CircuitBreaker(clock=given)


def test_a_clock_that_returns_a_coroutine_at_once_is_refused() -> None:
    with pytest.raises(TypeError, match=not_awaited("clock")):
        CircuitBreaker(clock=read_unawaited)


@pytest.mark.parametrize("reading", ["now", True, None])
def test_a_clock_that_returns_no_number_at_once_is_refused(reading: object) -> None:
    with pytest.raises(TypeError, match="the clock must return a finite number of seconds, not "):
        CircuitBreaker(clock=lambda: reading)


async def test_a_clock_that_returns_a_coroutine_later_is_logged_and_its_last_reading_is_used(
    log: pytest.LogCaptureFixture,
) -> None:
    readings = (read() if number else 7 for number in range(9))
    breaker = CircuitBreaker("payments", clock=readings.__next__)
    assert await breaker.call(answer) == "answer"
    assert breaker.snapshot().taken_monotonic == 7
    assert faults(log) == [
        ("The clock of circuit breaker 'payments' failed; its last reading is used", not_awaited("clock"))
    ]
