"""Listeners that raise: the breaker logs what they raise, and lets interrupts through once its state is settled."""

import functools

import pytest

from recloser import CircuitState, Event, StateChanged
from recloser.events import CallFailed, CallRejected, CallSucceeded, ProbeAdmitted
from recloser.testing import ManualClock
from tests.breaker.kit import (
    EVERYTHING,
    admits_a_probe,
    answer,
    fail,
    live_through_everything,
    make,
    make_open,
    make_probing,
    make_ready,
    names,
    totals,
)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", [CallFailed, StateChanged, CallRejected, ProbeAdmitted, CallSucceeded])
@pytest.mark.parametrize("error", [ValueError, ExceptionGroup, GeneratorExit], ids=lambda kind: kind.__name__)
async def test_a_listener_that_raises_changes_nothing_for_the_caller_and_other_listeners(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, kind: type[Event], error: type[BaseException]
) -> None:
    breaker, events = make(clock), []

    def clumsy(event: Event) -> None:
        if isinstance(event, kind):
            raise error("clumsy", [ValueError()]) if error is ExceptionGroup else error("clumsy")

    breaker.subscribe(clumsy)
    breaker.subscribe(events.append)
    await live_through_everything(breaker, clock)
    assert names(events) == EVERYTHING
    assert f"A listener of circuit breaker 'payments' raised on {kind.__name__}" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", [CallFailed, StateChanged])
async def test_an_interrupt_in_a_listener_goes_through_after_the_state_is_settled(
    clock: ManualClock, kind: type[Event], error: type[BaseException]
) -> None:
    breaker = make(clock)

    def interrupt(event: Event) -> None:
        if isinstance(event, kind):
            raise error

    breaker.subscribe(interrupt)
    with pytest.raises(error):
        await breaker.call(fail)
    assert (breaker.state, totals(breaker)) == (CircuitState.OPEN, {"failure": 1})


async def test_other_listeners_are_called_although_one_raises_an_interrupt(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(functools.partial(interrupt_on, CallFailed))
    breaker.subscribe(events.append)
    with pytest.raises(KeyboardInterrupt):
        await breaker.call(fail)
    assert names(events) == ["CallFailed", "closed -> open"]


async def test_an_interrupt_in_a_listener_does_not_silence_the_breaker(clock: ManualClock) -> None:
    breaker, events = make(clock), []
    breaker.subscribe(events.append)
    unsubscribe = breaker.subscribe(functools.partial(interrupt_on, StateChanged))
    with pytest.raises(KeyboardInterrupt):
        breaker.reset()
    unsubscribe()
    breaker.reset()
    assert len(events) == 2


async def test_the_first_of_two_interrupts_goes_through(clock: ManualClock) -> None:
    breaker = make(clock)
    breaker.subscribe(functools.partial(interrupt_on, StateChanged))

    def leave(_: Event) -> None:
        raise SystemExit

    breaker.subscribe(leave)
    with pytest.raises(KeyboardInterrupt):
        breaker.reset()


@pytest.mark.parametrize("kind", [StateChanged, ProbeAdmitted])
async def test_an_interrupt_while_a_probe_is_admitted_gives_the_permit_back(
    clock: ManualClock, kind: type[Event]
) -> None:
    breaker = await make_ready(clock)
    unsubscribe = breaker.subscribe(functools.partial(interrupt_on, kind))
    with pytest.raises(KeyboardInterrupt):
        await breaker.acquire()
    unsubscribe()
    assert breaker.health()["probes_in_flight"] == 0
    assert admits_a_probe(breaker)


async def test_an_interrupt_on_every_event_of_a_probe_that_is_given_back_goes_through(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    unsubscribe = breaker.subscribe(functools.partial(interrupt_on, Event))
    with pytest.raises(KeyboardInterrupt):
        await breaker.acquire()
    unsubscribe()
    assert admits_a_probe(breaker)


async def test_an_interrupt_while_a_rejection_is_reported_goes_through_and_it_is_counted(clock: ManualClock) -> None:
    breaker = await make_open(clock)
    breaker.subscribe(functools.partial(interrupt_on, CallRejected))
    with pytest.raises(KeyboardInterrupt):
        await breaker.call(answer)
    assert breaker.health()["rejected_total"] == 1


async def test_an_interrupt_while_a_timed_out_probe_is_reported_goes_through(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    breaker.subscribe(functools.partial(interrupt_on, StateChanged))
    clock.advance(60)
    with pytest.raises(KeyboardInterrupt):
        await breaker.acquire()
    assert breaker.state is CircuitState.OPEN
    permit.ignore()


def interrupt_on(kind: type[Event], event: Event) -> None:
    if isinstance(event, kind):
        raise KeyboardInterrupt
