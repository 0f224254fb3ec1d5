"""Reading a breaker: `state`, `health()`, `explain()` and the rest change nothing, and are safe from any thread."""

import gc
import itertools
import json
import threading
import weakref
from datetime import UTC, datetime, timedelta

import anyio
import pytest
import time_machine

from recloser import (
    CircuitBreaker,
    CircuitState,
    CountWindow,
    ExponentialBackoff,
    FailureCount,
    FailureRate,
    SlowCallRate,
    TimeWindow,
)
from recloser.registry import BreakerHealth, CauseHealth
from recloser.testing import ManualClock
from tests.breaker.kit import answer, fail_once, make, make_open, make_probing, make_ready

pytestmark = pytest.mark.anyio

KEYS = {
    "state",
    "failure_count",
    "threshold",
    "rule",
    "generation",
    "success_total",
    "failure_total",
    "ignored_total",
    "cancelled_total",
    "overdue_total",
    "stalled_total",
    "rejected_total",
    "late_total",
    "leaked_total",
    "probe_total",
    "failure_rate",
    "slow_call_rate",
    "retry_after",
    "opened_at",
    "time_in_state_seconds",
    "cause",
    "probes_in_flight",
    "shadow",
    "outage",
    "outages",
}
"""What every release of this version has; later ones may have more."""

CAUSE_KEYS = {
    "trigger",
    "text",
    "rule",
    "observed",
    "threshold",
    "last_error",
    "error_type",
    "error_status",
    "peer",
    "reason",
    "author",
    "for_seconds",
}


NOTHING_IN_SHADOW = {"would_reject": 0, "failed": 0, "succeeded": 0}


async def in_every_state(clock: ManualClock) -> list[CircuitBreaker]:
    probing, permit = await make_probing(clock)
    permit.ignore()
    forced, disabled = make(clock), make(clock)
    forced.force_open("maintenance")
    disabled.disable()
    return [make(clock), await make_open(clock), probing, forced, disabled]


async def test_health_of_a_new_breaker(clock: ManualClock) -> None:
    assert make(clock, failure_threshold=5).health() == {
        "state": "closed",
        "failure_count": 0,
        "threshold": 5,
        "rule": "5 consecutive failures",
        "generation": 1,
        "success_total": 0,
        "failure_total": 0,
        "ignored_total": 0,
        "cancelled_total": 0,
        "overdue_total": 0,
        "stalled_total": 0,
        "rejected_total": 0,
        "late_total": 0,
        "leaked_total": 0,
        "probe_total": 0,
        "failure_rate": None,
        "slow_call_rate": None,
        "retry_after": 0.0,
        "opened_at": None,
        "time_in_state_seconds": 0.0,
        "cause": None,
        "probes_in_flight": 0,
        "shadow": None,
        "outage": None,
        "outages": [],
    }


async def test_health_shows_shadow_mode(clock: ManualClock) -> None:
    breaker = await make_open(clock, shadow=True)
    health = breaker.health()
    assert (health["state"], health["retry_after"], health["shadow"]) == ("open", 60.0, NOTHING_IN_SHADOW)
    for _ in range(3):
        await breaker.call(answer)
    await fail_once(breaker)
    assert breaker.health()["shadow"] == {"would_reject": 4, "failed": 1, "succeeded": 3}
    breaker.reconfigure(shadow=False)
    assert breaker.health()["shadow"] is None


async def test_health_of_a_breaker_that_has_opened(clock: ManualClock) -> None:
    with time_machine.travel(datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), tick=False):
        breaker = await make_open(clock)
    clock.advance(20)
    health = breaker.health()
    expected = {
        "state": "open",
        "failure_count": 1,
        "generation": 2,
        "failure_total": 1,
        "retry_after": 40.0,
        "opened_at": "2030-01-02T03:04:05+00:00",
        "time_in_state_seconds": 20.0,
        "cause": {
            "trigger": "tripped",
            "text": "1 consecutive failure (threshold 1)",
            "rule": "1 consecutive failure",
            "observed": 1,
            "threshold": 1,
            "last_error": "DependencyError: down",
            "error_type": "DependencyError",
            "error_status": None,
            "peer": None,
            "reason": None,
            "author": None,
            "for_seconds": None,
        },
    }
    assert {key: health[key] for key in expected} == expected


async def test_health_has_all_keys_and_is_ready_for_json_in_every_state(clock: ManualClock) -> None:
    for breaker in await in_every_state(clock):
        health = breaker.health()
        assert set(health) == KEYS == BreakerHealth.__annotations__.keys()
        if health["cause"] is not None:
            assert set(health["cause"]) == CAUSE_KEYS == CauseHealth.__annotations__.keys()
        assert json.loads(json.dumps(health, allow_nan=False)) == health


