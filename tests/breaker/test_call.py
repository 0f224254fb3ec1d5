"""`await breaker.call(fn, ...)`: what it accepts, what it refuses, and what it does not change."""

import functools
import inspect
from collections.abc import AsyncIterator, Generator

import anyio
import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState, CountWindow, FailureCount
from recloser.testing import ManualClock
from tests.breaker.kit import (
    RESET_SECONDS,
    DependencyError,
    answer,
    fail,
    in_shadow,
    make,
    make_open,
    make_ready,
    totals,
)

pytestmark = pytest.mark.anyio


class Promise:
    """An awaitable that is not a coroutine."""

    def __init__(self, result: object = None, error: Exception | None = None) -> None:
        self.result = result
        self.error = error

    def __await__(self) -> Generator[None, None, object]:
        yield from anyio.lowlevel.checkpoint().__await__()
        if self.error is not None:
            raise self.error
        return self.result


async def ticks() -> AsyncIterator[int]:
    yield 1


async def test_call_returns_what_a_coroutine_function_returns(clock: ManualClock) -> None:
    assert await make(clock).call(answer) == "answer"


async def test_call_awaits_an_awaitable_that_is_no_coroutine(clock: ManualClock) -> None:
    assert await make(clock).call(Promise, 7) == 7


async def test_an_awaitable_that_raises_is_a_failure(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(DependencyError):
        await breaker.call(Promise, None, DependencyError())
    assert breaker.state is CircuitState.OPEN


async def test_call_returns_a_plain_value_as_it_is(clock: ManualClock) -> None:
    value = object()
    breaker = make(clock)
    assert await breaker.call(lambda: value) is value
    assert totals(breaker) == {"success": 1}


async def test_a_plain_function_that_raises_is_a_failure(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(ZeroDivisionError):
        await breaker.call(lambda: 1 / 0)
    assert breaker.state is CircuitState.OPEN


async def test_call_accepts_a_bound_method_a_partial_and_an_object_with_an_async_call(clock: ManualClock) -> None:
    class Client:
        async def __call__(self, number: int) -> int:
            return number

        async def get(self, number: int) -> int:
            return -number

    breaker, client = make(clock), Client()
    results = [await breaker.call(fn, 1) for fn in (client, client.get, functools.partial(client.get))]
    assert results == [1, -1, -1]


async def test_call_passes_on_keyword_arguments_that_are_named_like_its_own_parameters(clock: ManualClock) -> None:
    async def echo(**kwargs: object) -> dict[str, object]:
        return kwargs

    given = {"self": 1, "fn": 2, "args": 3, "kwargs": 4, "breaker": 5}
    assert await make(clock).call(echo, **given) == given


async def test_call_refuses_an_async_generator_function_and_says_what_to_do(clock: ManualClock) -> None:
    with pytest.raises(TypeError, match=r"ticks.* is an async generator function: decorate it"):
        await make(clock).call(ticks)


async def test_call_refuses_a_decorated_async_generator_function_as_well(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(TypeError, match="async generator function"):
        await breaker.call(breaker(ticks))


async def test_a_refused_async_generator_function_says_nothing_about_the_dependency(clock: ManualClock) -> None:
    breaker = make(clock, expected_exception=BaseException)
    with pytest.raises(TypeError, match="async generator function"):
        await breaker.call(ticks)
    assert totals(breaker) == {"ignored": 1}


async def test_call_refuses_a_coroutine_object_and_says_what_to_do(clock: ManualClock) -> None:
    coroutine = answer()
    with pytest.raises(TypeError, match=r"await breaker.call\(fn, \*args\)"):
        await make(clock).call(coroutine)


async def test_a_refused_coroutine_object_is_closed_so_that_nothing_warns_about_it(clock: ManualClock) -> None:
    coroutine = answer()
    with pytest.raises(TypeError):
        await make(clock).call(coroutine)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


@pytest.mark.parametrize("thing", [None, 42, "charge", Promise(7)], ids=["None", "number", "string", "awaitable"])
async def test_call_refuses_what_cannot_be_called(clock: ManualClock, thing: object) -> None:
    breaker = make(clock)
    with pytest.raises(TypeError, match=r"call\(\) takes a function and its arguments"):
        await breaker.call(thing)
    assert totals(breaker) == {"ignored": 1}


async def test_a_misuse_as_a_probe_gives_its_permit_back(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    with pytest.raises(TypeError):
        await breaker.call(None)
    assert await breaker.call(answer) == "answer"


async def test_a_misuse_in_shadow_mode_neither_fails_nor_succeeds(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)
    with pytest.raises(TypeError, match="takes a function"):
        await breaker.call(None)
    assert (totals(breaker), in_shadow(breaker)) == ({"failure": 1}, (1, 0, 0))


async def test_a_type_error_of_the_function_itself_is_a_failure(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(TypeError, match="unexpected keyword"):
        await breaker.call(lambda: None, unknown=1)
    assert totals(breaker) == {"failure": 1}


async def test_a_rejected_call_does_not_call_the_function(clock: ManualClock) -> None:
    breaker, calls = await make_open(clock), []
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(calls.append, 1)
    assert calls == []


async def test_an_awaitable_result_of_an_awaitable_is_not_awaited(clock: ManualClock) -> None:
    inner = Promise(7)
    assert await make(clock).call(Promise, inner) is inner


async def test_calls_may_be_nested_in_one_breaker(clock: ManualClock) -> None:
    breaker = make(clock)

    async def outer() -> str:
        return await breaker.call(answer)

    assert await breaker.call(outer) == "answer"
    assert totals(breaker) == {"success": 2}


async def test_call_yields_to_the_event_loop_only_where_the_function_does(clock: ManualClock) -> None:
    breaker, order = make(clock), []

    async def other() -> None:
        order.append("other")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        await breaker.call(answer)
        order.append("call")
    assert order == ["call", "other"]


async def test_a_rejection_does_not_yield_to_the_event_loop(clock: ManualClock) -> None:
    breaker, order = await make_open(clock), []

    async def other() -> None:
        order.append("other")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        with pytest.raises(CircuitBreakerOpenError):
            await breaker.call(answer)
        order.append("rejected")
    assert order == ["rejected", "other"]


async def use(breaker: CircuitBreaker, style: str) -> None:
    """Fails under protection in one of the styles."""
    if style == "call":
        await breaker.call(fail)
    elif style == "decorator":
        await breaker(fail)()
    elif style == "guard":
        async with breaker.guard():
            await fail()
    else:
        with await breaker.acquire():
            await fail()


@pytest.mark.parametrize("style", ["call", "decorator", "guard", "acquire"])
async def test_all_styles_of_calling_share_one_count(clock: ManualClock, style: str) -> None:
    breaker = make(clock, failure_threshold=2)
    with pytest.raises(DependencyError):
        await breaker.call(fail)
    with pytest.raises(DependencyError):
        await use(breaker, style)
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize("thing", [None, 42, "charge"])
async def test_what_cannot_be_called_is_no_failure_of_an_outer_breaker(clock: ManualClock, thing: object) -> None:
    outer = make(clock)
    with pytest.raises(TypeError, match="call\\(\\) takes a function and its arguments"):
        await outer.call(make(clock).call, thing)
    assert totals(outer) == {"ignored": 1}


class InterruptingError(DependencyError):
    """An error whose text raises an interrupt."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


@pytest.mark.parametrize("observed", [True, False], ids=["observed", "unobserved"])
@pytest.mark.parametrize("ready", [True, False], ids=["probe", "closed"])
async def test_an_interrupt_in_an_errors_text_leaves_the_breaker_in_order(
    clock: ManualClock, *, ready: bool, observed: bool
) -> None:
    breaker = await make_ready(clock) if ready else make(clock)
    if observed:
        breaker.subscribe(lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        await breaker.call(fail, InterruptingError())
    before = CircuitState.HALF_OPEN if ready else CircuitState.CLOSED
    assert breaker.state is (before if observed else CircuitState.OPEN)  # the event's text is made first
    clock.advance(RESET_SECONDS)
    assert await breaker.call(answer) == "answer"


async def test_a_call_that_is_closed_while_the_errors_text_is_made_changes_nothing(clock: ManualClock) -> None:
    breaker = make(clock, expected_exception=BaseException)

    class Suspended:
        def __await__(self) -> Generator[None]:
            yield

    class CollectingError(Exception):
        def __str__(self) -> str:
            garbage.close()
            return "all gone"

    garbage = breaker.call(Suspended)
    garbage.send(None)
    error = CollectingError()
    with pytest.raises(CollectingError) as caught:
        await breaker.call(fail, error)
    assert caught.value is error
    assert totals(breaker) == {"failure": 1, "ignored": 1}


async def test_an_interrupt_in_an_errors_text_is_logged_and_reported_as_a_transition(clock: ManualClock) -> None:
    breaker, events = make(clock, trip_when=FailureCount(1, window=CountWindow(3))), []
    inside = await breaker.acquire()
    unsubscribe = breaker.subscribe(events.append)
    unsubscribe()
    with pytest.raises(KeyboardInterrupt):
        await breaker.call(fail, InterruptingError())
    assert breaker.state is CircuitState.OPEN
    assert breaker.health()["opened_at"] is not None
    inside.ignore()
