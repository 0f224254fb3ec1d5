"""`async with breaker.guard() as permit`: a block under protection."""

from contextlib import AsyncExitStack

import anyio
import pytest

from recloser import CircuitBreakerOpenError, CircuitState, Permit
from recloser.events import CallSucceeded
from recloser.testing import ManualClock
from tests.breaker.kit import (
    DependencyError,
    admits_a_probe,
    drop,
    fail,
    in_shadow,
    make,
    make_open,
    make_ready,
    totals,
)

pytestmark = pytest.mark.anyio


async def test_a_block_that_ends_is_a_success(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.guard() as permit:
        assert isinstance(permit, Permit)
    assert totals(breaker) == {"success": 1}


async def test_a_block_that_raises_is_a_failure_and_the_error_comes_through(clock: ManualClock) -> None:
    breaker, error = make(clock), DependencyError()
    with pytest.raises(DependencyError) as caught:
        async with breaker.guard():
            await fail(error)
    assert caught.value is error
    assert breaker.state is CircuitState.OPEN


async def test_an_open_breaker_rejects_the_block(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    with pytest.raises(CircuitBreakerOpenError):
        async with breaker.guard():
            pytest.fail("the block began")


@pytest.mark.parametrize("how", ["succeed", "fail", "ignore"])
async def test_a_block_may_settle_its_permit_itself(clock: ManualClock, how: str) -> None:
    breaker = make(clock)
    async with breaker.guard() as permit:
        getattr(permit, how)()
    expected = {"succeed": "success", "fail": "failure", "ignore": "ignored"}[how]
    assert totals(breaker) == {expected: 1}


async def test_a_block_that_settled_its_permit_and_then_raises_is_not_counted_again(clock: ManualClock) -> None:
    breaker = make(clock)

    async def settle_and_fail() -> None:
        async with breaker.guard() as permit:
            permit.succeed()
            await fail()

    with pytest.raises(DependencyError):
        await settle_and_fail()
    assert totals(breaker) == {"success": 1}


async def test_a_guard_that_is_in_use_cannot_be_entered_again(clock: ManualClock) -> None:
    breaker = make(clock)
    guard = breaker.guard()
    async with guard:
        with pytest.raises(RuntimeError, match="this guard is in use"):
            await guard.__aenter__()
    assert totals(breaker) == {"success": 1}


async def test_one_guard_can_be_used_for_one_block_after_another(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)
    guard = breaker.guard()
    async with guard:
        pass
    with pytest.raises(DependencyError):
        async with guard:
            await fail()
    assert totals(breaker) == {"success": 1, "failure": 1}


async def test_a_guard_can_be_used_again_after_it_was_rejected(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    guard = breaker.guard()
    with pytest.raises(CircuitBreakerOpenError):
        await guard.__aenter__()
    clock.advance(60)
    async with guard as permit:
        assert permit.is_probe
    assert breaker.state is CircuitState.CLOSED


async def test_a_guard_that_is_used_again_measures_the_new_block(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    guard = breaker.guard()
    unsubscribe = breaker.subscribe(events.append)
    async with guard:
        clock.advance(1)
    unsubscribe()
    clock.advance(1_000)
    async with guard:
        breaker.subscribe(events.append)
    assert [event.duration_seconds for event in events if isinstance(event, CallSucceeded)] in ([1.0, None], [1.0, 0.0])


async def test_a_guard_that_is_used_again_does_not_count_as_hanging(clock: ManualClock) -> None:
    breaker = make(clock)
    guard = breaker.guard()
    unsubscribe = breaker.subscribe(lambda _: None)
    async with guard:
        pass
    unsubscribe()
    clock.advance(1_000)
    with anyio.CancelScope() as scope:
        async with guard:
            breaker.reconfigure(overdue_after_seconds=100)
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert totals(breaker) == {"success": 1, "cancelled": 1}


async def test_a_block_that_was_observed_when_it_began_and_not_when_it_ended_is_settled_once(
    clock: ManualClock,
) -> None:
    breaker = make(clock)
    unsubscribe = breaker.subscribe(lambda _: None)
    guards = [breaker.guard()]
    async with guards[0]:
        unsubscribe()
    drop(guards)
    assert totals(breaker) == {"success": 1}


async def test_a_guard_is_no_synchronous_context_manager(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    with pytest.raises((RuntimeError, TypeError)), breaker.guard():
        pytest.fail("the block ran without protection")


async def test_a_guard_has_its_generation_and_says_whether_it_is_a_probe(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.guard() as permit:
        assert (permit.generation, permit.is_probe) == (1, False)


async def test_a_probe_block_holds_the_permit_until_it_ends(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    async with breaker.guard() as permit:
        assert permit.is_probe
        assert breaker.health()["probes_in_flight"] == 1
    assert breaker.health()["probes_in_flight"] == 0
    assert breaker.state is CircuitState.CLOSED


@pytest.mark.parametrize("field", ["generation", "is_probe"])
async def test_a_guard_that_was_not_entered_has_no_permit(clock: ManualClock, field: str) -> None:
    with pytest.raises(RuntimeError, match="this guard has no permit yet; enter it with `async with"):
        getattr(make(clock).guard(), field)


async def test_a_breaker_is_no_block_and_names_the_guard(clock: ManualClock) -> None:
    with pytest.raises(TypeError, match=r"a block is protected by `async with breaker\.guard\(\)`, not by"):
        async with make(clock):
            pytest.fail("it was entered")
    await make(clock).__aexit__(None, None, None)


async def test_failed_result_is_not_asked_about_a_block(clock: ManualClock) -> None:
    breaker = make(clock, failed_result=lambda _: True)
    async with breaker.guard():
        pass
    assert totals(breaker) == {"success": 1}


async def test_a_cancelled_block_is_ignored(clock: ManualClock) -> None:
    breaker = make(clock)
    with anyio.CancelScope() as scope:
        async with breaker.guard():
            scope.cancel()
            await anyio.sleep_forever()
    assert totals(breaker) == {"cancelled": 1}


async def test_a_block_whose_generation_is_over_is_late(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.guard():
        breaker.reset()
    assert totals(breaker) == {"late": 1}


async def test_entering_and_leaving_do_not_yield_to_the_event_loop(clock: ManualClock) -> None:
    breaker, order = make(clock), []

    async def other() -> None:
        order.append("other")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
        async with breaker.guard():
            pass
        order.append("block")
    assert order == ["block", "other"]


async def test_shadow_mode_admits_a_block_that_would_be_rejected(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)
    async with breaker.guard() as permit:
        assert (permit.generation, permit.is_probe) == (0, False)
    assert (totals(breaker), in_shadow(breaker)) == ({"failure": 1}, (1, 0, 1))


async def test_a_guard_in_an_exit_stack_is_settled_when_the_stack_is(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(breaker.guard())
        assert breaker.health()["probes_in_flight"] == 1
    assert breaker.state is CircuitState.CLOSED


async def test_a_probe_block_in_an_exit_stack_that_is_dropped_is_released_and_counted_as_leaked(
    clock: ManualClock,
) -> None:
    breaker = await make_ready(clock)
    stacks = [AsyncExitStack()]
    await stacks[0].enter_async_context(breaker.guard())
    with pytest.warns(ResourceWarning, match="payments"):
        drop(stacks)
    assert admits_a_probe(breaker)
    assert breaker.health()["leaked_total"] == 1