async def test_the_values_of_health_are_plain_and_no_enumerations(clock: ManualClock) -> None:
    for breaker in await in_every_state(clock):
        health = breaker.health()
        nested = ("cause", "outage", "outages")
        values = [value for key, value in health.items() if key not in nested]
        values += [*(health["cause"] or {}).values()]
        assert {type(value) for value in values} <= {str, int, float, bool, type(None)}


async def test_the_health_of_several_breakers_fits_the_requested_shape(clock: ManualClock) -> None:
    breakers = {"payments": make(clock), "stock": await make_open(clock)}
    status = {
        "timestamp": datetime.now(UTC).isoformat(),
        "breakers": {name: breaker.health() for name, breaker in breakers.items()},
    }
    decoded = json.loads(json.dumps(status))["breakers"]["stock"]
    assert (decoded["state"], decoded["failure_count"], decoded["threshold"]) == ("open", 1, 1)


async def test_health_shows_the_rates(clock: ManualClock) -> None:
    rule = FailureRate(0.9, window=CountWindow(4), minimum_calls=2)
    slow = SlowCallRate(0.9, slow_call_seconds=1, window=CountWindow(4), minimum_calls=2)
    breaker = make(clock, trip_when=rule | slow)
    assert (breaker.health()["failure_rate"], breaker.health()["slow_call_rate"]) == (None, None)
    await fail_once(breaker)
    async with breaker.guard():
        clock.advance(2)
    assert (breaker.health()["failure_rate"], breaker.health()["slow_call_rate"]) == (0.5, 0.5)


async def test_the_threshold_of_rules_joined_is_that_of_the_first(clock: ManualClock) -> None:
    breaker = make(clock, trip_when=FailureCount(3, window=TimeWindow(10)) | FailureRate(0.5))
    assert breaker.failure_threshold == breaker.health()["threshold"] == 3
    assert " | " in breaker.health()["rule"]


