"""One breaker, made at import time, in one event loop after another."""

import asyncio

import anyio
import pytest
import trio

from recloser import CircuitBreaker, CircuitState, Permit
from recloser.testing import ManualClock
from tests.breaker.kit import (
    BACKENDS,
    RESET_SECONDS,
    admits_a_probe,
    answer,
    fail_once,
    make,
    make_probing,
    totals,
)

CLOCK = ManualClock()
MODULE_LEVEL = CircuitBreaker("module level", failure_threshold=1, reset_timeout_seconds=RESET_SECONDS, clock=CLOCK)
ONE_AFTER_ANOTHER = [(first, second) for first in BACKENDS for second in BACKENDS]


async def open_and_recover() -> None:
    await fail_once(MODULE_LEVEL)
    assert not await MODULE_LEVEL.wait_until_ready(0)
    CLOCK.advance(RESET_SECONDS)
    async with MODULE_LEVEL.guard() as permit:
        assert permit.is_probe
    MODULE_LEVEL.force_open("maintenance")
    MODULE_LEVEL.reset()


def test_a_module_level_breaker_opens_and_recovers_in_three_loops_of_asyncio_and_then_in_trio() -> None:
    for _ in range(3):
        asyncio.run(open_and_recover())
    trio.run(open_and_recover)
    asyncio.run(open_and_recover())
    assert MODULE_LEVEL.health()["probe_total"] == 5


def test_the_state_is_kept_from_one_loop_to_the_next(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=3)
    for _ in range(3):
        asyncio.run(fail_once(breaker))
    assert breaker.state is CircuitState.OPEN


@pytest.mark.parametrize(("first", "second"), ONE_AFTER_ANOTHER)
def test_a_probe_permit_held_when_its_loop_ended_does_not_block_the_breaker(
    clock: ManualClock, first: str, second: str
) -> None:
    breaker, permit = anyio.run(make_probing, clock, backend=first)
    assert breaker.state is CircuitState.HALF_OPEN
    assert anyio.run(breaker.call, answer, backend=second) == "answer"
    assert breaker.state is CircuitState.CLOSED
    permit.ignore()


@pytest.mark.parametrize(("first", "second"), ONE_AFTER_ANOTHER)
def test_a_probe_of_a_loop_that_ended_is_counted_as_leaked_and_late_when_it_is_settled_after_all(
    clock: ManualClock, first: str, second: str
) -> None:
    breaker, permit = anyio.run(make_probing, clock, backend=first)

    async def look() -> bool:
        return admits_a_probe(breaker)

    assert anyio.run(look, backend=second)
    permit.fail()
    assert breaker.state is CircuitState.HALF_OPEN
    assert totals(breaker) == {"failure": 1, "leaked": 1, "late": 1, "probe": 2, "ignored": 1}


@pytest.mark.parametrize(("first", "second"), ONE_AFTER_ANOTHER)
def test_the_next_loop_has_as_many_probe_permits_as_max_probes(clock: ManualClock, first: str, second: str) -> None:
    breaker, permit = anyio.run(lambda: make_probing(clock, max_probes=2), backend=first)

    async def take_all() -> list[Permit | None]:
        return [await breaker.try_acquire() for _ in range(3)]

    permits = anyio.run(take_all, backend=second)
    assert [taken is not None for taken in permits] == [True, True, False]
    for taken in (permit, *permits[:2]):
        taken.ignore()


@pytest.mark.parametrize("second", BACKENDS)
def test_a_probe_permit_given_back_after_its_loop_ended_adds_no_permit_in_the_next(
    clock: ManualClock, second: str
) -> None:
    breaker, permit = anyio.run(make_probing, clock)

    async def take_two() -> list[Permit | None]:
        first = await breaker.try_acquire()
        permit.ignore()
        return [first, await breaker.try_acquire()]

    taken, none = anyio.run(take_two, backend=second)
    assert none is None
    taken.ignore()


@pytest.mark.parametrize("second", BACKENDS)
def test_tasks_that_wait_in_the_next_loop_see_that_the_probe_is_gone(clock: ManualClock, second: str) -> None:
    breaker, permit = anyio.run(make_probing, clock)
    assert anyio.run(breaker.wait_until_ready, 0, backend=second)
    permit.ignore()


def test_a_lock_held_when_its_loop_was_closed_is_free_in_the_next(clock: ManualClock) -> None:
    breaker = make(clock)
    holders = []

    async def hold() -> None:
        await breaker.engine.loop_lock().current().acquire()
        await asyncio.get_running_loop().create_future()

    async def leave_a_holder() -> None:
        await fail_once(breaker)
        coroutine = hold()
        task = asyncio.ensure_future(coroutine)
        task.get_loop().set_exception_handler(lambda *_: None)  # the task is to be destroyed while it waits
        holders.append((task, coroutine))
        await anyio.wait_all_tasks_blocked()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_a_holder())
    loop.close()
    clock.advance(RESET_SECONDS)
    assert asyncio.run(breaker.call(answer)) == "answer"
    breaker.reset()
    holders[0][1].close()


def test_a_breaker_made_inside_a_loop_works_in_the_next(clock: ManualClock) -> None:
    async def make_inside() -> CircuitBreaker:
        return make(clock)

    breaker = asyncio.run(make_inside())
    assert trio.run(breaker.call, answer) == "answer"
