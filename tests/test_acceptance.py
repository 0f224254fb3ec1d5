"""The promises that everything else is for, each told as one story, on asyncio and on trio."""

import asyncio
import gc
import inspect
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
import time_machine

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState
from recloser.testing import ManualClock
from tests.effort import FULL

RESET_SECONDS = 60.0
HERD = 5_000
LATE_CALLS = 50
REJECTIONS = 1_000_000 if FULL else 200_000
MODULE_CLOCK = ManualClock()
MODULE_BREAKER = CircuitBreaker(
    "module level", failure_threshold=2, reset_timeout_seconds=RESET_SECONDS, clock=MODULE_CLOCK
)
LOOPS_IN_A_ROW = ["asyncio", "asyncio", "asyncio", "trio", "trio", "asyncio"]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock) -> CircuitBreaker:
    return CircuitBreaker("payments", failure_threshold=2, reset_timeout_seconds=RESET_SECONDS, clock=clock)


async def fail() -> None:
    raise ConnectionError


async def succeed() -> str:
    return "answer"


async def trip(breaker: CircuitBreaker) -> None:
    while breaker.state is CircuitState.CLOSED:
        with pytest.raises(ConnectionError):
            await breaker.call(fail)


class Herd:
    """Many tasks that call at once, and a dependency that does not answer."""

    def __init__(self, breaker: CircuitBreaker, size: int) -> None:
        self.breaker = breaker
        self.size = size
        self.upstream_calls = 0
        self.rejected = 0
        self.all_others_rejected = anyio.Event()
        self.probe_scope: anyio.CancelScope | None = None

    async def upstream(self, scope: anyio.CancelScope) -> None:
        self.upstream_calls += 1
        self.probe_scope = scope
        await anyio.sleep_forever()

    async def caller(self) -> None:
        with anyio.CancelScope() as scope:
            try:
                await self.breaker.call(self.upstream, scope)
            except CircuitBreakerOpenError:
                self.rejected += 1
                if self.rejected == self.size - 1:
                    self.all_others_rejected.set()

    async def stampede(self) -> None:
        """All call, one gets through; that one is cancelled."""
        async with anyio.create_task_group() as tasks:
            for _ in range(self.size):
                tasks.start_soon(self.caller)
            await self.all_others_rejected.wait()
            assert self.probe_scope is not None
            self.probe_scope.cancel()


async def herd_at_reset_time() -> None:
    await trip(MODULE_BREAKER)
    MODULE_CLOCK.advance(RESET_SECONDS)
    herd = Herd(MODULE_BREAKER, HERD)
    await herd.stampede()
    assert herd.upstream_calls == 1
    assert herd.rejected == HERD - 1
    assert MODULE_BREAKER.get_state() == "half_open"
    assert await MODULE_BREAKER.call(succeed) == "answer"
    assert MODULE_BREAKER.get_state() == "closed"


def test_one_of_5000_tasks_gets_through_in_one_loop_after_another() -> None:
    for backend in LOOPS_IN_A_ROW:
        anyio.run(herd_at_reset_time, backend=backend)
    health = MODULE_BREAKER.health()
    runs = len(LOOPS_IN_A_ROW)
    assert health["rejected_total"] == runs * (HERD - 1)
    assert health["cancelled_total"] == runs
    assert health["probe_total"] == 2 * runs
    assert health["leaked_total"] == health["late_total"] == 0


