"""Rule 1: the outcome of a call counts in the generation that admitted it, and in no other."""

import anyio
import pytest

from recloser.testing import ManualClock
from tests.breaker.kit import (
    RESET_SECONDS,
    Dependency,
    DependencyError,
    admits_a_probe,
    answer,
    fail_once,
    make,
    make_probing,
    totals,
)
from tests.rules.kit import CLOSED, HALF_OPEN, OPEN, Style, each_style

pytestmark = pytest.mark.anyio


@each_style
@pytest.mark.parametrize("error", [None, DependencyError()], ids=["success", "failure"])
async def test_rule_1_a_call_of_an_earlier_generation_is_late_and_changes_nothing(
    clock: ManualClock, style: Style, error: Exception | None
) -> None:
    breaker, dependency, ended = make(clock), Dependency(), []

    async def slow_call() -> None:
        try:
            ended.append(await style(breaker, dependency.call, error))
        except DependencyError as caught:
            ended.append(caught)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow_call)
        await dependency.called.wait()
        await fail_once(breaker)
        clock.advance(30)
        before = breaker.snapshot()
        dependency.may_end.set()
    assert ended == ["answer"] if error is None else ended == [error]
    after = breaker.snapshot()
    assert (after.state, after.retry_after, after.generation) == (OPEN, 30, before.generation)
    assert totals(breaker) == {"failure": 1, "late": 1}


@pytest.mark.parametrize("end", ["succeed", "fail"])
async def test_rule_1_a_late_outcome_neither_closes_nor_opens_a_later_half_open_episode(
    clock: ManualClock, end: str
) -> None:
    breaker, late = await make_probing(clock)
    clock.advance(RESET_SECONDS)
    assert await breaker.try_acquire() is None
    clock.advance(RESET_SECONDS)
    current = await breaker.acquire()
    getattr(late, end)()
    assert (breaker.state, breaker.health()["late_total"]) == (HALF_OPEN, 1)
    current.succeed()
    assert breaker.state is CLOSED


@pytest.mark.parametrize("end", ["succeed", "fail", "ignore"])
async def test_rule_1_a_late_outcome_adds_no_permit_in_a_later_half_open_episode(clock: ManualClock, end: str) -> None:
    breaker, late = await make_probing(clock)
    clock.advance(RESET_SECONDS)
    assert await breaker.try_acquire() is None
    clock.advance(RESET_SECONDS)
    current = await breaker.acquire()
    getattr(late, end)()
    assert await breaker.try_acquire() is None
    current.ignore()
    assert admits_a_probe(breaker)


async def test_rule_1_a_late_failure_does_not_reopen_a_breaker_that_has_closed(clock: ManualClock) -> None:
    breaker = make(clock)
    late = await breaker.acquire()
    await fail_once(breaker)
    clock.advance(RESET_SECONDS)
    await breaker.call(answer)
    late.fail()
    assert (breaker.state, breaker.failure_count) == (CLOSED, 0)


async def test_rule_1_a_late_success_does_not_end_a_run_of_failures(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)
    late = await breaker.acquire()
    breaker.reset()
    await fail_once(breaker)
    late.succeed()
    assert breaker.failure_count == 1


async def test_rule_1_a_late_failure_does_not_lengthen_the_reset_timeout_or_add_an_attempt(clock: ManualClock) -> None:
    breaker = make(clock)
    late = await breaker.acquire()
    await fail_once(breaker)
    clock.advance(50)
    late.fail()
    assert (breaker.retry_after, breaker.snapshot().attempt) == (10, 1)


@each_style
async def test_rule_1_a_call_admitted_before_a_reset_is_late_although_the_state_is_the_same(
    clock: ManualClock, style: Style
) -> None:
    breaker = make(clock)

    async def reset_meanwhile() -> None:
        breaker.reset()
        raise DependencyError

    with pytest.raises(DependencyError):
        await style(breaker, reset_meanwhile)
    assert (breaker.state, totals(breaker)) == (CLOSED, {"late": 1})
