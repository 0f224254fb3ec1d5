"""`@breaker` on async generator functions: one permit from the first step to the end."""

import asyncio
import gc
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import anyio
import pytest
import trio

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState, CountWindow, SlowCallRate
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, answer, drop, hang, in_shadow, make, make_open, make_ready, totals

pytestmark = pytest.mark.anyio


async def numbers(last: int = 3, error: BaseException | None = None) -> AsyncIterator[int]:
    for number in range(last):
        yield number
    if error is not None:
        raise error


async def hanging(items: int) -> AsyncIterator[int]:
    for number in range(items):
        yield number
    await anyio.sleep_forever()


async def first(stream: AsyncIterator[int]) -> int:
    return await anext(stream)


async def conversation(log: list[object]) -> AsyncGenerator[str, str]:
    """Logs what it is sent, what is thrown into it, and that it is closed."""
    answer = "start"
    try:
        while True:
            try:
                answer = yield f"heard {answer}"
            except DependencyError as error:
                log.append(error)
                answer = "error"
    finally:
        await anyio.lowlevel.checkpoint()
        log.append("closed")


async def test_a_generator_that_ends_is_one_success(clock: ManualClock) -> None:
    breaker = make(clock)
    assert [number async for number in breaker(numbers)()] == [0, 1, 2]
    assert totals(breaker) == {"success": 1}


async def test_a_generator_that_ends_without_an_item_is_a_success(clock: ManualClock) -> None:
    breaker = make(clock)
    assert [number async for number in breaker(numbers)(0)] == []
    assert totals(breaker) == {"success": 1}


async def test_an_error_midway_is_a_failure_and_comes_through(clock: ManualClock) -> None:
    breaker, error = make(clock), DependencyError()
    stream = breaker(numbers)(2, error)
    assert [await anext(stream), await anext(stream)] == [0, 1]
    with pytest.raises(DependencyError) as caught:
        await anext(stream)
    assert caught.value is error
    assert breaker.state is CircuitState.OPEN