@pytest.mark.anyio
async def test_calls_from_an_old_generation_that_fail_change_nothing(
    breaker: CircuitBreaker, clock: ManualClock
) -> None:
    before: dict[str, Any] = {}
    begun, failing, answering = [anyio.Event() for _ in range(LATE_CALLS)], anyio.Event(), anyio.Event()

    async def slow_failure(number: int) -> None:
        begun[number].set()
        await failing.wait()
        raise ConnectionError(number)

    async def caller(number: int) -> None:
        with pytest.raises(ConnectionError, match=f"^{number}$"):
            await breaker.call(slow_failure, number)

    async def probe() -> None:
        await breaker.call(answering.wait)

    async with anyio.create_task_group() as probing:
        async with anyio.create_task_group() as callers:
            for number in range(LATE_CALLS):
                callers.start_soon(caller, number)
            for event in begun:
                await event.wait()
            assert breaker.generation == 1
            await trip(breaker)
            clock.advance(RESET_SECONDS)
            probing.start_soon(probe)
            await anyio.wait_all_tasks_blocked()
            assert breaker.generation == 3
            before = breaker.health()
            failing.set()
        assert breaker.health() == before | {"late_total": LATE_CALLS}
        answering.set()
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.anyio
@pytest.mark.parametrize("error_type", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_an_interrupted_probe_closes_nothing_and_frees_its_permit(
    breaker: CircuitBreaker, clock: ManualClock, error_type: type[BaseException]
) -> None:
    error = error_type()

    async def interrupted() -> None:
        raise error

    await trip(breaker)
    clock.advance(RESET_SECONDS)
    for _ in range(3):
        with pytest.raises(error_type) as caught:
            await breaker.call(interrupted)
        assert caught.value is error
        assert breaker.state is CircuitState.HALF_OPEN
        assert breaker.health()["probes_in_flight"] == 0
    await breaker.call(succeed)
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.anyio
async def test_a_cancelled_probe_closes_nothing_and_frees_its_permit(
    breaker: CircuitBreaker, clock: ManualClock
) -> None:
    await trip(breaker)
    clock.advance(RESET_SECONDS)
    for _ in range(3):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await breaker.call(anyio.sleep_forever)
        assert scope.cancelled_caught
        assert breaker.state is CircuitState.HALF_OPEN
        assert breaker.health()["probes_in_flight"] == 0
    await breaker.call(succeed)
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.anyio
async def test_a_million_rejections_retain_no_memory(breaker: CircuitBreaker) -> None:
    async def reject(times: int) -> None:
        for _ in range(times // 10):
            for _ in range(8):
                assert breaker.try_acquire_nowait() is None
            assert await breaker.try_acquire() is None
            with suppress(CircuitBreakerOpenError):
                await breaker.call(succeed)

    await trip(breaker)
    await reject(1_000)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await reject(REJECTIONS)
        gc.collect()
        retained = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert breaker.health()["rejected_total"] == REJECTIONS + 1_000
    assert retained < REJECTIONS / 100


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_loop_that_died_in_the_middle_of_a_probe_does_not_stick_the_breaker(
    breaker: CircuitBreaker, clock: ManualClock, backend: str
) -> None:
    anyio.run(trip, breaker)
    clock.advance(RESET_SECONDS)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(ignore)
    probe = loop.create_task(breaker.call(loop.create_future))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert breaker.health()["probes_in_flight"] == 1

    anyio.run(breaker.call, succeed, backend=backend)
    assert breaker.get_state() == "closed"

    before = breaker.health()
    end_of_the_dead_loop(probe)
    after = breaker.health()
    unchanged = ("state", "generation", "failure_count", "success_total", "failure_total", "probes_in_flight")
    assert [after[key] for key in unchanged] == [before[key] for key in unchanged]


def ignore(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Says nothing of tasks that are never finished."""


def end_of_the_dead_loop(task: asyncio.Task[object]) -> None:
    """Ends the coroutine of a task whose loop is closed, as the garbage collector would."""
    coroutine = task.get_coro()
    assert inspect.iscoroutine(coroutine)
    coroutine.close()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_waiting_until_ready_works_in_one_loop_after_another(breaker: CircuitBreaker, backend: str) -> None:
    anyio.run(trip, breaker)
    for each in ("asyncio", backend, backend, "asyncio"):
        assert not anyio.run(breaker.wait_until_ready, 0.0, backend=each)
        assert not anyio.run(breaker.wait_until_ready, 0.001, backend=each)


@pytest.mark.anyio
@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_jump_of_the_wall_clock_changes_no_decision(jump: timedelta) -> None:
    clock = ManualClock()
    breakers = [CircuitBreaker(failure_threshold=1), CircuitBreaker(failure_threshold=1, clock=clock)]
    for breaker in breakers:
        await trip(breaker)
    with time_machine.travel(datetime.now(UTC) + jump, tick=False):
        for breaker in breakers:
            with pytest.raises(CircuitBreakerOpenError) as caught:
                await breaker.call(succeed)
            assert caught.value.retry_after == pytest.approx(RESET_SECONDS, abs=10)
        clock.advance(RESET_SECONDS)
        assert await breakers[1].call(succeed) == "answer"
        assert breakers[1].state is CircuitState.CLOSED
