"""A protected function that calls another one of the same breaker: the inner call is part of the probe."""

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import anyio
import anyio.from_thread
import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState
from recloser._breaker.probe_context import entered_probes, probe_step
from recloser.testing import ManualClock
from tests.breaker.kit import (
    RESET_SECONDS,
    DependencyError,
    answer,
    fail,
    make,
    make_open,
    make_probing,
    make_ready,
    totals,
)

pytestmark = pytest.mark.anyio

Inner = Callable[[CircuitBreaker], Awaitable[object]]


async def by_call(breaker: CircuitBreaker) -> object:
    return await breaker.call(answer)


async def by_decorator(breaker: CircuitBreaker) -> object:
    return await breaker(answer)()


async def by_guard(breaker: CircuitBreaker) -> object:
    async with breaker.guard():
        return await answer()


async def by_permit(breaker: CircuitBreaker) -> object:
    with await breaker.acquire():
        return await answer()


async def by_stream(breaker: CircuitBreaker) -> object:
    @breaker
    async def source() -> AsyncIterator[str]:
        yield await answer()

    (item,) = [item async for item in source()]
    return item


async def by_thread(breaker: CircuitBreaker) -> object:
    return await breaker.call_in_thread(str, "answer")


async def by_task(breaker: CircuitBreaker) -> object:
    answers = []

    async def task() -> None:
        answers.append(await breaker.call(answer))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(task)
    return answers[0]


WAYS = [by_call, by_decorator, by_guard, by_permit, by_stream, by_thread, by_task]


async def outer_call(breaker: CircuitBreaker, inner: Inner) -> object:
    return await breaker.call(inner, breaker)


async def outer_decorated(breaker: CircuitBreaker, inner: Inner) -> object:
    return await breaker(inner)(breaker)


async def outer_guard(breaker: CircuitBreaker, inner: Inner) -> object:
    async with breaker.guard():
        return await inner(breaker)


async def outer_stream(breaker: CircuitBreaker, inner: Inner) -> object:
    @breaker
    async def source() -> AsyncIterator[object]:
        yield await inner(breaker)

    (item,) = [item async for item in source()]
    return item


async def outer_thread(breaker: CircuitBreaker, inner: Inner) -> object:
    return await breaker.call_in_thread(anyio.from_thread.run, inner, breaker)


OUTER = [outer_call, outer_decorated, outer_guard, outer_stream, outer_thread]


@pytest.mark.parametrize("inner", WAYS)
@pytest.mark.parametrize("outer", OUTER)
async def test_a_call_from_inside_a_probe_goes_through_and_the_breaker_recovers(
    clock: ManualClock, outer: Callable[[CircuitBreaker, Inner], Awaitable[object]], inner: Inner
) -> None:
    breaker = await make_ready(clock)
    assert await outer(breaker, inner) == "answer"
    assert breaker.state is CircuitState.CLOSED


async def test_a_call_from_inside_a_probe_is_not_counted(clock: ManualClock) -> None:
    breaker = await make_ready(clock, success_threshold=2)
    await outer_call(breaker, by_call)
    assert breaker.state is CircuitState.HALF_OPEN
    assert totals(breaker) == {"failure": 1, "success": 1, "probe": 1}