async def test_an_error_before_the_first_item_is_a_failure(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(DependencyError):
        await anext(breaker(numbers)(0, DependencyError()))
    assert totals(breaker) == {"failure": 1}


async def test_an_ignored_error_midway_is_ignored(clock: ManualClock) -> None:
    breaker = make(clock, ignored_exception=DependencyError)
    stream = breaker(numbers)(1, DependencyError())
    assert await anext(stream) == 0
    with pytest.raises(DependencyError):
        await anext(stream)
    assert totals(breaker) == {"ignored": 1}


async def test_calling_the_function_alone_acquires_no_permit(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    stream = breaker(numbers)()
    assert breaker.state is CircuitState.OPEN
    await stream.aclose()
    assert breaker.state is CircuitState.OPEN


async def test_the_first_step_is_what_an_open_breaker_rejects(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    stream = breaker(numbers)()
    with pytest.raises(CircuitBreakerOpenError):
        await anext(stream)


async def test_closed_early_after_an_item_is_a_success(clock: ManualClock) -> None:
    breaker = make(clock)
    async with aclosing(breaker(numbers)()) as stream:
        await anext(stream)
    assert totals(breaker) == {"success": 1}


async def test_breaking_out_of_the_loop_is_a_success_when_the_generator_is_closed(clock: ManualClock) -> None:
    breaker = make(clock)
    async with aclosing(breaker(hanging)(1)) as stream:
        async for _ in stream:
            break
    assert totals(breaker) == {"success": 1}


async def test_a_stream_closed_before_the_first_item_is_ignored(clock: ManualClock) -> None:
    breaker = make(clock)
    stream = breaker(hanging)(0)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anext(stream)
    assert totals(breaker) == {"cancelled": 1}


async def test_a_generator_function_that_raises_generator_exit_before_the_first_item_is_ignored(
    clock: ManualClock,
) -> None:
    breaker = make(clock)
    with pytest.raises(GeneratorExit):
        await anext(breaker(numbers)(0, GeneratorExit()))
    assert totals(breaker) == {"ignored": 1}


async def overdue(clock: ManualClock, items: int) -> AsyncIterator[int]:
    """Yields some items, and hangs after a second."""
    for item in range(items):
        yield item
    await hang(clock)


async def cut_off(stream: AsyncIterator[int], scope: anyio.CancelScope) -> None:
    """Waits for the next item in a scope that is cancelled, or whose deadline has passed."""
    with scope:
        await anext(stream)
        pytest.fail("it was not cancelled")


def cancelled() -> anyio.CancelScope:
    scope = anyio.CancelScope()
    scope.cancel()
    return scope


async def test_cancelled_before_the_first_item_is_ignored(clock: ManualClock) -> None:
    breaker = make(clock)
    await cut_off(breaker(hanging)(0), cancelled())
    assert totals(breaker) == {"cancelled": 1}


async def test_a_deadline_before_the_first_item_is_a_failure(clock: ManualClock) -> None:
    breaker = make(clock)
    await cut_off(breaker(overdue)(clock, 0), anyio.move_on_after(0))
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize("scope", [cancelled, lambda: anyio.move_on_after(0)], ids=["cancelled", "deadline"])
async def test_cut_off_after_an_item_is_ignored_if_the_next_one_was_not_overdue(
    clock: ManualClock, scope: Callable[[], anyio.CancelScope]
) -> None:
    breaker = make(clock)
    stream = breaker(hanging)(1)
    await anext(stream)
    await cut_off(stream, scope())
    assert totals(breaker) == {"cancelled": 1}


@pytest.mark.parametrize(("seconds", "total"), [(4, {"cancelled": 1}), (5, {"failure": 1, "overdue": 1})])
async def test_cut_off_after_an_item_is_a_failure_if_the_next_one_was_overdue(
    clock: ManualClock, seconds: float, total: dict[str, int]
) -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        clock.advance(seconds)
        await anyio.sleep_forever()

    breaker = make(clock, overdue_after_seconds=5)
    stream = breaker(source)()
    await anext(stream)
    clock.advance(100)
    await cut_off(stream, cancelled())
    assert totals(breaker) == total


@pytest.mark.parametrize("limit", [0, 5])
async def test_closed_early_after_an_item_is_a_success_however_long_it_took(clock: ManualClock, limit: float) -> None:
    breaker = make(clock, overdue_after_seconds=limit)
    stream = breaker(numbers)()
    await anext(stream)
    clock.advance(100)
    await stream.aclose()
    assert totals(breaker) == {"success": 1}


@pytest.mark.parametrize("close_early", [True, False], ids=["closed early", "read to its end"])
async def test_the_readers_time_does_not_make_a_stream_slow(clock: ManualClock, *, close_early: bool) -> None:
    rule = SlowCallRate(1.0, slow_call_seconds=10, window=CountWindow(2), minimum_calls=1)
    breaker = make(clock, trip_when=rule)
    async with aclosing(breaker(numbers)()) as stream:
        async for _ in stream:
            clock.advance(60)
            if close_early:
                break
    assert breaker.state is CircuitState.CLOSED
    assert breaker.health()["slow_call_rate"] == 0


async def test_the_streams_own_time_makes_it_slow(clock: ManualClock) -> None:
    async def source() -> AsyncIterator[int]:
        for number in range(3):
            clock.advance(4)
            yield number

    rule = SlowCallRate(1.0, slow_call_seconds=10, window=CountWindow(2), minimum_calls=1)
    breaker = make(clock, trip_when=rule)
    assert [number async for number in breaker(source)()] == [0, 1, 2]
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize("where", ["pause", "go on"])
async def test_an_interrupt_while_the_readers_time_is_taken_out_ends_the_functions_own_generator(where: str) -> None:
    ended, readings = [], [0.0, 0.0, *([] if where == "pause" else [0.0])]

    def clock() -> float:
        if not readings:
            raise KeyboardInterrupt
        return readings.pop()

    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            ended.append(True)

    breaker = CircuitBreaker(clock=clock, trip_when=SlowCallRate(0.5, slow_call_seconds=10))
    stream = breaker(source)()
    with pytest.raises(KeyboardInterrupt):
        [number async for number in stream]
    assert ended == [True]


async def test_a_cancelled_generator_has_ended(clock: ManualClock) -> None:
    stream = make(clock)(hanging)(1)
    await anext(stream)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_what_is_sent_reaches_the_function(clock: ManualClock) -> None:
    async with aclosing(make(clock)(conversation)([])) as stream:
        heard = [await stream.asend(None), await stream.asend("one"), await stream.asend("two")]
    assert heard == ["heard start", "heard one", "heard two"]


async def test_what_is_thrown_reaches_the_function_and_may_be_caught_there(clock: ManualClock) -> None:
    breaker, log, error = make(clock), [], DependencyError()
    async with aclosing(breaker(conversation)(log)) as stream:
        await anext(stream)
        assert await stream.athrow(error) == "heard error"
    assert log == [error, "closed"]
    assert totals(breaker) == {"success": 1}


async def test_what_is_thrown_and_not_caught_comes_back_as_the_same_object(clock: ManualClock) -> None:
    error = LookupError()
    stream = make(clock)(conversation)([])
    await anext(stream)
    with pytest.raises(LookupError) as caught:
        await stream.athrow(error)
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (None, None)


async def test_a_function_that_ends_on_what_is_thrown_is_a_success(clock: ManualClock) -> None:
    async def patient() -> AsyncGenerator[int, None]:
        try:
            yield 1
        except DependencyError:
            return

    breaker = make(clock)
    stream = breaker(patient)()
    await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await stream.athrow(DependencyError())
    assert totals(breaker) == {"success": 1}


async def test_closing_runs_the_functions_own_cleanup(clock: ManualClock) -> None:
    log = []
    stream = make(clock)(conversation)(log)
    await anext(stream)
    await stream.aclose()
    assert log == ["closed"]


async def test_closing_twice_settles_once(clock: ManualClock) -> None:
    breaker = make(clock)
    stream = breaker(numbers)()
    await anext(stream)
    await stream.aclose()
    await stream.aclose()
    assert totals(breaker) == {"success": 1}


async def test_an_error_while_closing_is_a_failure_and_comes_through(clock: ManualClock) -> None:
    async def clumsy() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            raise DependencyError

    breaker = make(clock)
    stream = breaker(clumsy)()
    await anext(stream)
    with pytest.raises(DependencyError):
        await stream.aclose()
    assert breaker.state is CircuitState.OPEN


async def test_a_function_that_goes_on_after_it_was_closed_is_a_failure_like_without_a_breaker(
    clock: ManualClock,
) -> None:
    async def stubborn() -> AsyncGenerator[int, None]:
        while True:
            try:
                yield 1
            except GeneratorExit:
                yield 2

    breaker = make(clock)
    stream = breaker(stubborn)()
    await anext(stream)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        await stream.aclose()
    assert totals(breaker) == {"failure": 1}


async def test_a_generator_that_is_a_probe_holds_its_permit_until_its_first_item(clock: ManualClock) -> None:
    breaker = await make_ready(clock)

    async def source() -> AsyncIterator[int]:
        assert breaker.health()["probes_in_flight"] == 1
        yield 0
        yield 1

    async with aclosing(breaker(source)()) as stream:
        await anext(stream)
        assert breaker.state is CircuitState.CLOSED
        assert await breaker.call(answer) == "answer"
        assert [number async for number in stream] == [1]
    assert totals(breaker) == {"success": 3, "failure": 1, "probe": 1}


async def test_a_probe_stream_that_breaks_off_after_an_item_is_one_failure_of_the_closed_breaker(
    clock: ManualClock,
) -> None:
    breaker = await make_ready(clock)

    async def source() -> AsyncIterator[int]:
        yield 0
        raise DependencyError

    stream = breaker(source)()
    await anext(stream)
    assert breaker.state is CircuitState.CLOSED
    with pytest.raises(DependencyError):
        await anext(stream)
    assert breaker.state is CircuitState.OPEN
    assert totals(breaker) == {"success": 1, "failure": 2, "probe": 1}


async def test_a_probe_stream_that_has_delivered_nothing_is_a_failure_when_its_time_is_over(
    clock: ManualClock,
) -> None:
    breaker = await make_ready(clock)
    stream = breaker(hanging)(0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first, stream)
        await anyio.wait_all_tasks_blocked()
        clock.advance(60)
        assert await breaker.try_acquire() is None
        assert breaker.state is CircuitState.OPEN
        tasks.cancel_scope.cancel()


async def test_the_end_of_a_stream_from_an_earlier_generation_is_late(clock: ManualClock) -> None:
    breaker = make(clock)
    stream = breaker(numbers)()
    await anext(stream)
    breaker.reset()
    assert [number async for number in stream] == [1, 2]
    assert totals(breaker) == {"late": 1}


async def test_two_streams_of_one_function_are_two_calls(clock: ManualClock) -> None:
    breaker = make(clock)
    count = breaker(numbers)
    async with aclosing(count()) as one, aclosing(count()) as other:
        await anext(one)
        await anext(other)
    assert totals(breaker) == {"success": 2}


def test_an_unfinished_generator_that_is_garbage_is_closed_by_asyncio_and_is_a_success(clock: ManualClock) -> None:
    breaker = make(clock)

    async def main() -> None:
        stream = breaker(numbers)()
        await anext(stream)
        del stream
        gc.collect()
        await anyio.wait_all_tasks_blocked()
        assert totals(breaker) == {"success": 1}

    asyncio.run(main())


def test_an_unfinished_generator_that_is_garbage_is_closed_by_trio_and_is_a_success(clock: ManualClock) -> None:
    breaker = make(clock)

    async def main() -> None:
        stream = breaker(numbers)()
        await anext(stream)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del stream
            gc.collect()
            await trio.testing.wait_all_tasks_blocked()

    trio.run(main)
    assert totals(breaker) == {"success": 1}


def test_an_unfinished_generator_that_is_garbage_after_its_loop_is_counted_as_leaked(clock: ManualClock) -> None:
    breaker = make(clock)
    streams = []

    async def main() -> None:
        stream = breaker(numbers)()
        await anext(stream)
        streams.append(stream)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    with pytest.warns(ResourceWarning, match="payments"):
        drop(streams)
    assert totals(breaker) == {"leaked": 1}


async def test_a_probe_generator_whose_task_is_cancelled_gives_its_permit_back(clock: ManualClock) -> None:
    breaker = await make_ready(clock)

    async def consume() -> None:
        async for _ in breaker(hanging)(0):
            pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(consume)
        await anyio.wait_all_tasks_blocked()
        assert breaker.health()["probes_in_flight"] == 1
        tasks.cancel_scope.cancel()
    assert breaker.health()["probes_in_flight"] == 0


async def test_a_method_that_is_an_async_generator_function_gets_its_self(clock: ManualClock) -> None:
    breaker = make(clock)

    class Client:
        @breaker
        async def rows(self) -> AsyncIterator[object]:
            yield self

    client = Client()
    assert [row async for row in client.rows()] == [client]


async def test_shadow_mode_admits_a_stream_that_would_be_rejected(clock: ManualClock) -> None:
    breaker: CircuitBreaker = await make_open(clock, shadow=True)
    assert [number async for number in breaker(numbers)()] == [0, 1, 2]
    assert (totals(breaker), in_shadow(breaker)) == ({"failure": 1}, (1, 0, 1))
