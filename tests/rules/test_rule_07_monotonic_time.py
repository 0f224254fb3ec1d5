"""Rule 7: only monotonic time affects decisions, and a clock that fails harms no call."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from recloser import (
    CircuitBreakerOpenError,
    ConsecutiveFailures,
    Event,
    FailureRate,
    SlowCallRate,
    TimeWindow,
)
from recloser.testing import ManualClock
from tests.breaker.kit import (
    RESET_SECONDS,
    DependencyError,
    answer,
    fail,
    fail_once,
    make,
    make_open,
    make_probing,
    totals,
)
from tests.rules.kit import CLOSED, FragileClock, Style, each_style

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=36_500)], ids=str)
async def test_rule_7_a_jump_of_the_wall_clock_changes_no_decision(clock: ManualClock, jump: timedelta) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    with time_machine.travel(now, tick=False) as traveller:
        breaker = await make_open(clock)
        traveller.shift(jump)
        clock.advance(RESET_SECONDS - 1)
        assert (await breaker.try_acquire(), breaker.retry_after) == (None, 1)
        clock.advance(1)
        traveller.shift(-jump)
        assert await breaker.call(answer) == "answer"
        assert breaker.last_failure_time == now


async def test_rule_7_times_for_people_are_those_of_the_wall_clock(clock: ManualClock) -> None:
    events: list[Event] = []
    now = datetime(2030, 1, 1, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        breaker = make(clock)
        breaker.subscribe(events.append)
        await fail_once(breaker)
    assert {event.at for event in events} == {now}
    assert {event.monotonic for event in events} == {clock()}
    assert breaker.health()["opened_at"] == now.isoformat()


BAD_CLOCKS = {
    "raises": lambda: 1 / 0,
    "NaN": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "minus infinity": lambda: float("-inf"),
    "None": lambda: None,
    "text": lambda: "now",
}
each_bad_clock = pytest.mark.parametrize("bad", BAD_CLOCKS)
EVERY_RULE = [
    ConsecutiveFailures(9),
    ConsecutiveFailures(9, within_seconds=9),
    FailureRate(1.0, window=TimeWindow(9), minimum_calls=9),
    SlowCallRate(1.0, slow_call_seconds=1, minimum_calls=9),
]


@each_style
@each_bad_clock
@pytest.mark.parametrize("rule", EVERY_RULE, ids=str)
async def test_rule_7_a_clock_that_fails_reaches_no_caller_of_a_closed_breaker(
    clock: FragileClock, style: Style, bad: str, rule: object
) -> None:
    breaker = make(clock, trip_when=rule)
    clock.fault = BAD_CLOCKS[bad]
    error = DependencyError()
    assert await style(breaker, answer) == "answer"
    with pytest.raises(DependencyError) as caught:
        await style(breaker, fail, error)
    assert caught.value is error
    clock.fault = None
    assert totals(breaker) == {"success": 1, "failure": 1}


@each_style
@each_bad_clock
async def test_rule_7_a_clock_that_fails_reaches_nobody_when_a_breaker_opens_and_recovers(
    clock: FragileClock, style: Style, bad: str
) -> None:
    breaker = make(clock)
    clock.fault = BAD_CLOCKS[bad]
    with pytest.raises(DependencyError):
        await style(breaker, fail)
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await style(breaker, answer)
    assert caught.value.retry_after == RESET_SECONDS
    assert await breaker.try_acquire() is None
    assert breaker.retry_after == RESET_SECONDS
    clock.fault = None
    clock.advance(RESET_SECONDS)
    assert await style(breaker, answer) == "answer"
    assert breaker.state is CLOSED


@each_bad_clock
async def test_rule_7_a_clock_that_fails_can_still_be_read_around(clock: FragileClock, bad: str) -> None:
    breaker = await make_open(clock)
    clock.fault = BAD_CLOCKS[bad]
    assert breaker.health()["retry_after"] == RESET_SECONDS
    assert "open" in breaker.explain()
    assert breaker.failure_count == 1
    assert not await breaker.wait_until_ready(0)


async def test_rule_7_a_clock_that_fails_is_logged_once_until_it_works_again(
    clock: FragileClock, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = await make_open(clock)
    caplog.clear()
    for _ in range(2):
        clock.fault = BAD_CLOCKS["raises"]
        for _ in range(3):
            assert breaker.retry_after == RESET_SECONDS
        clock.fault = None
        assert breaker.retry_after == RESET_SECONDS
    assert caplog.text.count("The clock of circuit breaker 'payments' failed; its last reading is used") == 2


async def test_rule_7_a_clock_that_goes_back_makes_no_duration_negative(clock: ManualClock) -> None:
    events: list[Event] = []
    breaker = make(clock)
    breaker.subscribe(events.append)
    async with breaker.guard():
        clock.set(0)
    assert [event.duration_seconds for event in events] == [0]
    assert breaker.health()["time_in_state_seconds"] == 0


async def test_rule_7_a_clock_that_goes_back_while_open_only_lengthens_the_wait(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    clock.set(900)
    assert breaker.retry_after == RESET_SECONDS + 100
    assert await breaker.try_acquire() is None
    clock.set(1_000 + RESET_SECONDS)
    assert await breaker.call(answer) == "answer"


@pytest.mark.parametrize("rule", EVERY_RULE, ids=str)
async def test_rule_7_a_clock_that_goes_back_while_closed_breaks_no_rule(clock: ManualClock, rule: object) -> None:
    breaker = make(clock, trip_when=rule)
    for seconds in (1_000, 10, 2_000, 5, 5):
        clock.set(seconds)
        await breaker.call(answer)
        await fail_once(breaker)
    assert totals(breaker) == {"success": 5, "failure": 5}


async def test_rule_7_a_clock_that_goes_back_while_a_probe_runs_does_not_time_it_out(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    clock.set(0)
    assert await breaker.try_acquire() is None
    permit.succeed()
    assert breaker.state is CLOSED
