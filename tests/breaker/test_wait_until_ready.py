"""`await breaker.wait_until_ready()`: wait until a call has a chance."""

import asyncio
import contextvars
import threading
from collections.abc import Generator

import anyio
import pytest
import trio

from recloser import CircuitBreaker, CircuitState
from recloser._breaker import control
from recloser._breaker.engine import Engine
from recloser.testing import ManualClock
from tests.breaker.kit import BACKENDS, drop_in_threads, fail_once, make, make_open, make_probing, make_ready, totals

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 60.0
"""How long a test waits for what should happen at once, so that a failing test ends."""


async def is_ready_now(breaker: CircuitBreaker) -> bool:
    return await breaker.wait_until_ready(0)


async def ready_after(breaker: CircuitBreaker, step: object) -> bool:
    """Returns what `wait_until_ready()` returns to a task that waits while the step is made."""
    answers = []

    async def wait() -> None:
        answers.append(await breaker.wait_until_ready())

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert answers == []
            result = step()
            if result is not None:
                await result
    return answers[0]


async def test_a_closed_breaker_is_ready(clock: ManualClock) -> None:
    assert await is_ready_now(make(clock))


async def test_a_disabled_breaker_is_ready(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    breaker.disable()
    assert await is_ready_now(breaker)


async def test_an_open_breaker_is_not_ready_before_its_time(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    clock.advance(59.9)
    assert not await is_ready_now(breaker)


async def test_an_open_breaker_is_ready_when_its_time_is_over_and_stays_open(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    assert await is_ready_now(breaker)
    assert breaker.state is CircuitState.OPEN


async def test_a_half_open_breaker_is_not_ready_while_its_probe_runs(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    assert not await is_ready_now(breaker)
    permit.ignore()


async def test_a_half_open_breaker_is_ready_when_a_permit_is_free(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock, max_probes=2)
    assert await is_ready_now(breaker)
    permit.ignore()


async def test_a_half_open_breaker_is_ready_when_the_time_of_its_probe_is_over(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    clock.advance(60)
    assert await is_ready_now(breaker)
    permit.ignore()


async def test_a_half_open_breaker_is_ready_when_its_probe_permit_was_dropped(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    with pytest.warns(ResourceWarning):
        del permit
    assert await is_ready_now(breaker)


async def test_a_dropped_probe_permit_wakes_waiting_tasks(clock: ManualClock) -> None:
    breaker, *box = await make_probing(clock)
    with pytest.warns(ResourceWarning):
        assert await ready_after(breaker, box.clear)


async def test_a_probe_permit_that_another_thread_drops_wakes_waiting_tasks(clock: ManualClock) -> None:
    breaker, *box = await make_probing(clock)
    with pytest.warns(ResourceWarning):
        assert await ready_after(breaker, lambda: drop_in_threads(box))


async def test_a_probe_that_another_thread_collects_wakes_waiting_tasks_and_is_leaked(clock: ManualClock) -> None:
    breaker, events = await make_ready(clock), []

    class Suspended:
        def __await__(self) -> Generator[None]:
            yield

    call = breaker.call(Suspended)
    contextvars.copy_context().run(call.send, None)
    box = [call]
    del call
    breaker.subscribe(events.append)
    assert await ready_after(breaker, lambda: drop_in_threads(box))
    assert totals(breaker) == {"failure": 1, "leaked": 1, "probe": 1}
    assert events == []


async def test_a_permit_that_is_dropped_in_the_instant_before_the_wait_begins_wakes_it(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaker, *box = await make_probing(clock)
    look = control.seconds_until_ready

    def drop_after_looking(engine: Engine) -> float:
        seconds = look(engine)
        drop_in_threads(box)
        return seconds

    monkeypatch.setattr(control, "seconds_until_ready", drop_after_looking)
    with anyio.fail_after(PATIENCE_SECONDS), pytest.warns(ResourceWarning):
        assert await breaker.wait_until_ready()


async def test_a_permit_that_is_settled_in_another_thread_wakes_waiting_tasks(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)

    def succeed() -> None:
        thread = threading.Thread(target=permit.succeed)
        thread.start()
        thread.join()

    assert await ready_after(breaker, succeed)


async def test_waiting_tasks_are_woken_as_often_as_permits_are_dropped(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    for _ in range(3):
        box = [await breaker.acquire()]
        with pytest.warns(ResourceWarning):
            assert await ready_after(breaker, box.clear)


async def test_a_breaker_forced_open_without_an_end_is_not_ready(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("maintenance")
    clock.advance(1e9)
    assert not await is_ready_now(breaker)


async def test_a_breaker_forced_open_for_a_time_is_ready_when_it_is_over(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("maintenance", for_seconds=10)
    assert not await is_ready_now(breaker)
    clock.advance(10)
    assert await is_ready_now(breaker)


async def test_a_breaker_in_shadow_mode_is_always_ready(clock: ManualClock) -> None:
    assert await is_ready_now(await make_open(clock, shadow=True))


async def test_waiting_in_a_cancelled_scope_is_cancelled_even_when_the_breaker_is_ready(clock: ManualClock) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await make(clock).wait_until_ready()
        pytest.fail("it was not cancelled")
    assert scope.cancelled_caught


async def test_reset_wakes_waiting_tasks(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    assert await ready_after(breaker, breaker.reset)


async def test_disable_wakes_waiting_tasks(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    assert await ready_after(breaker, breaker.disable)


@pytest.mark.parametrize("how", ["succeed", "ignore"])
async def test_the_end_of_a_probe_wakes_waiting_tasks(clock: ManualClock, how: str) -> None:
    breaker, permit = await make_probing(clock)
    assert await ready_after(breaker, getattr(permit, how))


async def test_reconfiguring_to_shadow_mode_wakes_waiting_tasks(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    assert await ready_after(breaker, lambda: breaker.reconfigure(shadow=True))


async def test_tasks_keep_waiting_after_force_open(clock: ManualClock) -> None:
    breaker = await make_open(clock)

    async def force_and_reset() -> None:
        breaker.force_open("maintenance")
        await anyio.wait_all_tasks_blocked()
        breaker.reset()

    assert await ready_after(breaker, force_and_reset)


async def test_waiting_tasks_notice_a_forced_opening_that_ends_sooner(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("maintenance")

    async def shorten() -> None:
        breaker.force_open("nearly done", for_seconds=1)
        clock.advance(1)
        breaker.reconfigure()

    assert await ready_after(breaker, shorten)


async def test_waiting_tasks_wait_for_the_new_reset_timeout_after_a_failed_probe(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)

    async def fail_and_reset() -> None:
        permit.fail()
        await anyio.wait_all_tasks_blocked()
        breaker.reset()

    assert await ready_after(breaker, fail_and_reset)


async def test_only_as_many_tasks_as_probes_get_through_and_the_others_keep_waiting(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock, success_threshold=2)
    admitted = []

    async def call_when_ready() -> None:
        await breaker.wait_until_ready()
        admitted.append(await breaker.try_acquire())

    with anyio.fail_after(PATIENCE_SECONDS):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(call_when_ready)
            await anyio.wait_all_tasks_blocked()
            permit.succeed()
            await anyio.wait_all_tasks_blocked()
            assert [probe.is_probe for probe in admitted] == [True]
            admitted[0].succeed()
    assert len(admitted) == 20
    for later in admitted[1:]:
        later.succeed()


async def test_a_waiter_that_is_cancelled_changes_nothing_for_the_others(clock: ManualClock) -> None:
    breaker, answers = await make_open(clock), []

    async def wait(scope: anyio.CancelScope) -> None:
        with scope:
            answers.append(await breaker.wait_until_ready())

    async with anyio.create_task_group() as tasks:
        cancelled = anyio.CancelScope()
        for scope in (anyio.CancelScope(), cancelled, anyio.CancelScope()):
            tasks.start_soon(wait, scope)
        await anyio.wait_all_tasks_blocked()
        cancelled.cancel()
        await anyio.wait_all_tasks_blocked()
        breaker.reset()
    assert answers == [True, True]


async def test_a_waiter_that_is_cancelled_leaves_the_breaker_as_it_was(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    before = breaker.snapshot()
    with anyio.move_on_after(0):
        await breaker.wait_until_ready()
    assert breaker.snapshot() == before


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
async def test_a_timeout_out_of_range_is_refused(clock: ManualClock, seconds: float) -> None:
    with pytest.raises(ValueError, match="timeout_seconds must be a finite number of seconds >= 0"):
        await make(clock).wait_until_ready(seconds)


@pytest.mark.parametrize("seconds", ["1", True])
async def test_a_timeout_that_is_no_number_is_refused(clock: ManualClock, seconds: object) -> None:
    with pytest.raises(TypeError, match="timeout_seconds must be"):
        await make(clock).wait_until_ready(seconds)


def test_on_trio_it_waits_until_the_reset_timeout_has_elapsed() -> None:
    async def main() -> None:
        breaker = make(trio.current_time)
        await fail_once(breaker)
        began = trio.current_time()
        assert await breaker.wait_until_ready()
        assert trio.current_time() - began == pytest.approx(60)
        assert (await breaker.acquire()).succeed() is None

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_on_trio_it_waits_no_longer_than_the_timeout() -> None:
    async def main() -> None:
        breaker = make(trio.current_time)
        await fail_once(breaker)
        began = trio.current_time()
        assert not await breaker.wait_until_ready(59)
        assert trio.current_time() - began == pytest.approx(59)
        assert await breaker.wait_until_ready(2)
        assert trio.current_time() - began == pytest.approx(60)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_on_trio_it_waits_until_a_probe_has_outlived_its_limit() -> None:
    async def main() -> None:
        breaker = make(trio.current_time, probe_timeout_seconds=7)
        await fail_once(breaker)
        await breaker.wait_until_ready()
        probe, began = await breaker.acquire(), trio.current_time()
        assert await breaker.wait_until_ready()
        assert trio.current_time() - began == pytest.approx(7)
        probe.ignore()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_waiting_in_one_loop_after_another_works(clock: ManualClock) -> None:
    breaker = make(clock)

    async def wait_and_reset() -> None:
        await fail_once(breaker)
        assert not await breaker.wait_until_ready(0)
        assert await ready_after(breaker, breaker.reset)

    for backend in (*BACKENDS, *reversed(BACKENDS)):
        anyio.run(wait_and_reset, backend=backend)


def test_tasks_can_wait_although_a_task_in_an_earlier_loop_still_waits(
    clock: ManualClock,
) -> None:
    breaker = make(clock)
    waiters = []

    async def leave_a_waiter() -> None:
        await fail_once(breaker)
        waiters.append(asyncio.ensure_future(breaker.wait_until_ready()))
        await anyio.wait_all_tasks_blocked()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_a_waiter())
    breaker.reset()
    anyio.run(leave_and_come_back, breaker, backend="trio")
    for waiter in waiters:
        waiter.cancel()
    loop.run_until_complete(asyncio.gather(*waiters, return_exceptions=True))
    loop.close()


async def leave_and_come_back(breaker: CircuitBreaker) -> None:
    await fail_once(breaker)
    assert await ready_after(breaker, breaker.reset)


def test_a_change_does_not_reach_a_task_in_a_closed_loop(clock: ManualClock) -> None:
    breaker = make(clock)
    waiters = []

    async def leave_a_waiter() -> None:
        await fail_once(breaker)
        waiters.append(breaker.wait_until_ready())
        task = asyncio.ensure_future(waiters[0])
        task.get_loop().set_exception_handler(lambda *_: None)  # the task is to be destroyed while it waits
        await anyio.wait_all_tasks_blocked()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_a_waiter())
    loop.close()
    breaker.reset()
    assert breaker.state is CircuitState.CLOSED
    with pytest.raises(RuntimeError):
        waiters[0].close()


def test_a_task_whose_event_loop_is_closed_is_forgotten_at_the_next_change(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("maintenance")
    loop = asyncio.new_event_loop()
    task = loop.create_task(breaker.wait_until_ready())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    task._log_destroy_pending = False  # noqa: SLF001 - asyncio has no other way to silence that
    breaker.reset()
    assert not breaker.engine.waiting
