"""Rule 10: shadow mode rejects nothing, and tells what it would have rejected and how that really ended."""

import anyio
import pytest

from recloser import CircuitBreakerOpenError, Permit, StateChanged
from recloser.events import CallFailed, CallRejected, Outcome, ShadowOutcome
from recloser.testing import ManualClock
from tests.breaker.kit import (
    RESET_SECONDS,
    DependencyError,
    answer,
    fail,
    fail_once,
    in_shadow,
    make,
    make_open,
    make_ready,
    totals,
)
from tests.rules.kit import CLOSED, HALF_OPEN, OPEN, Style, each_style

pytestmark = pytest.mark.anyio


@each_style
@pytest.mark.parametrize("error", [None, DependencyError()], ids=["success", "failure"])
async def test_rule_10_a_call_that_would_be_rejected_runs_in_shadow_mode_and_is_counted_apart_with_its_outcome(
    clock: ManualClock, style: Style, error: Exception | None
) -> None:
    breaker, events = await make_open(clock, shadow=True), []
    breaker.subscribe(events.append)
    if error is None:
        assert await style(breaker, answer) == "answer"
    else:
        with pytest.raises(DependencyError) as caught:
            await style(breaker, fail, error)
        assert caught.value is error
    rejected, ended = events
    assert isinstance(rejected, CallRejected)
    assert rejected.shadow
    assert isinstance(ended, ShadowOutcome)
    assert ended.outcome is (Outcome.SUCCESS if error is None else Outcome.FAILURE)
    assert (breaker.state, totals(breaker)) == (OPEN, {"failure": 1})
    assert in_shadow(breaker) == ((1, 0, 1) if error is None else (1, 1, 0))


@each_style
async def test_rule_10_the_whole_state_machine_runs_in_shadow_mode(clock: ManualClock, style: Style) -> None:
    breaker, states = make(clock, shadow=True), []
    breaker.subscribe(lambda event: states.append(event.new) if isinstance(event, StateChanged) else None)
    with pytest.raises(DependencyError):
        await style(breaker, fail)
    await style(breaker, answer)
    clock.advance(RESET_SECONDS)
    await style(breaker, answer)
    assert states == [OPEN, HALF_OPEN, CLOSED]


async def test_rule_10_nothing_is_rejected_in_shadow_mode_in_any_state(clock: ManualClock) -> None:
    breaker = await make_ready(clock, shadow=True)
    permits: list[Permit | None] = [await breaker.try_acquire() for _ in range(5)]
    assert [permit.is_probe for permit in permits] == [True, False, False, False, False]
    breaker.force_open("maintenance")
    assert await breaker.call(answer) == "answer"
    permits[0].ignore()


async def test_rule_10_a_call_without_a_permit_in_shadow_mode_settles_no_probe(clock: ManualClock) -> None:
    breaker = await make_ready(clock, shadow=True)
    probe, extra = await breaker.acquire(), await breaker.acquire()
    extra.fail()
    assert (breaker.state, breaker.health()["probes_in_flight"]) == (HALF_OPEN, 1)
    probe.succeed()
    assert breaker.state is CLOSED


async def test_rule_10_a_cancelled_call_that_would_have_been_rejected_neither_failed_nor_succeeded(
    clock: ManualClock,
) -> None:
    breaker = await make_open(clock, shadow=True)
    for _ in range(2):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await breaker.call(anyio.sleep_forever)
    assert (totals(breaker), in_shadow(breaker)) == ({"failure": 1}, (2, 0, 0))


async def test_rule_10_a_call_that_would_have_been_rejected_fails_by_its_deadline(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)

    async def hang() -> None:
        clock.advance(10)
        await anyio.sleep_forever()

    with anyio.move_on_after(0.01):
        await breaker.call(hang)
    assert (totals(breaker), in_shadow(breaker)) == ({"failure": 1}, (1, 1, 0))


async def test_rule_10_the_settings_decide_how_a_call_ended_that_would_have_been_rejected(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)
    breaker.reconfigure(expected_exception=OSError, ignored_exception=KeyError, failed_result="bad".__eq__)
    for result in ("bad", "good"):
        await breaker.call(lambda result=result: result)
    for error in (OSError(), ValueError(), KeyError()):
        with pytest.raises(type(error)):
            await breaker.call(fail, error)
    assert (totals(breaker), in_shadow(breaker)) == ({"failure": 1}, (5, 2, 2))


async def test_rule_10_outcomes_change_nothing_of_calls_that_would_have_been_rejected(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)
    before = breaker.snapshot()
    for _ in range(5):
        await fail_once(breaker)
        await breaker.call(answer)
    after = breaker.snapshot()
    assert (after.state, after.generation, after.failure_count) == (before.state, 2, before.failure_count)
    assert (after.failure_total, after.success_total, after.late_total) == (1, 0, 0)
    assert in_shadow(breaker) == (10, 5, 5)


async def test_rule_10_what_was_let_through_is_known_after_shadow_mode_and_no_rejection_is_part_of_it(
    clock: ManualClock,
) -> None:
    breaker = await make_open(clock)
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(answer)
    breaker.reconfigure(shadow=True)
    permit = await breaker.acquire()
    breaker.reconfigure(shadow=False)
    permit.fail()
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(answer)
    snapshot = breaker.snapshot()
    assert (snapshot.rejected_total, snapshot.shadow_calls) == (2, (1, 1, 0))
    assert (snapshot.shadow, breaker.health()["shadow"]) == (False, None)


async def test_rule_10_a_call_from_inside_a_probe_is_part_of_it_in_shadow_mode(clock: ManualClock) -> None:
    breaker = await make_ready(clock, shadow=True)

    async def nested() -> object:
        return await breaker.call(answer)

    assert await breaker.call(nested) == "answer"
    assert (breaker.state, in_shadow(breaker)) == (CLOSED, (0, 0, 0))


async def test_rule_10_outside_shadow_mode_events_say_so(clock: ManualClock) -> None:
    breaker, events = await make_open(clock), []
    breaker.subscribe(events.append)
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(answer)
    assert [event.shadow for event in events] == [False]
    assert not any(isinstance(event, CallFailed) for event in events)
