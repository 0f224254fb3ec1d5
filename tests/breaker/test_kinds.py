"""`subscribe(listener, kinds=...)` and `events(kinds=...)`: a listener costs calls only what it wants."""

import dataclasses

import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState, Event, StateChanged
from recloser.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    EventsDropped,
    LateOutcome,
    ProbeAdmitted,
)
from recloser.testing import ManualClock, RecordingListener
from tests.breaker.kit import (
    DependencyError,
    answer,
    fail,
    fail_once,
    make,
    make_open,
    make_plain,
    make_probing,
    take_first_samples,
    totals,
)

pytestmark = pytest.mark.anyio

PER_CALL = (CallSucceeded, CallFailed, CallIgnored)
OTHERS = (StateChanged, CallRejected, ProbeAdmitted, LateOutcome)


def is_on_closed_path(breaker: CircuitBreaker) -> bool:
    return breaker.engine.live is breaker.engine.machine.epoch


async def live_through_everything(breaker: CircuitBreaker, clock: ManualClock) -> None:
    """Makes at least one event of every kind."""
    late = await breaker.acquire()
    await breaker.call(answer)
    (await breaker.acquire()).ignore()
    await fail_once(breaker)
    assert await breaker.try_acquire() is None
    late.succeed()
    clock.advance(60)
    await fail_once(breaker)
    clock.advance(60)
    await breaker.call(answer)


@pytest.mark.parametrize("kind", [*PER_CALL, *OTHERS], ids=lambda kind: kind.__name__)
async def test_a_listener_of_one_kind_receives_the_same_events_of_it_as_a_listener_of_all(kind: type[Event]) -> None:
    everything, alone = RecordingListener(), RecordingListener()
    clocks = [ManualClock(1_000.0), ManualClock(1_000.0)]
    both, single = map(make, clocks)
    both.subscribe(everything)
    single.subscribe(alone, kinds=kind)
    for breaker, clock in zip((both, single), clocks, strict=True):
        await live_through_everything(breaker, clock)
    assert [repr(event)[:20] for event in alone.events] == [repr(event)[:20] for event in everything.of(kind)] != []
    assert [event.monotonic for event in alone.events] == [event.monotonic for event in everything.of(kind)]
    assert totals(single) == totals(both)


async def test_a_base_class_includes_its_subclasses(clock: ManualClock) -> None:
    breaker, received = make(clock), RecordingListener()
    breaker.subscribe(received, kinds=Event)
    await live_through_everything(breaker, clock)
    assert {type(event) for event in received.events} == {*PER_CALL, *OTHERS}


async def test_two_listeners_each_receive_their_own_kinds(clock: ManualClock) -> None:
    breaker, changes, calls = make(clock), RecordingListener(), RecordingListener()
    breaker.subscribe(changes, kinds=StateChanged)
    breaker.subscribe(calls, kinds=(CallSucceeded, CallFailed))
    await fail_once(breaker)
    assert [type(event) for event in changes.events] == [StateChanged]
    assert [type(event) for event in calls.events] == [CallFailed]


@pytest.mark.parametrize("kind", [*OTHERS, CallFailed, CallIgnored], ids=lambda kind: kind.__name__)
async def test_without_listeners_of_successes_the_closed_path_is_available(
    clock: ManualClock, kind: type[Event]
) -> None:
    breaker = make_plain(clock)
    breaker.subscribe(print, kinds=kind)
    assert is_on_closed_path(breaker)


async def test_the_closed_path_is_available_again_after_the_last_listener_of_successes(clock: ManualClock) -> None:
    breaker = make_plain(clock)
    breaker.subscribe(print, kinds=StateChanged)
    leave = [breaker.subscribe(print, kinds=CallSucceeded) for _ in range(2)]
    assert not is_on_closed_path(breaker)
    leave[0]()
    assert not is_on_closed_path(breaker)
    leave[1]()
    assert is_on_closed_path(breaker)


