"""Blocking calls, threads and other event loops, in real time, with clocks that stand still."""

import threading
from collections.abc import Callable

import anyio
import anyio.to_thread
import pytest

from recloser import CircuitBreakerOpenError
from recloser.fleet.store.memory import InMemoryServer
from recloser.testing import ManualClock
from tests.fleet.breakers.kit import NAME, OPEN_SECONDS, Process, fleet_of, states

pytestmark = pytest.mark.anyio

PATIENT_SECONDS = 20.0


@pytest.fixture
def anyio_backend(loop_name: str) -> str:
    return loop_name


async def until(is_so: Callable[[], bool]) -> None:
    """Waits until a condition holds that other tasks bring about."""
    with anyio.fail_after(PATIENT_SECONDS):
        while not is_so():  # noqa: ASYNC110 - nobody tells when a message was heard
            await anyio.sleep(0.001)


def operations(one: Process) -> int:
    count: int = one.fleet.status()["store_operations"]
    return count


def fleet_state(one: Process) -> object:
    return one.fleet.status()["breakers"][NAME]["state"]


async def make_ready_by(clock: ManualClock, processes: list[Process]) -> None:
    """Opens the fleet, lets the reset timeout pass, and all workers read the server's clock again."""
    for one in processes:
        await one.fail()
    await until(lambda: all(fleet_state(one) == "open" for one in processes))
    clock.advance(OPEN_SECONDS + 1)
    asked = [one.fleet.status()["store_operations"] for one in processes]
    await until(lambda: all(operations(one) >= before + 2 for one, before in zip(processes, asked, strict=True)))


async def test_a_call_in_a_thread_runs_the_probe_and_its_end_closes_all() -> None:
    clock = ManualClock()
    async with fleet_of(2, InMemoryServer(clock=clock), clock=clock, poll_seconds=0.01) as processes:
        await make_ready_by(clock, processes)
        may_end = threading.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(processes[1].breaker.call_in_thread, may_end.wait, PATIENT_SECONDS)
            await until(lambda: states(processes) == ["half_open"] * 2)
            with pytest.raises(CircuitBreakerOpenError):
                await processes[0].breaker.call_in_thread(may_end.wait)
            may_end.set()
        await until(lambda: states(processes) == ["closed"] * 2)
        assert processes[1].breaker.snapshot().probe_total == 1


async def test_failures_that_are_settled_in_another_thread_are_reported() -> None:
    clock = ManualClock()
    async with fleet_of(2, InMemoryServer(clock=clock), clock=clock, poll_seconds=0.01) as processes:

        def fail_in_a_thread() -> None:
            for one in processes:
                for _ in range(3):
                    one.breaker.try_acquire_nowait().fail()

        await anyio.to_thread.run_sync(fail_in_a_thread)
        await until(lambda: all(fleet_state(one) == "open" for one in processes))


async def test_a_breaker_in_another_event_loop_than_its_fleet_decides_alone() -> None:
    clock = ManualClock()
    async with fleet_of(2, InMemoryServer(clock=clock), clock=clock, poll_seconds=0.01) as processes:
        await make_ready_by(clock, processes)
        assert await anyio.to_thread.run_sync(anyio.run, processes[0].is_admitted)
        assert (states(processes), fleet_state(processes[0])) == (["closed", "open"], "open")


async def test_the_synchronous_door_makes_no_probe_in_the_fleets_own_loop() -> None:
    clock = ManualClock()
    async with fleet_of(2, InMemoryServer(clock=clock), clock=clock, poll_seconds=0.01) as processes:
        await make_ready_by(clock, processes)
        with pytest.raises(CircuitBreakerOpenError):
            processes[0].breaker.sync.call(int)
        assert processes[0].breaker.sync.try_acquire() is None
        assert await processes[0].is_admitted()