async def test_a_probe_does_not_wait_for_itself(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    assert await breaker.call(breaker.wait_until_ready, 0)


async def test_a_free_permit_is_left_to_others_by_a_call_from_inside_a_probe(clock: ManualClock) -> None:
    breaker = await make_ready(clock, max_probes=2, success_threshold=2)

    async def outer() -> int:
        async with breaker.guard():
            return breaker.health()["probes_in_flight"]

    assert await breaker.call(outer) == 1


async def test_a_failure_inside_a_probe_is_counted_where_it_ends_the_probe(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    with pytest.raises(DependencyError):
        await breaker.call(breaker.call, fail)
    assert breaker.state is CircuitState.OPEN
    assert totals(breaker) == {"failure": 2, "probe": 1}


async def test_a_call_from_a_probe_that_has_timed_out_counts_like_any_other(clock: ManualClock) -> None:
    breaker = await make_ready(clock)

    async def outer() -> None:
        clock.advance(RESET_SECONDS)
        await breaker.call(answer)

    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(outer)
    assert breaker.state is CircuitState.OPEN


async def test_a_call_of_a_task_that_outlives_its_probe_counts_like_any_other(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    ended = anyio.Event()
    rejected = []

    async def straggler() -> None:
        await ended.wait()
        with pytest.raises(CircuitBreakerOpenError) as caught:
            await breaker.call(answer)
        rejected.append(caught.value.state)

    async with anyio.create_task_group() as tasks:

        async def start_and_fail() -> None:
            tasks.start_soon(straggler)
            raise DependencyError

        with pytest.raises(DependencyError):
            await breaker.call(start_and_fail)
        ended.set()
    assert rejected == [CircuitState.OPEN]


async def test_the_reader_of_a_probe_stream_is_not_part_of_it(clock: ManualClock) -> None:
    breaker = await make_ready(clock, success_threshold=2)

    @breaker
    async def source() -> AsyncIterator[int]:
        yield 1

    async for _ in source():
        permit = await breaker.acquire()
        assert permit.is_probe
        permit.ignore()


async def test_a_probe_of_one_breaker_is_not_a_probe_of_another(clock: ManualClock) -> None:
    breaker, other = await make_ready(clock), await make_open(clock)
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(other.call, answer)


async def test_breakers_nested_crosswise_recover_together(clock: ManualClock) -> None:
    first, second = make(clock), make(clock)
    for breaker in (first, second):
        breaker.force_open("drill", for_seconds=1)
    clock.advance(1)
    crosswise = functools.partial(second.call, first.call, second.call, answer)
    assert await first.call(crosswise) == "answer"
    assert (first.state, second.state) == (CircuitState.CLOSED, CircuitState.CLOSED)


async def test_many_probes_of_one_task_leave_nothing_behind(clock: ManualClock) -> None:
    breaker = make(clock)
    for _ in range(3):
        breaker.force_open("drill", for_seconds=1)
        clock.advance(1)
        await breaker.call(answer)

    assert len(entered_probes()) == 1


async def test_a_block_of_a_permit_is_a_probe_like_any_other(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    with await breaker.acquire():
        assert await breaker.call(answer) == "answer"
    assert breaker.state is CircuitState.CLOSED


async def test_the_cleanup_of_a_probe_stream_is_part_of_it(clock: ManualClock) -> None:
    breaker = await make_ready(clock)

    @breaker
    async def source() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await breaker.call(answer)

    async with aclosing(source()) as stream:
        await anext(stream)
    assert breaker.state is CircuitState.CLOSED


async def test_a_worker_thread_of_a_probe_gets_permits_that_are_not_counted(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    permit = await breaker.call_in_thread(breaker.try_acquire_nowait)
    assert (permit.generation, permit.is_probe) == (0, False)


async def test_a_step_that_ends_in_another_context_changes_nothing_there(clock: ManualClock) -> None:
    (_, elsewhere), (_, here) = await make_probing(clock), await make_probing(clock)
    step = probe_step(elsewhere.ticket)
    contextvars.copy_context().run(step.__enter__)
    with elsewhere, here:
        step.__exit__(None, None, None)
        assert here.ticket in entered_probes()


def test_a_caller_that_left_its_thread_is_no_longer_part_of_the_probe(clock: ManualClock) -> None:
    async def main() -> None:
        breaker = await make_ready(clock)
        loop, may_end = asyncio.get_running_loop(), threading.Event()

        def end_the_wait_of_the_caller() -> None:
            loop.call_soon_threadsafe(limit.reschedule, loop.time())
            may_end.wait(60)

        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(None) as limit:
                    await breaker.call_in_thread(end_the_wait_of_the_caller)
            with pytest.raises(CircuitBreakerOpenError):
                await breaker.call(answer)
        finally:
            may_end.set()
        assert await breaker.wait_until_ready(5)
        assert breaker.state is CircuitState.CLOSED

    asyncio.run(main())
