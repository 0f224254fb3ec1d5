"""The anyio primitives behind a breaker, each bound to its event loop."""

import asyncio

import anyio
import pytest

from recloser._breaker.loop_bound import LoopEvent, LoopLock, SemaphoreGate
from tests.breaker.kit import BACKENDS


@pytest.mark.anyio
async def test_a_gate_lets_as_many_through_as_it_has_permits() -> None:
    gate = SemaphoreGate(2)
    assert [gate.take() for _ in range(3)] == [True, True, False]


@pytest.mark.anyio
async def test_a_permit_given_back_can_be_taken_again() -> None:
    gate = SemaphoreGate(1)
    assert gate.take()
    gate.give()
    assert [gate.take() for _ in range(2)] == [True, False]


@pytest.mark.anyio
async def test_a_gate_accepts_no_more_permits_than_it_has_given() -> None:
    with pytest.raises(ValueError, match="released too many times"):
        SemaphoreGate(1).give()


def test_a_gate_needs_no_event_loop() -> None:
    gate = SemaphoreGate(1)
    assert [gate.take() for _ in range(2)] == [True, False]
    gate.give()
    with pytest.raises(ValueError, match="released too many times"):
        gate.give()


@pytest.mark.anyio
async def test_a_lock_is_taken_without_waiting_or_not_at_all() -> None:
    lock = LoopLock()
    taken = lock.take()
    assert taken is not None
    taken.release()
    assert lock.take() is taken
    assert lock.take() is None


@pytest.mark.anyio
async def test_a_lock_that_was_never_released_is_replaced_once_it_is_found_held() -> None:
    lock = LoopLock()
    lost = lock.take()
    assert lock.take() is None
    assert lock.take() not in {None, lost}


@pytest.mark.anyio
async def test_a_lock_that_another_task_holds_is_not_taken() -> None:
    lock, seen = LoopLock(), []

    async def other() -> None:
        seen.append(lock.take())

    taken = lock.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        await anyio.wait_all_tasks_blocked()
    assert seen == [None]
    taken.release()


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_loop_has_a_lock_of_its_own(backend: str) -> None:
    lock = LoopLock()

    async def current() -> anyio.Lock | None:
        return lock.take()  # never released: the loop ends

    locks = [anyio.run(current, backend=which) for which in ("asyncio", backend, "asyncio")]
    assert None not in locks
    assert len({id(one) for one in locks}) == 3


@pytest.mark.anyio
async def test_an_event_wakes_all_waiting_tasks() -> None:
    event, woken = LoopEvent(), []

    async def wait(number: int) -> None:
        await event.wait()
        woken.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(wait, number)
        await anyio.wait_all_tasks_blocked()
        event.set()
    assert sorted(woken) == [0, 1, 2]


def test_setting_an_event_of_a_closed_loop_does_nothing() -> None:
    left: list[object] = []

    async def leave_a_waiter() -> None:
        event = LoopEvent()
        coroutine = event.wait()
        task = asyncio.ensure_future(coroutine)
        task.get_loop().set_exception_handler(lambda *_: None)  # the task is to be destroyed while it waits
        left.extend([event, coroutine, task])
        await anyio.wait_all_tasks_blocked()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_a_waiter())
    loop.close()
    left[0].set()
    left[1].close()
