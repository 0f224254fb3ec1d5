"""Short ways into the states of a breaker, and the listener that remembers how it went."""

import math

import pytest

from recloser import (
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
    ConsecutiveFailures,
    CountWindow,
    FailureCount,
    FailureRate,
    SlowCallRate,
    StateChanged,
    TimeWindow,
)
from recloser.events import CallFailed
from recloser.testing import ManualClock, RecordingListener, half_open_breaker, open_breaker

pytestmark = pytest.mark.anyio

OPEN, HALF_OPEN, CLOSED = CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)


async def answer() -> str:
    return "answer"


RULES = [
    ConsecutiveFailures(3),
    FailureRate(0.9, window=CountWindow(100), minimum_calls=20),
    FailureCount(5, window=TimeWindow(60)),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_a_breaker_opens_by_its_own_rule(clock: ManualClock, rule: object) -> None:
    breaker = CircuitBreaker("payments", trip_when=rule, clock=clock)
    for _ in range(50):
        await breaker.call(answer)
    await open_breaker(breaker)
    assert (breaker.state, breaker.retry_after) == (OPEN, 60)
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await breaker.call(answer)
    assert caught.value.last_error == "ConnectionError: an outage by recloser.testing"


async def test_the_failures_are_those_that_the_test_names(clock: ManualClock) -> None:
    breaker = CircuitBreaker("payments", expected_exception=LookupError, clock=clock)
    await open_breaker(breaker, error=LookupError("gone"))
    assert breaker.snapshot().cause.last_error == "LookupError: gone"


async def test_a_type_of_failures_is_enough(clock: ManualClock) -> None:
    breaker = CircuitBreaker("payments", expected_exception=LookupError, clock=clock)
    await open_breaker(breaker, error=KeyError)
    assert breaker.snapshot().cause.last_error == "KeyError"


@pytest.mark.parametrize("error", ["down", int, 5])
async def test_a_failure_that_cannot_be_raised_is_refused(clock: ManualClock, error: object) -> None:
    breaker = CircuitBreaker(clock=clock)
    with pytest.raises(TypeError, match="error must be an exception or a type of exceptions, not"):
        await open_breaker(breaker, error=error)
    assert breaker.state is CLOSED


async def test_a_rule_on_slow_calls_needs_calls_that_take_their_time(clock: ManualClock) -> None:
    rule = SlowCallRate(0.5, slow_call_seconds=2.0, window=CountWindow(10), minimum_calls=4)
    breaker = CircuitBreaker("payments", trip_when=rule, clock=clock)
    await open_breaker(breaker, clock=clock, call_seconds=2.5)
    assert breaker.state is OPEN
    assert clock() == 1_000 + 4 * 2.5


async def test_a_rule_that_does_not_trip_is_named(clock: ManualClock) -> None:
    breaker = CircuitBreaker("payments", trip_when=SlowCallRate(0.5, slow_call_seconds=2.0), clock=clock)
    with pytest.raises(RuntimeError, match=r"'payments' is still closed after 10000 failures, by its rule .*slow"):
        await open_breaker(breaker)


async def test_a_breaker_that_is_open_stays_as_it_is(clock: ManualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    await open_breaker(breaker)
    clock.advance(30)
    before = breaker.snapshot()
    await open_breaker(breaker)
    assert breaker.snapshot() == before


async def test_a_breaker_whose_reset_timeout_has_elapsed_opens_again(clock: ManualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    await open_breaker(breaker)
    clock.advance(60)
    await open_breaker(breaker)
    assert (breaker.state, breaker.retry_after, breaker.snapshot().attempt) == (OPEN, 60, 2)


async def test_a_half_open_breaker_opens_by_a_probe_that_fails(clock: ManualClock) -> None:
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    await half_open_breaker(breaker, clock)
    await open_breaker(breaker)
    assert (breaker.state, breaker.retry_after) == (OPEN, 60)


async def test_a_half_open_breaker_whose_probe_is_running_can_not_fail_another(clock: ManualClock) -> None:
    breaker = CircuitBreaker("payments", failure_threshold=1, clock=clock)
    await half_open_breaker(breaker, clock)
    probe = await breaker.acquire()
    with pytest.raises(
        RuntimeError, match="'payments' does not admit a call that could fail: .*half open .* 1 probe running"
    ):
        await open_breaker(breaker)
    probe.ignore()


@pytest.mark.parametrize("state", ["forced_open", "disabled"])
@pytest.mark.parametrize("way", [open_breaker, half_open_breaker])
async def test_a_state_that_was_set_by_hand_is_refused(clock: ManualClock, state: str, way: object) -> None:
    breaker = CircuitBreaker("payments", clock=clock)
    (breaker.force_open("maintenance") if state == "forced_open" else breaker.disable())
    with pytest.raises(RuntimeError, match=f"'payments' is {state}, which no outage changes: call breaker.reset"):
        await way(breaker)


async def test_a_breaker_without_reset_timeout_opens_too(clock: ManualClock) -> None:
    breaker = CircuitBreaker(reset_timeout_seconds=0, clock=clock)
    await open_breaker(breaker)
    assert breaker.state is OPEN
    await half_open_breaker(breaker)
    assert breaker.state is HALF_OPEN


@pytest.mark.parametrize("start", [0.0, 0.1, 1e9 + 0.1])
@pytest.mark.parametrize("open_seconds", [60, 0.1, 0.3, 1e-9])
async def test_a_half_open_breaker_waits_for_its_probe(start: float, open_seconds: float) -> None:
    clock = ManualClock(start)
    breaker = CircuitBreaker(reset_timeout_seconds=open_seconds, clock=clock)
    await half_open_breaker(breaker, clock)
    assert (breaker.state, breaker.snapshot().probes_in_flight) == (HALF_OPEN, 0)
    assert math.isclose(clock(), start + open_seconds)
    permit = await breaker.acquire()
    assert permit.is_probe
    assert await breaker.try_acquire() is None
    permit.succeed()
    assert breaker.state is CLOSED


async def test_a_half_open_breaker_stays_as_it_is(clock: ManualClock) -> None:
    breaker = CircuitBreaker(clock=clock)
    await half_open_breaker(breaker, clock)
    before = breaker.snapshot()
    await half_open_breaker(breaker)
    assert breaker.snapshot() == before


async def test_an_open_breaker_does_not_get_half_open_without_its_clock(clock: ManualClock) -> None:
    breaker = CircuitBreaker("payments", clock=clock)
    with pytest.raises(RuntimeError, match=r"'payments' is open for another 60.0 s: pass clock, its ManualClock"):
        await half_open_breaker(breaker)


@pytest.mark.parametrize("real", [True, False])
async def test_a_clock_that_is_not_the_breakers_is_noticed(clock: ManualClock, *, real: bool) -> None:
    breaker = CircuitBreaker("payments") if real else CircuitBreaker("payments", clock=clock)
    with pytest.raises(
        RuntimeError, match=r"the reset timeout of 'payments' does not elapse: ManualClock.* is not its"
    ):
        await half_open_breaker(breaker, ManualClock())


async def test_slow_calls_without_a_clock_are_refused(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="call_seconds=2 needs clock, the ManualClock of the breaker"):
        await open_breaker(CircuitBreaker(clock=clock), call_seconds=2)
    with pytest.raises(ValueError, match="call_seconds must be a finite number of seconds >= 0, not -1"):
        await open_breaker(CircuitBreaker(clock=clock), clock=clock, call_seconds=-1)


# The listener


async def test_a_recording_listener_keeps_what_it_is_told_in_order(clock: ManualClock) -> None:
    breaker, events = CircuitBreaker(failure_threshold=2, clock=clock), RecordingListener()
    breaker.subscribe(events)
    await half_open_breaker(breaker, clock)
    assert [type(event).__name__ for event in events.events] == [
        "CallFailed",
        "CallFailed",
        "StateChanged",
        "StateChanged",
        "ProbeAdmitted",
        "CallIgnored",
    ]
    assert events.transitions == [("closed", "open"), ("open", "half_open")]
    assert [event.error_type for event in events.of(CallFailed)] == ["ConnectionError"] * 2
    assert len(events.of(StateChanged)) == 2


async def test_a_recording_listener_can_be_emptied() -> None:
    breaker, events = CircuitBreaker(failure_threshold=1), RecordingListener()
    breaker.subscribe(events)
    await open_breaker(breaker)
    assert repr(events) == "<RecordingListener: CallFailed, StateChanged>"
    events.clear()
    assert (events.events, events.transitions) == ([], [])
