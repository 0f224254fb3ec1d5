"""A probe without an outcome, or whose caller gives up, is left to other processes at once."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import pytest

from recloser import CircuitBreaker, Permit
from tests.fleet.breakers.kit import (
    LEASE_SECONDS,
    NAME,
    OPEN_SECONDS,
    Dependency,
    DownError,
    Process,
    answer,
    fail,
    fleet_of,
    make_ready,
    settle,
    states,
)

pytestmark = pytest.mark.anyio


class StopEverything(BaseException):
    """An error that is no Exception."""


class IgnoredError(Exception):
    """An error that says nothing about the dependency."""


def refuse(_: BaseException) -> bool:
    raise ValueError("a predicate that fails")


async def by_ignoring(breaker: CircuitBreaker) -> None:
    (await breaker.acquire()).ignore()


async def by_an_ignored_error(breaker: CircuitBreaker) -> None:
    async def raise_ignored() -> None:
        raise IgnoredError

    with suppress(IgnoredError):
        await breaker.call(raise_ignored)


async def by_a_base_exception(breaker: CircuitBreaker) -> None:
    async def stop() -> None:
        raise StopEverything

    with suppress(StopEverything):
        await breaker.call(stop)


async def by_cancelling(breaker: CircuitBreaker) -> None:
    async with anyio.create_task_group() as tasks:
        dependency = Dependency()
        tasks.start_soon(breaker.call, dependency.call)
        await dependency.called.wait()
        tasks.cancel_scope.cancel()


async def by_leaking(breaker: CircuitBreaker) -> None:
    with pytest.warns(ResourceWarning):
        await acquire_and_drop(breaker)


async def acquire_and_drop(breaker: CircuitBreaker) -> None:
    permit: Permit | None = await breaker.acquire()
    assert permit is not None
    permit = None
    gc.collect()


WAYS = [by_ignoring, by_an_ignored_error, by_a_base_exception, by_cancelling, by_leaking]


@pytest.mark.parametrize("release", WAYS)
async def test_a_probe_without_a_verdict_leaves_the_probe_to_others(
    release: Callable[[CircuitBreaker], Awaitable[None]],
) -> None:
    options = {"ignored_exception": IgnoredError} if release is by_an_ignored_error else {}
    async with fleet_of(3, **options) as processes:
        await make_ready(processes)
        begun = anyio.current_time()
        await release(processes[0].breaker)
        if release is by_leaking:
            assert processes[0].breaker.try_acquire_nowait() is None  # a leak is noticed when somebody asks
        await settle()
        assert anyio.current_time() - begun < LEASE_SECONDS / 2
        assert processes[0].fleet.status()["breakers"][NAME]["trips"] == 1
        assert await processes[1].is_admitted()
        await settle()
        assert states(processes) == ["closed"] * 3


async def test_a_leaked_probe_is_noticed_when_it_is_to_be_renewed() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        await by_leaking(processes[0].breaker)
        await settle(LEASE_SECONDS / 2)
        assert await processes[1].is_admitted()


async def test_a_probe_whose_predicate_fails_counts_as_failed() -> None:
    async with fleet_of(2, expected_exception=refuse) as processes:
        for one in processes:
            await one.fail()
        await settle(OPEN_SECONDS + 1)
        await processes[0].fail(1)
        await settle()
        assert states(processes) == ["open"] * 2
        assert processes[1].fleet.status()["breakers"][NAME]["trips"] == 2


async def test_a_probe_whose_predicate_is_interrupted_is_released() -> None:
    is_interrupted = False

    def interrupt(_: BaseException) -> bool:
        if is_interrupted:
            raise KeyboardInterrupt
        return True

    async with fleet_of(2, expected_exception=interrupt) as processes:
        await make_ready(processes)
        is_interrupted = True
        with pytest.raises(KeyboardInterrupt):
            await processes[0].breaker.call(fail)
        await settle()
        assert await processes[1].is_admitted()


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.03, 0.04])
async def test_a_caller_who_is_cancelled_while_it_asks_gives_the_probe_back(seconds: float) -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        processes[0].store.delay_seconds = 0.03
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(processes[0].breaker.call, anyio.sleep_forever)
            await anyio.sleep(seconds)
            tasks.cancel_scope.cancel()
        await settle()
        assert processes[0].fleet.status()["breakers"][NAME]["holds_probe"] is False
        assert await processes[1].is_admitted()
        await settle()
        assert states(processes) == ["closed"] * 2


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.03, 0.04])
async def test_a_task_that_is_cancelled_by_asyncio_itself_gives_the_probe_back(seconds: float, loop_name: str) -> None:
    if loop_name == "trio":
        return  # trio has no such thing
    async with fleet_of(2) as processes:
        await make_ready(processes)
        processes[0].store.delay_seconds = 0.03
        dependency = Dependency()
        task = asyncio.create_task(processes[0].breaker.call(dependency.call))
        await asyncio.sleep(seconds)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await settle()
        assert await processes[1].is_admitted()


async def test_a_caller_whose_time_is_over_is_rejected_and_what_was_granted_late_is_given_back() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        slow = Slow(processes[0])
        begun = anyio.current_time()
        assert not await processes[0].is_admitted()
        assert anyio.current_time() - begun == pytest.approx(processes[0].store.op_timeout_seconds)
        slow.answer.set()
        await settle()
        assert processes[0].fleet.status()["breakers"][NAME]["holds_probe"] is False
        assert await processes[1].is_admitted()


async def test_a_probe_that_is_granted_after_the_breaker_closed_is_given_back() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        slow = Slow(processes[0])
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(processes[0].breaker.call, answer)
            await settle(0.01)
            processes[0].breaker.disable()
            slow.answer.set()
        assert processes[0].breaker.snapshot().probe_total == 0
        await settle()
        assert await processes[1].is_admitted()


async def test_one_who_gave_up_does_not_hinder_the_next_caller_of_its_process() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        processes[0].store.delay_seconds = 0.03
        with anyio.move_on_after(0.01):
            await processes[0].breaker.call(answer)
        with suppress(Exception):
            await processes[0].breaker.call(answer)
        await settle()
        assert await processes[0].is_admitted()
        await settle()
        assert states(processes) == ["closed"] * 2


async def test_an_error_in_a_listener_does_not_keep_the_probe() -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    async with fleet_of(2) as processes:
        await make_ready(processes)
        end = processes[0].breaker.subscribe(interrupt)
        with pytest.raises(KeyboardInterrupt):
            await processes[0].breaker.call(answer)
        end()
        await settle()
        assert await processes[1].is_admitted()


class Slow:
    """From now on, the replies of the store to one process wait until the test says so."""

    def __init__(self, one: Process) -> None:
        self.answer = anyio.Event()
        self._execute = one.store.execute
        one.store.execute = self.execute

    async def execute(self, operations: object) -> object:
        replies = await self._execute(operations)
        await self.answer.wait()
        return replies


async def test_a_deadline_around_a_probe_is_a_failure_of_the_dependency() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        with anyio.move_on_after(1):
            await processes[0].breaker.call(anyio.sleep_forever)
        await settle()
        assert states(processes) == ["open"] * 2
        assert processes[1].fleet.status()["breakers"][NAME]["trips"] == 2


async def test_a_deadline_while_asking_says_nothing_about_the_dependency() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        processes[0].store.delay_seconds = 0.05
        with anyio.move_on_after(0.01):
            await processes[0].breaker.call(answer)
        await settle()
        assert processes[1].fleet.status()["breakers"][NAME]["trips"] == 1
        with pytest.raises(DownError):
            await processes[1].breaker.call(fail)
