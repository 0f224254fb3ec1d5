"""`breaker.subscribe(listener)`: called with every event, in order, after the state has changed."""

import dataclasses
import functools
import logging
from datetime import UTC
from unittest.mock import AsyncMock

import anyio
import pytest

from recloser import CircuitBreaker, CircuitState, CountWindow, Event, FailureRate, StateChanged
from recloser._breaker.dispatch import kind_of
from recloser.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    LateOutcome,
    Outcome,
    ProbeAdmitted,
    ShadowOutcome,
    Trigger,
)
from recloser.testing import ManualClock, RecordingListener
from tests.breaker.kit import (
    EVERYTHING,
    DependencyError,
    answer,
    fail,
    fail_once,
    live_through_everything,
    make,
    make_open,
    make_plain,
    make_probing,
    make_ready,
    names,
    take_first_samples,
)

pytestmark = pytest.mark.anyio


async def test_a_listener_receives_every_event_in_order(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(events.append)
    await live_through_everything(breaker, clock)
    assert names(events) == EVERYTHING


async def test_every_event_carries_the_name_the_time_and_the_reading_of_the_clock(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(events.append)
    await live_through_everything(breaker, clock)
    assert {event.breaker for event in events} == {"payments"}
    assert {event.at.tzinfo for event in events} == {UTC}
    assert sorted(event.monotonic for event in events) == [event.monotonic for event in events]


async def test_events_are_frozen(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(events.append)
    await live_through_everything(breaker, clock)
    for event in events:
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.breaker = "other"


async def test_a_failed_call_is_reported_with_the_type_and_the_text_of_its_error(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(events.append)
    await fail_once(breaker)
    failed = events[0]
    assert isinstance(failed, CallFailed)
    assert (failed.error_type, failed.error_message) == ("DependencyError", "down")
    assert (failed.generation, failed.duration_seconds, failed.is_probe) == (1, 0, False)


async def test_a_result_that_counts_as_a_failure_is_reported_without_an_error(clock: ManualClock) -> None:
    breaker, events = make(clock, failed_result=bool), []
    breaker.subscribe(events.append)
    await breaker.call(answer)
    assert (events[0].error_type, events[0].error_message) == (None, None)


async def test_a_succeeded_call_is_reported_with_its_duration(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(events.append)
    async with breaker.guard():
        clock.advance(1.5)
    [event] = events
    assert isinstance(event, CallSucceeded)
    assert event.duration_seconds == 1.5


async def test_a_call_older_than_its_listener_is_reported_without_a_duration(clock: ManualClock) -> None:
    breaker, events = make_plain(clock), []
    async with breaker.guard():
        breaker.subscribe(events.append)
        clock.advance(1)
    assert [event.duration_seconds for event in events] == [None]


async def test_an_ignored_call_is_reported_with_whether_it_was_cancelled(clock: ManualClock) -> None:
    breaker, events = make(clock, ignored_exception=DependencyError), []
    breaker.subscribe(events.append)
    await fail_once(breaker)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await breaker.call(anyio.sleep_forever)
    assert [(type(event), event.cancelled) for event in events] == [(CallIgnored, False), (CallIgnored, True)]


async def test_a_rejection_is_reported_with_the_state_and_the_time_left(clock: ManualClock) -> None:
    breaker, events = await make_open(clock), []
    breaker.subscribe(events.append)
    clock.advance(20)
    assert await breaker.try_acquire() is None
    [event] = events
    assert isinstance(event, CallRejected)
    assert (event.state, event.retry_after, event.shadow) == (CircuitState.OPEN, 40, False)


async def test_a_late_outcome_is_reported_with_what_it_would_have_counted_as(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    permits = [await breaker.acquire() for _ in range(3)]
    breaker.reset()
    breaker.subscribe(events.append)
    permits[0].succeed()
    permits[1].fail()
    permits[2].ignore()
    assert [(type(e), e.outcome, e.generation) for e in events] == [
        (LateOutcome, Outcome.SUCCESS, 1),
        (LateOutcome, Outcome.FAILURE, 1),
        (LateOutcome, Outcome.IGNORED, 1),
    ]


@pytest.mark.parametrize(("end", "then"), [("fail", []), ("succeed", ["open -> closed"])])
async def test_the_end_of_a_probe_that_has_timed_out_is_reported_as_late(
    clock: ManualClock, end: str, then: list[str]
) -> None:
    breaker, permit = await make_probing(clock)
    events = []
    breaker.subscribe(events.append)
    clock.advance(60)
    assert await breaker.try_acquire() is None
    getattr(permit, end)()
    assert names(events) == ["CallFailed", "half_open -> open", "CallRejected", "LateOutcome", *then]
    failed = events[0]
    assert (failed.is_probe, failed.generation, failed.duration_seconds) == (True, permit.generation, 60)
    assert (failed.error_type, failed.error_message) == (None, "probe still running after 60 s")


async def test_the_first_sign_of_life_of_a_probe_is_reported_as_its_success(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    events = []
    breaker.subscribe(events.append)
    clock.advance(2)
    permit.progress()
    clock.advance(600)
    permit.fail(DependencyError("cut"))
    assert names(events) == ["CallSucceeded", "half_open -> closed", "CallFailed", "closed -> open"]
    passed, failed = events[0], events[2]
    assert (passed.is_probe, passed.generation, passed.duration_seconds) == (True, permit.generation, 2)
    assert (failed.is_probe, failed.generation, failed.duration_seconds) == (False, permit.generation + 1, 602)


async def test_a_probe_is_reported_with_the_generation_of_its_episode(clock: ManualClock) -> None:
    breaker, events = await make_ready(clock), []
    breaker.subscribe(events.append)
    permit = await breaker.acquire()
    assert isinstance(events[-1], ProbeAdmitted)
    assert events[-1].generation == permit.generation == breaker.generation
    permit.ignore()


async def test_the_snapshot_of_a_state_change_holds_the_counts_before_it(clock: ManualClock) -> None:
    breaker, events = make(clock, failure_threshold=2), []
    breaker.subscribe(events.append)
    await fail_once(breaker)
    await fail_once(breaker)
    snapshot = events[-1].snapshot
    assert (snapshot.state, snapshot.failure_count, snapshot.generation) == (CircuitState.CLOSED, 2, 1)


async def test_the_cause_of_an_opening_says_in_numbers_why(clock: ManualClock) -> None:
    breaker, events = make(clock, trip_when=FailureRate(0.5, window=CountWindow(4), minimum_calls=2)), []
    breaker.subscribe(events.append)
    await breaker.call(answer)
    await fail_once(breaker)
    cause = events[-1].cause
    assert (cause.trigger, cause.observed, cause.threshold) == (Trigger.TRIPPED, 0.5, 0.5)
    assert (cause.rule, cause.last_error) == (breaker.health()["rule"], "DependencyError: down")


async def test_a_listener_sees_the_state_as_it_is_after_the_event(clock: ManualClock) -> None:
    breaker, seen = make(clock), []

    def listener(event: Event) -> None:
        seen.append((names([event])[0], breaker.state.value, breaker.health()["probes_in_flight"]))

    breaker.subscribe(listener)
    await live_through_everything(breaker, clock)
    assert seen == [
        ("CallSucceeded", "closed", 0),
        ("CallFailed", "open", 0),
        ("closed -> open", "open", 0),
        ("CallRejected", "open", 0),
        ("open -> half_open", "half_open", 1),
        ("ProbeAdmitted", "half_open", 1),
        ("CallFailed", "open", 0),
        ("half_open -> open", "open", 0),
        ("open -> half_open", "half_open", 1),
        ("ProbeAdmitted", "half_open", 1),
        ("CallSucceeded", "closed", 0),
        ("half_open -> closed", "closed", 0),
    ]


async def test_all_listeners_receive_one_event_before_the_next(clock: ManualClock) -> None:
    breaker, received = make(clock), []
    for number in (1, 2):
        breaker.subscribe(lambda event, number=number: received.append((number, names([event])[0])))
    await fail_once(breaker)
    assert received == [(1, "CallFailed"), (2, "CallFailed"), (1, "closed -> open"), (2, "closed -> open")]


async def test_the_same_listener_subscribed_twice_is_called_twice(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(events.append)
    breaker.subscribe(events.append)
    breaker.reset()
    assert len(events) == 2


async def test_the_same_listener_subscribed_twice_and_unsubscribed_once_is_called_once(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    listener = events.append
    unsubscribe = breaker.subscribe(listener)
    breaker.subscribe(listener)
    unsubscribe()
    unsubscribe()
    breaker.reset()
    assert len(events) == 1


async def test_an_unsubscribed_listener_is_not_called_again(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    unsubscribe = breaker.subscribe(events.append)
    breaker.reset()
    unsubscribe()
    breaker.reset()
    assert len(events) == 1


async def test_a_listener_may_unsubscribe_itself_while_it_is_called(clock: ManualClock) -> None:
    breaker, events = make(clock), []

    def once(event: Event) -> None:
        events.append(event)
        unsubscribe()

    unsubscribe = breaker.subscribe(once)
    breaker.reset()
    breaker.reset()
    assert len(events) == 1


async def test_other_listeners_are_called_although_one_unsubscribes_itself(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    unsubscribe = breaker.subscribe(lambda _: unsubscribe())
    breaker.subscribe(events.append)
    breaker.reset()
    assert len(events) == 1


async def test_a_listener_subscribed_during_a_delivery_receives_later_events_only(clock: ManualClock) -> None:
    breaker, events, more = make(clock), [], []

    def listener(event: Event) -> None:
        events.append(event)
        if len(events) == 1:
            breaker.subscribe(more.append)

    breaker.subscribe(listener)
    breaker.reset()
    breaker.reset()
    assert (len(events), len(more)) == (2, 1)


async def test_events_that_a_listener_causes_are_delivered_after_the_current_one(clock: ManualClock) -> None:
    breaker, received = make(clock, reset_timeout_seconds=0), []

    def busybody(event: Event) -> None:
        if isinstance(event, CallFailed):
            breaker.try_acquire_nowait().succeed()

    breaker.subscribe(busybody)
    breaker.subscribe(lambda event: received.append(names([event])[0]))
    await fail_once(breaker)
    assert received == [
        "CallFailed",
        "closed -> open",
        "open -> half_open",
        "ProbeAdmitted",
        "CallSucceeded",
        "half_open -> closed",
    ]


async def test_a_listener_that_calls_its_own_breaker_at_every_rejection_ends(clock: ManualClock) -> None:
    breaker, rejections = await make_open(clock), []

    def again(event: Event) -> None:
        rejections.append(event)
        if len(rejections) < 100:
            assert breaker.try_acquire_nowait() is None

    breaker.subscribe(again)
    assert await breaker.try_acquire() is None
    assert len(rejections) == 100


class AsyncListener:
    async def __call__(self, event: Event) -> None:
        pass


async def listen(event: Event) -> None:
    pass


@pytest.mark.parametrize(
    "listener",
    [None, 42, "print", listen, functools.partial(listen), AsyncMock(), AsyncListener()],
    ids=["None", "number", "string", "function", "partial", "mock", "object"],
)
def test_a_listener_that_is_no_synchronous_function_is_refused(clock: ManualClock, listener: object) -> None:
    with pytest.raises(TypeError, match="listener must be a synchronous callable"):
        make(clock).subscribe(listener)


async def test_without_a_listener_no_clock_is_read_on_the_closed_path(clock: ManualClock) -> None:
    readings = []
    breaker = CircuitBreaker(clock=lambda: readings.append(None) or clock(), failure_threshold=3)
    await take_first_samples(breaker)
    unsubscribe = breaker.subscribe(lambda _: None)
    await breaker.call(answer)
    unsubscribe()
    readings.clear()
    await breaker.call(answer)
    await breaker(answer)()
    await fail_once(breaker)
    async with breaker.guard():
        pass
    assert readings == []


async def test_a_listener_that_subscribes_during_a_call_receives_its_state_change(clock: ManualClock) -> None:
    breaker, events = make(clock), []

    async def subscribe_and_fail() -> None:
        breaker.subscribe(events.append)
        await fail()

    with pytest.raises(DependencyError):
        await breaker.call(subscribe_and_fail)
    assert names(events) == ["CallFailed", "closed -> open"]


async def test_a_listener_of_one_breaker_receives_no_event_of_another(clock: ManualClock) -> None:
    one, other, events = make(clock), make(clock), []
    one.subscribe(events.append)
    other.reset()
    assert events == []


async def test_a_call_that_only_shadow_mode_admits_is_reported_as_rejected_and_again_with_its_outcome(
    clock: ManualClock,
) -> None:
    breaker, events = await make_open(clock, shadow=True), []
    breaker.subscribe(events.append)

    async def answer_late(error: Exception | None) -> None:
        clock.advance(2)
        if error is not None:
            raise error

    await breaker.call(answer_late, None)
    with pytest.raises(DependencyError):
        await breaker.call(answer_late, DependencyError("still down"))
    assert names(events) == ["CallRejected", "ShadowOutcome"] * 2
    assert [event.shadow for event in events[::2]] == [True, True]
    told = [(e.generation, e.outcome, e.duration_seconds, e.error_type, e.error_message) for e in events[1::2]]
    assert told == [
        (2, Outcome.SUCCESS, 2.0, None, None),
        (2, Outcome.FAILURE, 2.0, "DependencyError", "still down"),
    ]


async def test_what_shadow_mode_lets_through_is_told_to_those_alone_who_ask_for_it(clock: ManualClock) -> None:
    breaker, rejected, ended = await make_open(clock, shadow=True), [], []
    breaker.subscribe(rejected.append, kinds=CallRejected)
    stop = breaker.subscribe(ended.append, kinds=ShadowOutcome)
    await breaker.call(answer)
    stop()
    await breaker.call(answer)
    assert (names(rejected), names(ended)) == (["CallRejected"] * 2, ["ShadowOutcome"])


async def test_a_listener_that_logs_while_logging_is_off_is_called(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("recloser"), "disabled", True)
    breaker, events = make(clock), []
    breaker.subscribe(events.append)
    breaker.reset()
    assert len(events) == 1


async def test_a_success_is_reported_after_the_change_that_began_its_generation(clock: ManualClock) -> None:
    """A success is only reported directly once the change is queued: another thread may make a call in between."""
    breaker, received = make(clock), RecordingListener()
    breaker.subscribe(received)
    engine, enqueued = breaker.engine, []
    refresh = type(engine)._refresh  # noqa: SLF001 - the step that makes the closed path available again

    def noted(self: object) -> None:
        enqueued.append((engine.machine.epoch.generation, [kind_of(item) for item in engine.dispatcher.queue]))
        refresh(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(engine), "_refresh", noted)
        breaker.reset()
    assert enqueued == [(2, [StateChanged])]
