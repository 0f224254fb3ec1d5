"""What a call returns before it has ended: streams are protected to their end, or refused."""

import gc
import inspect
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from types import AsyncGeneratorType
from typing import Any

import anyio
import pytest

from recloser import CircuitBreaker, CircuitState
from recloser._breaker import unfinished
from recloser.errors import MisuseError
from recloser.events import CallSucceeded
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, make, make_ready, totals

pytestmark = pytest.mark.anyio

Call = Callable[..., Awaitable[Any]]


def by_decorator(breaker: CircuitBreaker, fn: Call) -> Call:
    return breaker(fn)


def by_call(breaker: CircuitBreaker, fn: Call) -> Call:
    return lambda *args: breaker.call(fn, *args)


@pytest.fixture(params=[by_decorator, by_call])
def protect(request: pytest.FixtureRequest) -> Callable[[CircuitBreaker, Call], Call]:
    chosen: Callable[[CircuitBreaker, Call], Call] = request.param
    return chosen


async def numbers(last: int, error: Exception | None = None) -> AsyncGenerator[int, None]:
    for number in range(last):
        await anyio.lowlevel.checkpoint()
        yield number
    if error is not None:
        raise error


async def opens(last: int = 3, error: Exception | None = None) -> AsyncGenerator[int, None]:
    """Returns a stream, as the clients of model APIs do."""
    await anyio.lowlevel.checkpoint()
    return numbers(last, error)


WATCHED: list[dict[str, object]] = [
    {},
    {"overdue_after_seconds": 1},
    {"overdue_after_seconds": math.inf},
    {"failed_result": lambda result: result == "bad"},
]


@pytest.mark.parametrize("options", WATCHED, ids=["sampled", "timed", "counted", "looked at"])
async def test_a_returned_stream_is_one_call_until_its_end(
    clock: ManualClock, protect: Callable[[CircuitBreaker, Call], Call], options: dict[str, object]
) -> None:
    breaker = make(clock, **options)
    stream = await protect(breaker, opens)()
    assert (type(stream), stream.__name__, totals(breaker)) == (AsyncGeneratorType, "numbers", {})
    assert [number async for number in stream] == [0, 1, 2]
    assert totals(breaker) == {"success": 1}


async def test_streams_that_die_open_the_breaker(
    clock: ManualClock, protect: Callable[[CircuitBreaker, Call], Call]
) -> None:
    breaker = make(clock, failure_threshold=6)
    for _ in range(6):
        assert breaker.state is CircuitState.CLOSED
        with pytest.raises(DependencyError):
            async for _ in await protect(breaker, opens)(2, DependencyError("broke off")):
                pass
    assert breaker.state is CircuitState.OPEN


async def test_a_function_that_is_no_coroutine_function_may_return_a_stream(clock: ManualClock) -> None:
    breaker = make(clock)
    stream = await breaker.call(lambda: numbers(2, DependencyError("broke off")))
    with pytest.raises(DependencyError):
        await anext(aiter([item async for item in stream]))
    assert totals(breaker) == {"failure": 1}


async def test_a_probe_that_returns_a_stream_that_dies_opens_the_breaker_again(
    clock: ManualClock, protect: Callable[[CircuitBreaker, Call], Call]
) -> None:
    breaker = await make_ready(clock)
    stream = await protect(breaker, opens)(0, DependencyError("broke off"))
    assert breaker.state is CircuitState.HALF_OPEN
    with pytest.raises(DependencyError):
        await anext(stream)
    assert breaker.state is CircuitState.OPEN


async def test_what_is_called_before_the_first_item_is_no_part_of_the_probe(
    clock: ManualClock, protect: Callable[[CircuitBreaker, Call], Call]
) -> None:
    breaker = await make_ready(clock)
    stream = await protect(breaker, opens)()
    assert await breaker.try_acquire() is None
    await stream.aclose()


async def test_a_stream_inside_a_probe_is_part_of_it(
    clock: ManualClock, protect: Callable[[CircuitBreaker, Call], Call]
) -> None:
    breaker = await make_ready(clock)

    async def outer() -> list[int]:
        return [number async for number in await protect(breaker, opens)()]

    assert await breaker.call(outer) == [0, 1, 2]
    assert totals(breaker)["success"] == 1
    assert breaker.state is CircuitState.CLOSED


