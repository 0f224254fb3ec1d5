"""`registry.events()` and `registry.subscribe()`: the events of all breakers."""

import anyio
import pytest

from recloser import BreakerRegistry, CircuitBreaker, CircuitState, Event, StateChanged
from recloser.events import CallSucceeded, EventsDropped
from recloser.testing import ManualClock
from tests.registry.kit import fail, succeed

pytestmark = pytest.mark.anyio

PATIENCE_SECONDS = 60.0
"""How long a test waits for what should happen at once, so that a failing test ends."""


def is_quiet(breaker: CircuitBreaker) -> bool:
    """Returns whether a call takes the closed path, which only counts."""
    return breaker.engine.watch is None and not (breaker.engine.dispatcher and breaker.engine.dispatcher.entries)


async def test_a_stream_yields_the_events_of_breakers_present_and_future(clock: ManualClock) -> None:
    registry = BreakerRegistry(clock=clock)
    registry.breaker("present")
    async with registry.events() as stream:
        succeed(registry, "present")
        succeed(registry, "future")
        registry.add(CircuitBreaker("added")).try_acquire_nowait().succeed()
        with anyio.fail_after(PATIENCE_SECONDS):
            events = [await anext(stream) for _ in range(3)]
    assert [(type(event), event.breaker) for event in events] == [
        (CallSucceeded, "present"),
        (CallSucceeded, "future"),
        (CallSucceeded, "added"),
    ]


async def test_a_listener_receives_the_events_of_all_breakers(clock: ManualClock) -> None:
    registry, heard = BreakerRegistry(clock=clock, failure_threshold=1), []
    unsubscribe = registry.subscribe(heard.append)
    for name in ("a", "b"):
        fail(registry, name)
    unsubscribe()
    fail(registry, "c")
    states = [(event.breaker, event.new) for event in heard if isinstance(event, StateChanged)]
    assert states == [("a", CircuitState.OPEN), ("b", CircuitState.OPEN)]


async def test_without_a_listener_the_closed_path_costs_nothing(clock: ManualClock) -> None:
    registry = BreakerRegistry(clock=clock)
    breaker = registry.breaker("payments")
    registry.events()
    assert is_quiet(breaker)


async def test_a_listener_of_transitions_costs_the_closed_path_of_no_breaker_anything(clock: ManualClock) -> None:
    registry, heard = BreakerRegistry(clock=clock, failure_threshold=1), []
    present = registry.breaker("present")
    registry.subscribe(heard.append, kinds=StateChanged)
    future = registry.breaker("future")
    assert present.engine.watch is None
    assert future.engine.watch is None
    fail(registry, "present")
    fail(registry, "future")
    assert [(event.breaker, event.new) for event in heard] == [
        ("present", CircuitState.OPEN),
        ("future", CircuitState.OPEN),
    ]


async def test_breakers_follow_what_the_listeners_of_their_registry_want(clock: ManualClock) -> None:
    registry, changes, calls = BreakerRegistry(clock=clock), [], []
    breaker = registry.breaker("payments")
    registry.subscribe(changes.append, kinds=StateChanged)
    leave = registry.subscribe(calls.append, kinds=CallSucceeded)
    assert breaker.engine.watch is not None
    succeed(registry, "payments")
    leave()
    assert breaker.engine.watch is None
    succeed(registry, "payments")
    breaker.reset()
    assert ([type(event) for event in calls], [type(event) for event in changes]) == ([CallSucceeded], [StateChanged])


async def test_a_registrys_stream_may_be_of_some_kinds(clock: ManualClock) -> None:
    registry = BreakerRegistry(clock=clock, failure_threshold=1)
    async with registry.events(kinds=StateChanged) as stream:
        fail(registry, "payments")
        with anyio.fail_after(PATIENCE_SECONDS):
            assert isinstance(await anext(stream), StateChanged)


async def test_when_the_last_listener_has_gone_nothing_is_left_behind(clock: ManualClock) -> None:
    registry = BreakerRegistry(clock=clock, max_breakers=2)
    held = registry.breaker("held")
    unsubscribe = registry.subscribe(print)
    async with registry.events():
        for name in ("a", "b"):
            registry.breaker(name)
        unsubscribe()
        unsubscribe()
        assert not is_quiet(held)
    assert all(map(is_quiet, [*registry, held]))
    assert is_quiet(registry.breaker("later"))


