"""`Bulkhead`: so many calls at once, so many waiting, the rest rejected."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import anyio
import pytest
import trio

from recloser import Bulkhead, CircuitState, RejectedError
from recloser.errors import BulkheadFullError
from recloser.testing.explorer import Schedule, explore
from tests.policies.kit import Dependency, DownError, breaker, new_event_loop

pytestmark = pytest.mark.anyio


async def hold(bulkhead: Bulkhead, tasks: anyio.abc.TaskGroup, *seconds: float) -> None:
    """Fills places, and places in the queue, for so many seconds each."""
    for each in seconds:
        tasks.start_soon(bulkhead.call, anyio.sleep, each)
        await anyio.wait_all_tasks_blocked()


async def test_calls_above_the_limit_are_rejected_at_once() -> None:
    bulkhead = Bulkhead(2, name="pool")
    async with anyio.create_task_group() as tasks:
        await hold(bulkhead, tasks, 5, 5)
        started = anyio.current_time()
        with pytest.raises(BulkheadFullError) as caught:
            await bulkhead.call(anyio.sleep, 0)
        assert anyio.current_time() == started
        assert (bulkhead.borrowed, bulkhead.waiting) == (2, 0)
    error = caught.value
    assert (error.name, error.retry_after, error.max_concurrent, error.max_queue) == ("pool", None, 2, 0)
    assert (error.waited_seconds, error.__context__) == (None, None)


async def test_a_place_is_free_again_when_a_call_ends_in_whatever_way() -> None:
    bulkhead = Bulkhead(1)
    with pytest.raises(DownError):
        await bulkhead.call(Dependency(DownError()).ask)
    with anyio.move_on_after(1):
        await bulkhead.call(anyio.sleep, 60)
    with pytest.raises(KeyboardInterrupt):
        await bulkhead.call(Dependency(KeyboardInterrupt()).ask)
    assert (bulkhead.borrowed, await bulkhead.call(Dependency().ask)) == (0, "answer")


async def test_who_waits_is_served_in_the_order_of_arrival() -> None:
    bulkhead, served = Bulkhead(1, 3), []

    async def serve(number: int) -> None:
        served.append(number)
        await anyio.sleep(1)

    async with anyio.create_task_group() as tasks:
        await hold(bulkhead, tasks, 1)
        for number in range(3):
            tasks.start_soon(bulkhead.call, serve, number)
            await anyio.wait_all_tasks_blocked()
        assert (bulkhead.borrowed, bulkhead.waiting) == (1, 3)
        with pytest.raises(BulkheadFullError, match="at once, 3 waiting"):
            await bulkhead.call(serve, 9)
    assert served == [0, 1, 2]


async def test_a_wait_that_takes_too_long_is_a_rejection() -> None:
    bulkhead = Bulkhead(1, 1, 2.5, name="pool")
    async with anyio.create_task_group() as tasks:
        await hold(bulkhead, tasks, 60)
        started = anyio.current_time()
        with pytest.raises(BulkheadFullError, match="'pool' is full: no place came free within 2.5 s") as caught:
            await bulkhead.call(anyio.sleep, 0)
        assert anyio.current_time() - started == pytest.approx(2.5)
        assert (caught.value.waited_seconds, bulkhead.waiting) == (2.5, 0)
        tasks.cancel_scope.cancel()


async def test_a_waiter_that_is_cancelled_leaves_the_queue() -> None:
    bulkhead = Bulkhead(1, 1)
    async with anyio.create_task_group() as tasks:
        await hold(bulkhead, tasks, 60)
        with anyio.move_on_after(1):
            await bulkhead.call(anyio.sleep, 0)
        assert (bulkhead.borrowed, bulkhead.waiting) == (1, 0)
        tasks.cancel_scope.cancel()


async def test_a_call_inside_a_call_of_the_same_task_takes_a_place_of_its_own() -> None:
    bulkhead = Bulkhead(2)
    assert await bulkhead.call(bulkhead.call, Dependency().ask) == "answer"
    with pytest.raises(BulkheadFullError):
        await bulkhead.call(bulkhead.call, bulkhead.call, Dependency().ask)
    assert bulkhead.borrowed == 0


async def test_a_hundred_rejections_leave_a_breaker_around_it_closed() -> None:
    circuit, bulkhead = breaker(), Bulkhead(1)
    async with anyio.create_task_group() as tasks:
        await hold(bulkhead, tasks, 5)
        for _ in range(100):
            with pytest.raises(BulkheadFullError):
                await circuit.call(bulkhead.call, anyio.sleep, 0)
    assert (circuit.state, circuit.failure_count) == (CircuitState.CLOSED, 0)


async def test_an_async_generator_holds_its_place_until_it_ends() -> None:
    bulkhead = Bulkhead(1)

    @bulkhead
    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    stream = numbers()
    assert bulkhead.borrowed == 0
    assert await anext(stream) == 1
    with pytest.raises(BulkheadFullError):
        await anext(numbers())
    await stream.aclose()
    assert [number async for number in numbers()] == [1, 2]
    assert bulkhead.borrowed == 0


async def test_an_async_generator_waits_in_the_queue_too() -> None:
    bulkhead = Bulkhead(1, 1)

    @bulkhead
    async def numbers() -> AsyncIterator[int]:
        yield 1

    async with anyio.create_task_group() as tasks:
        await hold(bulkhead, tasks, 5)
        assert [number async for number in numbers()] == [1]


def test_one_event_loop_after_another_asyncio_and_trio() -> None:
    bulkhead = Bulkhead(1, 1)

    async def use() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(bulkhead.call, anyio.sleep, 0)

    for backend in ("asyncio", "trio", "asyncio", "asyncio", "trio", "trio"):
        anyio.run(use, backend=backend)
    assert (bulkhead.borrowed, bulkhead.waiting) == (0, 0)


def _run_with_trio(main: Callable) -> None:
    trio.run(main)


@pytest.mark.parametrize("run", [asyncio.run, _run_with_trio])
def test_places_and_waiters_of_an_event_loop_that_died_do_not_stick(run: Callable) -> None:
    bulkhead = Bulkhead(1, 1)
    loop = new_event_loop()
    tasks = [loop.create_task(bulkhead.call(asyncio.sleep, 60)) for _ in range(2)]
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))

    async def counts() -> tuple[int, int]:
        return bulkhead.borrowed, bulkhead.waiting

    assert loop.run_until_complete(counts()) == (1, 1)
    loop.close()

    async def use() -> None:
        assert await bulkhead.call(Dependency().ask) == "answer"

    if run is asyncio.run:
        asyncio.run(use())
    else:
        run(use)
    for task in tasks:
        with suppress(RuntimeError):  # anyio's scopes have nothing to say without an event loop
            task.get_coro().close()
    assert bulkhead.borrowed == 0


def test_places_of_an_event_loop_that_died_are_free_again_before_the_others_are_taken() -> None:
    bulkhead = Bulkhead(2)
    loop = new_event_loop()
    task = loop.create_task(bulkhead.call(asyncio.sleep, 60))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    async def use() -> int:
        await bulkhead.call(asyncio.sleep, 0)
        return bulkhead.borrowed

    assert asyncio.run(use()) == 0
    task.get_coro().close()


def test_a_loop_that_is_left_open_does_not_keep_the_next_one_from_its_places() -> None:
    bulkhead = Bulkhead(1)
    first = asyncio.new_event_loop()
    task = first.create_task(bulkhead.call(asyncio.sleep, 60))
    first.run_until_complete(asyncio.sleep(0))
    assert asyncio.run(bulkhead.call(Dependency().ask)) == "answer"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        first.run_until_complete(task)
    first.close()


def test_reading_needs_no_event_loop() -> None:
    assert (Bulkhead(1).borrowed, Bulkhead(1).waiting) == (0, 0)


def test_its_error_pickles_and_has_sensible_defaults() -> None:
    error = pickle.loads(pickle.dumps(BulkheadFullError("pool", None, 3, 2, 1.5)))  # noqa: S301 - our own bytes
    assert (error.name, error.max_concurrent, error.max_queue, error.waited_seconds) == ("pool", 3, 2, 1.5)
    bare = BulkheadFullError("pool")
    assert (bare.max_concurrent, bare.max_queue, bare.waited_seconds) == (1, 0, None)
    assert str(bare) == "Bulkhead 'pool' is full (1 call at once, 0 waiting). Try again later, or call less at once"
    assert isinstance(bare, RejectedError)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0,), ValueError, "max_concurrent must be an integer >= 1, not 0"),
        ((1.5,), TypeError, "max_concurrent must be an integer >= 1"),
        ((1, -1), ValueError, "max_queue must be an integer >= 0, not -1"),
        ((1, 1, 0), ValueError, "queue_timeout_seconds must be a finite number of seconds > 0"),
        ((1, 0, 1), ValueError, "queue_timeout_seconds has no effect without a queue"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Bulkhead(*arguments)


async def crowd(schedule: Schedule) -> None:
    """Many callers, some of them cancelled at any step; no place is lost, and never are there too many."""
    rng = schedule.rng
    places, queue = rng.randint(1, 3), rng.randint(0, 3)
    bulkhead = Bulkhead(places, queue, rng.choice([0.25, 0.5]) if queue else None)
    running = most = 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await schedule.pause()
        finally:
            running -= 1

    async def caller() -> None:
        for _ in range(2):
            try:
                await bulkhead.call(work)
            except BulkheadFullError:
                await schedule.pause()

    tasks = [schedule.spawn(caller) for _ in range(6)]
    for task in tasks[:3]:
        schedule.cancel_later(task)
    await schedule.join()
    assert most <= places
    assert (bulkhead.borrowed, bulkhead.waiting, running) == (0, 0, 0)


def test_no_schedule_loses_a_place_or_lets_too_many_in() -> None:
    explore(crowd, schedules=1_000)