async def test_a_listener_of_failures_alone_gets_no_durations_but_those_of_probes(clock: ManualClock) -> None:
    async def fail_late() -> None:
        clock.advance(2)
        raise DependencyError

    breaker, received = make_plain(clock), RecordingListener()
    breaker.subscribe(received, kinds=(CallFailed, CallIgnored))
    for _ in range(2):
        with pytest.raises(DependencyError):
            await breaker.call(fail_late)
        clock.advance(60)
    assert [event.duration_seconds for event in received.of(CallFailed)] == [None, 2]


async def test_the_closed_path_comes_back_after_recovery_under_a_listener_of_transitions(clock: ManualClock) -> None:
    breaker = make_plain(clock)
    breaker.subscribe(print, kinds=StateChanged)
    await fail_once(breaker)
    clock.advance(60)
    await breaker.call(answer)
    assert is_on_closed_path(breaker)


async def test_a_listener_of_transitions_causes_no_clock_reading_for_a_call(clock: ManualClock) -> None:
    readings: list[None] = []
    breaker = CircuitBreaker(clock=lambda: readings.append(None) or clock(), failure_threshold=3)
    breaker.subscribe(lambda _: None, kinds=StateChanged)
    await take_first_samples(breaker)
    readings.clear()
    await breaker.call(answer)
    await breaker(answer)()
    async with breaker.guard():
        pass
    await fail_once(breaker)
    assert readings == []


@pytest.mark.parametrize("way", ["call", "acquire", "try_acquire", "try_acquire_nowait"])
async def test_a_rejection_on_the_short_cut_is_reported(clock: ManualClock, way: str) -> None:
    breaker, received = await make_open(clock), RecordingListener()
    assert breaker.engine.shut_until == breaker.engine.machine.reopen_at
    breaker.subscribe(received, kinds=CallRejected)
    clock.advance(10)
    if way == "call":
        with pytest.raises(CircuitBreakerOpenError):
            await breaker.call(answer)
    elif way == "acquire":
        with pytest.raises(CircuitBreakerOpenError):
            await breaker.acquire()
    else:
        attempt = getattr(breaker, way)()
        assert (await attempt if way == "try_acquire" else attempt) is None
    [event] = received.events
    assert isinstance(event, CallRejected)
    assert (event.state, event.retry_after, event.shadow) == (CircuitState.OPEN, 50, False)
    assert event.monotonic == clock()
    assert breaker.snapshot().rejected_total == 1


@pytest.mark.parametrize("way", ["call", "guard", "decorator", "acquire"])
@pytest.mark.parametrize("kinds", [StateChanged, PER_CALL], ids=["transitions", "calls"])
@pytest.mark.parametrize("comes", [True, False], ids=["comes", "goes"])
async def test_a_listener_that_comes_or_goes_during_a_call_changes_no_count(
    clock: ManualClock, way: str, kinds: type[Event] | tuple[type[Event], ...], *, comes: bool
) -> None:
    breaker, received = make_plain(clock), RecordingListener()
    leave = None if comes else breaker.subscribe(received, kinds=kinds)

    async def work() -> None:
        clock.advance(1)
        if leave is None:
            breaker.subscribe(received, kinds=kinds)
        else:
            leave()

    if way == "call":
        await breaker.call(work)
    elif way == "decorator":
        await breaker(work)()
    elif way == "guard":
        async with breaker.guard():
            await work()
    else:
        permit = await breaker.acquire()
        await work()
        permit.succeed()
    assert totals(breaker) == {"success": 1}
    is_reported = comes and kinds is PER_CALL
    assert [(type(event), event.duration_seconds) for event in received.events] == [(CallSucceeded, None)] * is_reported


async def test_a_failure_that_trips_during_a_subscription_to_transitions_is_reported_and_counted_once(
    clock: ManualClock,
) -> None:
    breaker, received = make(clock), RecordingListener()

    async def subscribe_and_fail() -> None:
        breaker.subscribe(received, kinds=StateChanged)
        await fail()

    with pytest.raises(DependencyError):
        await breaker(subscribe_and_fail)()
    assert (breaker.state, totals(breaker), received.transitions) == (
        CircuitState.OPEN,
        {"failure": 1},
        [("closed", "open")],
    )