async def test_a_breakers_own_listeners_stay(clock: ManualClock) -> None:
    registry, heard = BreakerRegistry(clock=clock), []
    registry.breaker("payments").subscribe(heard.append)
    async with registry.events():
        pass
    succeed(registry, "payments")
    assert len(heard) == 1


async def test_each_event_is_received_once_however_often_a_breaker_is_got_or_added(clock: ManualClock) -> None:
    registry, heard = BreakerRegistry(clock=clock, max_breakers=1), []
    registry.subscribe(heard.append)
    held = registry.breaker("held")
    registry.breaker("other")
    registry.add(registry.breaker("held"))
    succeed(registry, "held")
    assert [event.breaker for event in heard] == [held.name]


async def test_listeners_receive_events_of_an_evicted_breaker_that_is_still_in_use(clock: ManualClock) -> None:
    registry, heard = BreakerRegistry(clock=clock, max_breakers=1), []
    held = registry.breaker("held")
    registry.breaker("other")
    registry.subscribe(heard.append)
    held.try_acquire_nowait().succeed()
    assert [event.breaker for event in heard] == ["held"]


async def test_evicting_a_breaker_with_listeners_breaks_nothing(clock: ManualClock) -> None:
    registry, heard = BreakerRegistry(clock=clock, max_breakers=1), []
    registry.breaker("payments").subscribe(heard.append)
    async with registry.breaker("payments").events() as stream:
        registry.breaker("other")
        succeed(registry, "payments")
        with anyio.fail_after(PATIENCE_SECONDS):
            assert (await anext(stream)).breaker == "payments"
    assert len(heard) == 1


async def test_events_that_a_listener_causes_follow_the_current_one(clock: ManualClock) -> None:
    registry, order = BreakerRegistry(clock=clock), []

    def chain(event: Event) -> None:
        if event.breaker == "a":
            succeed(registry, "b")

    registry.subscribe(chain)
    registry.subscribe(lambda event: order.append(event.breaker))
    succeed(registry, "a")
    assert order == ["a", "b"]


async def test_a_listener_that_raises_is_logged_and_reaches_no_caller(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: Event) -> None:
        raise LookupError

    registry = BreakerRegistry(clock=clock)
    registry.subscribe(broken)
    succeed(registry, "payments")
    assert "A listener of circuit breaker 'payments' raised on CallSucceeded" in caplog.text


async def test_an_interrupt_of_a_listener_goes_through_after_the_call_has_been_counted(clock: ManualClock) -> None:
    def interrupt(_: Event) -> None:
        raise KeyboardInterrupt

    registry = BreakerRegistry(clock=clock)
    registry.subscribe(interrupt)
    breaker = registry.breaker("payments")
    with pytest.raises(KeyboardInterrupt):
        breaker.try_acquire_nowait().succeed()
    assert breaker.health()["success_total"] == 1


async def test_a_slow_reader_gets_the_number_of_events_it_lost(clock: ManualClock) -> None:
    registry = BreakerRegistry(clock=clock)
    async with registry.events(max_buffer=1) as stream:
        for name in ("a", "b", "c"):
            succeed(registry, name)
        with anyio.fail_after(PATIENCE_SECONDS):
            dropped, event = await anext(stream), await anext(stream)
    assert isinstance(dropped, EventsDropped)
    assert (dropped.count, dropped.breaker, event.breaker) == (2, "c", "c")


async def test_a_buffer_of_no_events_is_refused() -> None:
    with pytest.raises(ValueError, match="max_buffer must be an integer >= 1, not 0"):
        BreakerRegistry().events(max_buffer=0)


async def listen(_: Event) -> None:
    pass


@pytest.mark.parametrize("listener", [5, listen], ids=["no function", "coroutine function"])
async def test_a_listener_that_is_not_synchronous_is_refused(listener: object) -> None:
    with pytest.raises(TypeError, match="listener must be a synchronous callable"):
        BreakerRegistry().subscribe(listener)
