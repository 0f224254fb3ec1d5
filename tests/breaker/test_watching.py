"""What watching a breaker costs, what watchers that come and go learn, and what listeners and clocks may do."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import time_machine

from recloser import CircuitState, ConsecutiveFailures, CountWindow, Event, SlowCallRate, StateChanged
from recloser._breaker import dispatch, engine, records
from recloser._core.outcomes import Outcome
from recloser.events import CallFailed, CallRejected, CallSucceeded
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, answer, fail, fail_once, make, make_plain, make_ready, names, totals
from tests.breaker.watched import WAYS_TO_WATCH, Watched
from tests.rules.kit import FragileClock, Style, by_call, by_decorator, by_guard, each_style

pytestmark = pytest.mark.anyio


class CountingClock(ManualClock):
    """A manual clock that counts how often it is read."""

    def __init__(self, start: float) -> None:
        super().__init__(start)
        self.reads = 0

    def __call__(self) -> float:
        self.reads += 1
        return super().__call__()


class Tally:
    """Counts the calls of a function, and passes them on."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function
        self.calls = 0

    def __call__(self, *args: object, **kwargs: object) -> object:
        self.calls += 1
        return self.function(*args, **kwargs)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tally]:
    """Counts the records and the events that are made of calls."""
    tallies = {"records": Tally(engine.call_ended), "events": Tally(object.__new__)}
    monkeypatch.setattr(engine, "call_ended", tallies["records"])
    monkeypatch.setattr(records, "_new", tallies["events"])
    monkeypatch.setattr(dispatch, "_new", tallies["events"])
    return tallies


# What it costs

READS = {
    "slow calls": 2,
    "slow calls and failures": 2,
    "failed_result": 0,
    "overdue_after_seconds": 1,
    "a listener": 2,
    "two listeners": 2,
    "a listener of failures": 0,
    "a reader of events": 2,
    "durations": 2,
    "samples": 2,
    "everything": 2,
}


@pytest.mark.parametrize("style", [by_decorator, by_call, by_guard], ids=lambda style: style.__name__)
@pytest.mark.parametrize("how", WAYS_TO_WATCH)
async def test_a_success_reads_the_clock_at_its_start_and_its_end_if_somebody_needs_that(
    style: Style, how: str
) -> None:
    clock = CountingClock(5.0)
    watched = await Watched.make(clock, how)
    await style(watched.breaker, answer)
    before = clock.reads
    await style(watched.breaker, answer)
    assert clock.reads - before == READS[how]
    await watched.leave()


@pytest.mark.parametrize(
    "how", ["slow calls", "failed_result", "overdue_after_seconds", "durations", "samples", "a listener of failures"]
)
@each_style
async def test_nothing_is_made_of_a_call_for_nobody(
    clock: ManualClock, style: Style, how: str, made: dict[str, Tally]
) -> None:
    watched = await Watched.make(clock, how, failure_threshold=9)
    watched.breaker.subscribe(len, kinds=StateChanged)
    for _ in range(3):
        await style(watched.breaker, answer)
    assert {name: tally.calls for name, tally in made.items()} == {"records": 0, "events": 0}
    if how != "a listener of failures":
        with pytest.raises(DependencyError):
            await style(watched.breaker, fail)
        assert {name: tally.calls for name, tally in made.items()} == {"records": 0, "events": 0}


@each_style
async def test_all_listeners_receive_the_same_event_which_is_made_once(
    clock: ManualClock, style: Style, made: dict[str, Tally]
) -> None:
    watched = await Watched.make(clock, "two listeners", failure_threshold=9)
    await style(watched.breaker, answer)
    with pytest.raises(DependencyError):
        await style(watched.breaker, fail)
    assert made["events"].calls == 2
    assert names(watched.heard) == ["CallSucceeded", "CallFailed"]
    assert all(one is other for one, other in zip(watched.heard, watched.heard_second, strict=True))