@pytest.mark.parametrize("kind", [CallFailed, StateChanged], ids=lambda kind: kind.__name__)
async def test_a_timed_out_probe_is_reported_to_listeners_of_failures_or_of_transitions_alone(
    clock: ManualClock, kind: type[Event]
) -> None:
    breaker, permit = await make_probing(clock)
    received = RecordingListener()
    breaker.subscribe(received, kinds=kind)
    clock.advance(60)
    assert await breaker.try_acquire() is None
    permit.ignore()
    assert [type(event) for event in received.events] == [kind]


async def test_a_state_change_has_the_time_until_the_new_state_admits_calls(clock: ManualClock) -> None:
    breaker, received = make(clock), RecordingListener()
    breaker.subscribe(received, kinds=StateChanged)
    await live_through_everything(breaker, clock)
    breaker.force_open("maintenance")
    assert [(event.new.value, event.retry_after) for event in received.of(StateChanged)] == [
        ("open", 60.0),
        ("half_open", None),
        ("open", 60.0),
        ("half_open", None),
        ("closed", 0.0),
        ("forced_open", None),
    ]


async def test_a_stream_of_some_kinds_yields_nothing_else(clock: ManualClock) -> None:
    breaker = make_plain(clock)
    async with breaker.events(kinds=(StateChanged, CallRejected)) as stream:
        assert is_on_closed_path(breaker)
        await live_through_everything(breaker, clock)
        kinds = [type(await anext(stream)).__name__ for _ in range(6)]
    assert kinds == ["StateChanged", "CallRejected", *["StateChanged"] * 4]


async def test_a_stream_of_one_kind_yields_nothing_else_and_counts_its_losses(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events(max_buffer=1, kinds=StateChanged) as stream:
        assert stream.dropped == 0
        breaker.reset()
        breaker.reset()
        assert stream.dropped == 1
        assert isinstance(await anext(stream), StateChanged)
        assert repr(stream) == "<EventStream of StateChanged: 0 unread, 1 lost>"


async def test_a_stream_that_is_asked_for_losses_reports_them(clock: ManualClock) -> None:
    breaker = make(clock)
    async with breaker.events(max_buffer=1, kinds=(StateChanged, EventsDropped)) as stream:
        for _ in range(3):
            breaker.reset()
        assert (await anext(stream)).count == stream.dropped == 2
        assert isinstance(await anext(stream), StateChanged)


def test_the_repr_of_a_stream_of_all_events_says_so(clock: ManualClock) -> None:
    assert repr(make(clock).events()) == "<EventStream of all events: 0 unread, 0 lost>"


@pytest.mark.parametrize(
    "kinds",
    [None, "StateChanged", int, StateChanged.__init__, (StateChanged, int), [StateChanged]],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
def test_kinds_that_are_not_event_types_are_refused(clock: ManualClock, kinds: object) -> None:
    breaker = make_plain(clock)
    for listen in (lambda: breaker.subscribe(print, kinds=kinds), lambda: breaker.events(kinds=kinds)):
        with pytest.raises(TypeError, match="kinds must be an event type, such as StateChanged, or a tuple"):
            listen()
    assert is_on_closed_path(breaker)


@pytest.mark.parametrize("kinds", [(), EventsDropped], ids=repr)
def test_kinds_that_no_breaker_reports_are_refused(clock: ManualClock, kinds: object) -> None:
    with pytest.raises(ValueError, match="kinds must name events that a breaker reports, not"):
        make(clock).subscribe(print, kinds=kinds)


async def test_the_event_of_a_success_equals_one_that_its_constructor_makes(clock: ManualClock) -> None:
    breaker, received = make(clock), RecordingListener()
    breaker.subscribe(received)
    await breaker.call(answer)
    [event] = received.of(CallSucceeded)
    fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(CallSucceeded)}
    assert event == CallSucceeded(**fields)
    assert (event.breaker, event.generation, event.duration_seconds, event.is_probe) == ("payments", 1, 0.0, False)
