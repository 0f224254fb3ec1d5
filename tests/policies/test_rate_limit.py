"""`RateLimit`: so many calls in a time, the rest rejected with the time to come back."""

import asyncio
import pickle
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import pytest

from recloser import CircuitState, RateLimit
from recloser.errors import RateLimitedError
from recloser.testing import ManualClock
from recloser.testing.explorer import Schedule, explore
from tests.policies.kit import Dependency, breaker, new_event_loop

pytestmark = pytest.mark.anyio


def limit(calls: int, per_seconds: float, **options: object) -> RateLimit:
    """Makes a rate limit on the event loop's time."""
    return RateLimit(calls, per_seconds, **{"clock": anyio.current_time, **options})


async def test_calls_above_the_limit_are_rejected_with_the_seconds_until_a_token() -> None:
    clock, dependency = ManualClock(), Dependency()
    policy = RateLimit(2, 10, name="quota", clock=clock)
    for _ in range(2):
        await policy.call(dependency.ask)
    clock.advance(1)
    with pytest.raises(RateLimitedError, match="Rate limit 'quota' is reached; retry in 4.0 s") as caught:
        await policy.call(dependency.ask)
    assert (caught.value.name, caught.value.retry_after, dependency.calls) == ("quota", 4.0, 2)
    clock.advance(4)
    assert await policy.call(dependency.ask) == "answer"


async def test_a_hundred_rejections_leave_a_breaker_around_it_closed() -> None:
    circuit, policy = breaker(), RateLimit(1, 60, clock=ManualClock())
    await circuit.call(policy.call, Dependency().ask)
    for _ in range(100):
        with pytest.raises(RateLimitedError):
            await circuit.call(policy.call, Dependency().ask)
    assert (circuit.state, circuit.failure_count) == (CircuitState.CLOSED, 0)


async def test_calls_may_wait_for_their_token_in_the_order_of_arrival() -> None:
    policy, served = limit(1, 1, max_wait_seconds=3), []

    async def serve(number: int) -> None:
        served.append((number, round(anyio.current_time() - started, 6)))

    started = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(policy.call, serve, number)
            await anyio.wait_all_tasks_blocked()
        assert policy.waiting == 3
        with pytest.raises(RateLimitedError) as caught:
            await policy.call(serve, 9)
    assert 3 < caught.value.retry_after <= 4
    assert served == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert policy.waiting == 0


async def test_nobody_overtakes_who_waits() -> None:
    policy, served = limit(2, 2, max_wait_seconds=5), []

    async def serve(number: int) -> None:
        served.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(policy.call, serve, number)
            await anyio.wait_all_tasks_blocked()
        await anyio.sleep(1)
        await policy.call(serve, 5)
    assert served == [0, 1, 2, 3, 4, 5]


async def test_a_waiter_that_is_cancelled_takes_no_token() -> None:
    policy = limit(1, 1, max_wait_seconds=5)
    started = anyio.current_time()
    await policy.call(Dependency().ask)
    with anyio.move_on_after(0.5):
        await policy.call(Dependency().ask)
    assert policy.waiting == 0
    await policy.call(Dependency().ask)
    assert anyio.current_time() - started == pytest.approx(1)


async def test_a_clock_that_jumps_back_delays_a_waiter_by_one_token_at_most() -> None:
    jump = 0.0
    policy = limit(1, 1, max_wait_seconds=5, clock=lambda: anyio.current_time() - jump)
    started = anyio.current_time()
    await policy.call(Dependency().ask)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(policy.call, Dependency().ask)
        await anyio.wait_all_tasks_blocked()
        jump = 3600.0
    assert anyio.current_time() - started <= 2.001


async def test_an_async_generator_takes_one_token_when_it_begins() -> None:
    policy = limit(1, 60)

    @policy
    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    stream = numbers()
    assert [number async for number in numbers()] == [1, 2]
    with pytest.raises(RateLimitedError):
        await anext(stream)


def test_waiters_of_an_event_loop_that_died_do_not_stick() -> None:
    clock = ManualClock()
    policy = RateLimit(1, 1, max_wait_seconds=5, clock=clock)
    loop = new_event_loop()
    tasks = [loop.create_task(policy.call(Dependency().ask)) for _ in range(3)]
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert policy.waiting == 2
    clock.advance(1)
    assert asyncio.run(policy.call(Dependency().ask)) == "answer"
    assert policy.waiting == 0
    for task in tasks:
        with suppress(RuntimeError):  # anyio's lock has nothing to say without an event loop
            task.get_coro().close()


def test_the_next_in_line_is_passed_over_if_its_event_loop_died() -> None:
    policy, tasks = RateLimit(1, 0.1, max_wait_seconds=5), []

    def wait_in_a_loop_that_dies() -> None:
        loop = new_event_loop()
        tasks.append(loop.create_task(policy.call(Dependency().ask)))
        for _ in range(3):
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    async def main() -> None:
        await policy.call(Dependency().ask)
        async with anyio.create_task_group() as group:
            group.start_soon(policy.call, Dependency().ask)
            await anyio.wait_all_tasks_blocked()
            await anyio.to_thread.run_sync(wait_in_a_loop_that_dies)
            assert policy.waiting == 2

    asyncio.run(main())
    assert policy.waiting == 0
    with suppress(RuntimeError):
        tasks[0].get_coro().close()


def test_its_error_pickles() -> None:
    error = pickle.loads(pickle.dumps(RateLimitedError("quota", 1.5)))  # noqa: S301 - our own bytes
    assert (type(error), error.name, error.retry_after) == (RateLimitedError, "quota", 1.5)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0, 1), {}, ValueError, "calls must be an integer >= 1, not 0"),
        ((1, 0), {}, ValueError, "per_seconds must be a finite number of seconds > 0"),
        ((1, 1), {"max_wait_seconds": -1}, ValueError, "max_wait_seconds must be a finite number of seconds >= 0"),
        ((1, 1), {"clock": 7}, TypeError, "clock must be a function"),
    ],
)
def test_arguments_out_of_range_are_refused(
    arguments: tuple, options: dict, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        RateLimit(*arguments, **options)


async def crowd(schedule: Schedule) -> None:
    """Waiters of which some are cancelled at any step: the limit holds, and nobody waits for ever."""
    policy = RateLimit(2, 1, max_wait_seconds=schedule.rng.choice([0.0, 1.0, 10.0]), clock=schedule.now)
    starts: list[float] = []

    async def work() -> None:
        starts.append(schedule.now())

    async def caller() -> None:
        for _ in range(2):
            try:
                await policy.call(work)
            except RateLimitedError:
                await schedule.pause()

    tasks = [schedule.spawn(caller) for _ in range(6)]
    for task in tasks[:3]:
        schedule.cancel_later(task)
    await schedule.join()
    assert policy.waiting == 0
    for first, start in enumerate(starts):
        for last in range(first, len(starts)):
            assert last - first + 1 <= 2 + 2 * (starts[last] - start) + 1e-6


def test_no_schedule_breaks_the_limit() -> None:
    explore(crowd, schedules=500)