@each_style
async def test_the_events_of_a_stream_are_made_when_they_are_read(
    clock: ManualClock, style: Style, made: dict[str, Tally]
) -> None:
    watched = await Watched.make(clock, "a reader of events", failure_threshold=9)
    await style(watched.breaker, answer)
    watched.breaker.subscribe(len, kinds=StateChanged)
    for _ in range(2):
        await style(watched.breaker, answer)
    assert made["events"].calls == 0
    assert len(await watched.read()) == 4
    assert made["events"].calls == 3
    await watched.leave()


@each_style
@pytest.mark.parametrize("how", ["a listener", "two listeners", "a reader of events"])
async def test_an_event_says_when_it_happened_and_not_when_somebody_asks(
    clock: ManualClock, style: Style, how: str
) -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    watched = await Watched.make(clock, how)
    with time_machine.travel(noon, tick=False) as time:
        await style(watched.breaker, answer)
        time.shift(60)
        events = watched.heard or await watched.read()
        assert events[0].at == noon
        assert events[0].at is events[0].at
    await watched.leave()


# Failures without successes


@each_style
async def test_a_listener_of_failures_alone_learns_no_duration(clock: ManualClock, style: Style) -> None:
    watched = await Watched.make(clock, "a listener of failures", failure_threshold=9)
    with pytest.raises(DependencyError):
        await style(watched.breaker, fail)
    assert [(event.error_type, event.duration_seconds) for event in watched.heard] == [("DependencyError", None)]


@each_style
async def test_a_listener_of_failures_learns_the_duration_if_something_else_times_the_calls(
    clock: ManualClock, style: Style
) -> None:
    async def work() -> None:
        clock.advance(0.75)
        raise DependencyError

    for how in ("slow calls", "overdue_after_seconds", "durations", "samples"):
        watched = await Watched.make(clock, how, failure_threshold=9)
        watched.breaker.subscribe(watched.heard.append, CallFailed)
        with pytest.raises(DependencyError):
            await style(watched.breaker, work)
        assert [event.duration_seconds for event in watched.heard] == [0.75]


@each_style
async def test_the_failure_of_a_probe_always_has_a_duration(clock: ManualClock, style: Style) -> None:
    async def work() -> None:
        clock.advance(0.75)
        raise DependencyError

    breaker, heard = await make_ready(clock), []
    breaker.subscribe(heard.append, CallFailed)
    with pytest.raises(DependencyError):
        await style(breaker, work)
    assert [(event.duration_seconds, event.is_probe) for event in heard] == [(0.75, True)]


# Watchers that come and go during a call


@each_style
async def test_who_starts_to_watch_during_a_call_learns_its_end_without_a_duration(
    clock: ManualClock, style: Style
) -> None:
    breaker = make_plain(clock)
    watched = Watched(breaker)

    async def work() -> None:
        breaker.subscribe(watched.heard.append)
        watched.measure()
        clock.advance(1)

    await style(breaker, work)
    assert [(type(event), event.duration_seconds) for event in watched.heard] == [(CallSucceeded, None)]
    assert watched.counts(Outcome.SUCCESS) == [0, 0, 0, 0]
    assert watched.take() == ([], [])
    assert totals(breaker) == {"success": 1}


@each_style
async def test_who_stops_watching_during_a_call_learns_nothing_of_it(clock: ManualClock, style: Style) -> None:
    breaker = make(clock)
    watched = Watched(breaker)
    watched.measure()
    unsubscribe = breaker.subscribe(watched.heard.append)

    async def work() -> None:
        unsubscribe()
        watched.stop_measuring()

    await style(breaker, work)
    assert watched.heard == []
    assert watched.counts(Outcome.SUCCESS) == [0, 0, 0, 0]
    assert totals(breaker) == {"success": 1}