async def test_a_stream_that_nobody_reads_is_not_counted(
    clock: ManualClock, protect: Callable[[CircuitBreaker, Call], Call]
) -> None:
    breaker = make(clock)
    stream = await protect(breaker, opens)()
    await stream.aclose()
    del stream
    gc.collect()
    assert totals(breaker) == {}


async def test_a_probe_whose_stream_is_closed_unread_gives_its_place_back(
    clock: ManualClock, protect: Callable[[CircuitBreaker, Call], Call]
) -> None:
    breaker = await make_ready(clock)
    stream = await protect(breaker, opens)()
    await stream.aclose()
    del stream
    assert await breaker.call(anyio.lowlevel.checkpoint) is None
    assert breaker.state is CircuitState.CLOSED


async def test_the_time_before_the_first_item_is_asked_for_is_no_part_of_the_call(
    clock: ManualClock, protect: Callable[[CircuitBreaker, Call], Call]
) -> None:
    breaker = make(clock, overdue_after_seconds=1)
    seen: list[float | None] = []
    breaker.subscribe(lambda event: seen.append(event.duration_seconds), CallSucceeded)
    stream = await protect(breaker, opens)()
    clock.advance(9)
    assert [number async for number in stream] == [0, 1, 2]
    assert seen == [0.0]


class SdkStream:
    """A stream as SDKs return it: an iterator of a class of its own that can be closed."""

    closed = 0

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        raise StopAsyncIteration

    async def close(self) -> None:
        type(self).closed += 1


class FinickyStream(SdkStream):
    """A stream that can't be closed."""

    async def aclose(self) -> None:
        raise DependencyError("can't be closed")


class EndlessStream(SdkStream):
    """A stream that has nothing to be closed by."""

    close = None  # type: ignore[assignment]


class Connection(SdkStream):
    """A connection whose messages are iterated, and which does more."""

    async def send(self, message: str) -> None:
        pass


@pytest.mark.parametrize("kind", [SdkStream, FinickyStream, EndlessStream])
async def test_a_stream_of_another_type_is_refused_and_closed(
    clock: ManualClock, protect: Callable[[CircuitBreaker, Call], Call], kind: type[SdkStream]
) -> None:
    async def chat() -> SdkStream:
        return kind()

    breaker = make(clock)
    kind.closed = 0
    for _ in range(2):
        with pytest.raises(MisuseError, match=r"chat at .* returned .*Stream object .*: decorate an async generator"):
            await protect(breaker, chat)()
    assert totals(breaker) == {"ignored": 2}
    assert kind.closed == (2 if kind is SdkStream else 0)


async def test_a_connection_that_can_be_iterated_is_a_result(
    clock: ManualClock, protect: Callable[[CircuitBreaker, Call], Call]
) -> None:
    connection = Connection()

    async def connect() -> Connection:
        return connection

    breaker = make(clock)
    assert await protect(breaker, connect)() is connection
    assert totals(breaker) == {"success": 1}


async def test_a_coroutine_that_nobody_has_awaited_is_refused_and_closed(
    clock: ManualClock, protect: Callable[[CircuitBreaker, Call], Call]
) -> None:
    coroutine = anyio.lowlevel.checkpoint()

    async def forgets_to_await() -> object:
        return coroutine

    breaker = make(clock)
    with pytest.raises(MisuseError, match="returned <coroutine object checkpoint"):
        await protect(breaker, forgets_to_await)()
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
    assert totals(breaker) == {"ignored": 1}


class Unhashable(type):
    """A metaclass whose classes have no hash."""

    def __eq__(cls, other: object) -> bool:
        return cls is other

    __hash__ = None  # type: ignore[assignment]


class Odd(metaclass=Unhashable):
    """A class that is no key of a dictionary."""


async def test_results_of_every_type_are_returned_as_they_are(
    clock: ManualClock, protect: Callable[[CircuitBreaker, Call], Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "MOST_TYPES", 5)
    breaker = make(clock)
    results = [None, Odd(), *(type(f"Made{number}", (), {})() for number in range(20)), 1, "text"]

    async def give(result: object) -> object:
        return result

    given = protect(breaker, give)
    for result in results:
        assert await given(result) is result
        assert await given(result) is result
    assert totals(breaker) == {"success": 2 * len(results)}
    assert len(unfinished.types_seen) <= 5
