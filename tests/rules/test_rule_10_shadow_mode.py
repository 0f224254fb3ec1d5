"""Rule 10: shadow mode rejects nothing."""

import anyio
import pytest

from recloser import CircuitBreakerOpenError, Permit, StateChanged
from recloser.events import CallFailed, CallRejected
from recloser.testing import ManualClock
from tests.breaker.kit import (
    RESET_SECONDS,
    DependencyError,
    answer,
    fail,
    fail_once,
    make,
    make_open,
    make_ready,
    totals,
)
from tests.rules.kit import CLOSED, HALF_OPEN, OPEN, Style, each_style

pytestmark = pytest.mark.anyio


@each_style
@pytest.mark.parametrize("error", [None, DependencyError()], ids=["success", "failure"])
async def test_rule_10_a_call_that_would_be_rejected_runs_in_shadow_mode_and_is_counted_nowhere_else(
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
    assert [(type(event), event.shadow) for event in events] == [(CallRejected, True)]
    assert (breaker.state, totals(breaker)) == (OPEN, {"failure": 1, "rejected": 1})


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


async def test_rule_10_a_cancelled_call_that_would_have_been_rejected_is_counted_nowhere(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)
    for scope in (anyio.CancelScope(), anyio.move_on_after(0)):
        with scope:
            scope.cancel()
            await breaker.call(anyio.sleep_forever)
    assert totals(breaker) == {"failure": 1, "rejected": 2}


async def test_rule_10_predicates_are_not_asked_about_calls_that_would_have_been_rejected(clock: ManualClock) -> None:
    asked: list[object] = []
    breaker = await make_open(clock, shadow=True)
    breaker.reconfigure(expected_exception=asked.append, failed_result=asked.append)
    await fail_once(breaker)
    await breaker.call(answer)
    assert asked == []


async def test_rule_10_outside_shadow_mode_events_say_so(clock: ManualClock) -> None:
    breaker, events = await make_open(clock), []
    breaker.subscribe(events.append)
    with pytest.raises(CircuitBreakerOpenError):
        await breaker.call(answer)
    assert [event.shadow for event in events] == [False]
    assert not any(isinstance(event, CallFailed) for event in events)