async def test_a_closed_breaker_has_no_opening_time_any_more(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    await breaker.call(answer)
    assert breaker.health()["opened_at"] is None


async def test_a_disabled_breaker_has_no_opening_time_any_more(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    breaker.disable()
    assert (breaker.health()["opened_at"], breaker.snapshot().opened_monotonic) == (None, None)


async def test_a_half_open_breaker_still_has_its_opening_time(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    opened_at = breaker.health()["opened_at"]
    clock.advance(60)
    permit = await breaker.acquire()
    assert breaker.health()["opened_at"] == opened_at is not None
    permit.ignore()


async def test_the_state_and_the_text_of_the_state(clock: ManualClock) -> None:
    states = [(breaker.state, breaker.get_state()) for breaker in await in_every_state(clock)]
    assert states == [
        (CircuitState.CLOSED, "closed"),
        (CircuitState.OPEN, "open"),
        (CircuitState.HALF_OPEN, "half_open"),
        (CircuitState.FORCED_OPEN, "forced_open"),
        (CircuitState.DISABLED, "disabled"),
    ]
    assert {type(text) for _, text in states} == {str}


async def test_the_time_until_a_call_has_a_chance(clock: ManualClock) -> None:
    times = [breaker.retry_after for breaker in await in_every_state(clock)]
    assert times[:1] + times[3:] == [0, None, 0]


async def test_reading_changes_nothing_when_the_reset_timeout_has_elapsed(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    for _ in range(2):
        readings = (breaker.state, breaker.retry_after, breaker.health()["state"], breaker.generation)
        assert readings == (CircuitState.OPEN, 0, "open", 2)
        assert "the next call is a probe" in breaker.explain()


async def test_reading_changes_nothing_when_a_probe_has_outlived_its_time(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    clock.advance(1_000)
    assert (breaker.state, breaker.health()["probes_in_flight"]) == (CircuitState.HALF_OPEN, 1)
    permit.succeed()
    assert breaker.state is CircuitState.CLOSED


async def test_the_failure_count_goes_back_to_0_after_closing(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    assert breaker.failure_count == 1
    await breaker.call(answer)
    assert breaker.failure_count == 0


async def test_explain_says_what_a_closed_breaker_has_counted_and_when_it_opens(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=5)
    await fail_once(breaker)
    clock.advance(9.5)
    assert breaker.explain() == (
        "Circuit breaker 'payments' is closed for 9.5 s: 1 failure counted; it opens at 5 consecutive failures."
    )


async def test_explain_says_why_a_breaker_is_open_and_until_when(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    clock.advance(9.5)
    assert breaker.explain() == (
        "Circuit breaker 'payments' is open for 9.5 s: 1 consecutive failure (threshold 1); "
        "last error DependencyError: down; a probe may go through in 50.5 s."
    )


async def test_explain_says_why_a_breaker_is_forced_open(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.force_open("maintenance")
    assert breaker.explain() == (
        "Circuit breaker 'payments' is forced open for 0.0 s: forced open until reset: maintenance; "
        "it rejects all calls until reset() is called."
    )


async def test_explain_says_that_a_disabled_breaker_admits_everything(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.disable()
    assert breaker.explain() == (
        "Circuit breaker 'payments' is disabled for 0.0 s: disabled by hand; 0 failures counted; "
        "it admits all calls and trips on nothing until reset() is called."
    )


async def test_explain_says_how_many_probes_run(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock, success_threshold=2)
    assert breaker.explain() == (
        "Circuit breaker 'payments' is half open for 0.0 s: the reset timeout has elapsed and a call arrived; "
        "last error DependencyError: down; 1 probe running, 0 of 2 succeeded; "
        "it closes at 2 and opens again on a failure; "
        "the outage has lasted 60.0 s and began with: 1 consecutive failure (threshold 1)."
    )
    permit.ignore()


async def test_explain_does_not_count_a_probe_whose_permit_was_dropped(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    with pytest.warns(ResourceWarning):
        del permit
    assert "0 probes running" in breaker.explain()


async def test_the_representation_names_the_breaker_and_its_state(clock: ManualClock) -> None:
    assert repr(make(clock)) == "<CircuitBreaker 'payments' closed>"


async def test_the_last_failure_time_is_an_aware_utc_time(clock: ManualClock) -> None:
    now = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    with time_machine.travel(now, tick=False):
        breaker = await make_open(clock)
    assert breaker.last_failure_time == now
    assert breaker.last_failure_time.utcoffset() == timedelta(0)


async def test_there_is_no_last_failure_time_before_the_first_failure(clock: ManualClock) -> None:
    breaker = make(clock)
    await breaker.call(answer)
    assert breaker.last_failure_time is None


async def test_the_last_failure_time_survives_closing(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    failed = breaker.last_failure_time
    await breaker.call(answer)
    assert breaker.last_failure_time == failed is not None


async def test_a_failed_probe_sets_the_last_failure_time(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    with time_machine.travel(datetime(2030, 1, 1, tzinfo=UTC), tick=False):
        await fail_once(breaker)
    assert breaker.last_failure_time == datetime(2030, 1, 1, tzinfo=UTC)


async def test_a_late_failure_does_not_set_the_last_failure_time(clock: ManualClock) -> None:
    breaker = make(clock)
    permit = await breaker.acquire()
    breaker.reset()
    permit.fail()
    assert breaker.last_failure_time is None


async def test_the_reset_timeout_reads_as_it_was_given(clock: ManualClock) -> None:
    backoff = ExponentialBackoff()
    timeouts = [make(clock, reset_timeout_seconds=value).reset_timeout_seconds for value in (30, 30.0, backoff)]
    assert timeouts == [30, 30, backoff]


async def test_a_snapshot_is_a_value_that_does_not_change(clock: ManualClock) -> None:
    breaker = make(clock)
    snapshot = breaker.snapshot()
    breaker.reset()
    assert (snapshot.generation, breaker.snapshot().generation) == (1, 2)


async def test_reading_from_another_thread_while_calls_run_never_fails() -> None:
    rule = FailureRate(0.5, window=TimeWindow(10), minimum_calls=4) | FailureCount(100, window=CountWindow(100))
    breaker = CircuitBreaker("payments", trip_when=rule, reset_timeout_seconds=0, clock=itertools.count().__next__)
    stop, read_states, errors = threading.Event(), set(), []

    def read() -> None:
        try:
            while not stop.is_set():
                read_states.add(breaker.health()["state"])
                assert breaker.explain()
                assert breaker.failure_count >= 0
                assert breaker.last_failure_time is None or breaker.last_failure_time.tzinfo is UTC
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test has to show it
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(300):
            await breaker.call(answer)
            await fail_once(breaker)
            await anyio.lowlevel.checkpoint()
    finally:
        stop.set()
        reader.join()
    assert errors == []
    assert read_states <= {"closed", "open", "half_open"}


async def test_a_breaker_that_was_dropped_does_not_stay_in_memory(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    gone = weakref.ref(breaker)
    del breaker
    gc.collect()
    assert gone() is None


async def test_a_probe_that_timed_out_is_the_latest_failure(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    before = breaker.last_failure_time
    clock.advance(60)
    assert await breaker.try_acquire() is None
    assert breaker.last_failure_time > before
    permit.ignore()