@each_style
async def test_a_call_that_starts_before_its_breaker_has_a_limit_for_slow_calls_is_not_slow(
    clock: ManualClock, style: Style
) -> None:
    breaker = make_plain(clock)

    async def work() -> None:
        breaker.reconfigure(trip_when=SlowCallRate(1.0, slow_call_seconds=1.0, window=CountWindow(4), minimum_calls=1))
        clock.advance(100)

    await style(breaker, work)
    assert breaker.health()["slow_call_rate"] == 0
    await style(breaker, work)
    assert breaker.health()["slow_call_rate"] == 0.5


@pytest.mark.parametrize("style", [by_call, by_decorator], ids=lambda style: style.__name__)
async def test_a_result_is_judged_by_the_settings_at_the_end_of_the_call(clock: ManualClock, style: Style) -> None:
    breaker = make(clock, failure_threshold=9)

    async def work(failed_result: object) -> str:
        breaker.reconfigure(failed_result=failed_result)
        return "answer"

    await style(breaker, work, bool)
    assert totals(breaker) == {"failure": 1}
    await style(breaker, work, None)
    assert totals(breaker) == {"failure": 1, "success": 1}


# What a listener may do


@each_style
async def test_a_listener_that_raises_harms_neither_the_call_nor_the_next_event(
    clock: ManualClock, style: Style, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []

    def listener(event: Event) -> None:
        heard.append(event)
        message = "broken"
        raise ValueError(message)

    breaker = make(clock)
    breaker.subscribe(listener, CallSucceeded)
    for _ in range(2):
        await style(breaker, answer)
    assert len(heard) == totals(breaker)["success"] == 2
    assert caplog.text.count("A listener of circuit breaker 'payments' raised on CallSucceeded") == 2


@each_style
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
async def test_an_interrupt_in_a_listener_reaches_the_caller_once_the_call_is_counted(
    clock: ManualClock, style: Style, interrupt: type[BaseException]
) -> None:
    heard: list[Event] = []

    def listener(event: Event) -> None:
        heard.append(event)
        if len(heard) == 1:
            raise interrupt

    breaker = make(clock)
    breaker.subscribe(listener, CallSucceeded)
    with pytest.raises(interrupt):
        await style(breaker, answer)
    assert totals(breaker) == {"success": 1}
    await style(breaker, answer)
    assert names(heard) == ["CallSucceeded", "CallSucceeded"]


@each_style
async def test_a_listener_that_subscribes_another_is_followed_by_it_from_the_next_event_on(
    clock: ManualClock, style: Style
) -> None:
    breaker, first, second = make(clock), [], []

    def listener(event: Event) -> None:
        if not first:
            breaker.subscribe(second.append)
        first.append(event)

    breaker.subscribe(listener)
    for _ in range(2):
        await style(breaker, answer)
    assert len(first) == 2
    assert second == first[1:]


@each_style
async def test_a_listener_may_unsubscribe_itself(clock: ManualClock, style: Style) -> None:
    breaker, heard = make(clock), []

    def listener(event: Event) -> None:
        heard.append(event)
        unsubscribe()

    unsubscribe = breaker.subscribe(listener)
    for _ in range(2):
        await style(breaker, answer)
    assert len(heard) == 1
    assert totals(breaker) == {"success": 2}


@each_style
async def test_a_listener_may_call_through_the_breaker_and_hears_of_that_afterwards(
    clock: ManualClock, style: Style
) -> None:
    breaker, heard = make(clock, failure_threshold=9), []
    depth = 0

    def listener(event: Event) -> None:
        nonlocal depth
        depth += 1
        assert depth == 1
        heard.append(event)
        if len(heard) == 1:
            permits = [breaker.try_acquire_nowait() for _ in range(3)]
            permits[0].succeed()
            permits[1].fail()
            permits[2].ignore()
        depth -= 1

    breaker.subscribe(listener)
    await style(breaker, answer)
    assert names(heard) == ["CallSucceeded", "CallSucceeded", "CallFailed", "CallIgnored"]
    assert totals(breaker) == {"success": 2, "failure": 1, "ignored": 1}


async def test_a_listener_of_rejections_may_call_again_and_hears_of_that_afterwards(clock: ManualClock) -> None:
    breaker, heard = make(clock), []
    await fail_once(breaker)

    def listener(event: Event) -> None:
        if not heard:
            assert breaker.try_acquire_nowait() is None
            assert heard == []
        heard.append(event)

    breaker.subscribe(listener, CallRejected)
    assert await breaker.try_acquire() is None
    assert names(heard) == ["CallRejected", "CallRejected"]


@each_style
async def test_a_listener_that_opens_the_breaker_makes_no_call_late_that_has_ended(
    clock: ManualClock, style: Style
) -> None:
    breaker, heard = make(clock), []

    def listener(event: Event) -> None:
        heard.append(event)
        if isinstance(event, CallSucceeded):
            breaker.force_open("drill")

    breaker.subscribe(listener)
    await style(breaker, answer)
    assert names(heard) == ["CallSucceeded", "closed -> forced_open"]
    assert totals(breaker) == {"success": 1}
    assert breaker.state is CircuitState.FORCED_OPEN


# What a clock may do


@each_style
@pytest.mark.parametrize("how", ["slow calls", "a listener", "durations", "everything"])
@pytest.mark.parametrize("reading", [float("nan"), float("inf"), "noon", None], ids=repr)
async def test_a_clock_that_fails_during_a_call_makes_it_last_no_time(style: Style, how: str, reading: object) -> None:
    clock = FragileClock(1_000.0)
    watched = await Watched.make(clock, how)

    async def work() -> None:
        clock.fault = lambda: reading

    await style(watched.breaker, work)
    assert [event.duration_seconds for event in watched.heard] == [0.0] * len(watched.heard)
    if watched.durations is not None:
        assert watched.counts(Outcome.SUCCESS) == [1, 0, 0, 0]
    assert totals(watched.breaker) == {"success": 1}
    await watched.leave()


@each_style
@pytest.mark.parametrize("how", ["slow calls", "a listener", "durations", "samples", "everything"])
async def test_a_clock_that_steps_back_during_a_call_makes_it_last_no_time(style: Style, how: str) -> None:
    clock = ManualClock(1_000.0)
    watched = await Watched.make(clock, how, failure_threshold=9)

    async def work(error: BaseException | None) -> None:
        clock.set(clock() - 10)
        if error is not None:
            raise error

    await style(watched.breaker, work, None)
    with pytest.raises(DependencyError):
        await style(watched.breaker, work, DependencyError())
    assert [event.duration_seconds for event in watched.heard] == [0.0] * len(watched.heard)
    if watched.samples is not None:
        assert watched.take() == ([0.0], [(Outcome.FAILURE, 0.0, "DependencyError")])
    assert totals(watched.breaker) == {"success": 1, "failure": 1}
    await watched.leave()


@each_style
async def test_a_call_that_starts_while_the_clock_fails_starts_at_its_last_reading(style: Style) -> None:
    clock = FragileClock(1_000.0)
    watched = await Watched.make(clock, "a listener")
    clock.fault = lambda: 1 / 0

    async def work() -> None:
        clock.fault = None
        clock.advance(0.5)

    await style(watched.breaker, work)
    assert [event.duration_seconds for event in watched.heard] == [0.5]


async def test_an_interrupt_in_a_clock_at_the_end_of_a_call_loses_no_probe() -> None:
    def interrupted() -> float:
        raise KeyboardInterrupt

    clock = FragileClock(1_000.0)
    breaker = await make_ready(clock, trip_when=ConsecutiveFailures(1))
    breaker.subscribe(len)
    permit = await breaker.acquire()
    clock.fault = interrupted
    with pytest.raises(KeyboardInterrupt):
        permit.succeed()
    clock.fault = None
    assert await breaker.call(answer) == "answer"
    assert breaker.state is CircuitState.CLOSED
