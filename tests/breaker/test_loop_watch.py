"""The watch of an event loop: it notices when the loop stood still."""

import asyncio
import gc
import math
import time
import weakref
from collections.abc import Callable

import anyio
import pytest
import trio
import trio.testing

from recloser import CircuitBreaker
from recloser._breaker.loop_watch import (
    BEAT_SECONDS,
    BEATS_OF_A_LOOK,
    LOOKS_UNUSED,
    LoopWatch,
    loop_lag,
    watch_loop,
)
from recloser.testing import ManualClock

from .kit import BACKENDS, answer


class Beats:
    """A watch whose beats come when the test says so."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_000.0)
        self.starts = 0
        self.watch = LoopWatch(self.start, lambda: True, self.clock)

    def start(self, _watch: LoopWatch) -> None:
        self.starts += 1

    def beat(self, late: float = 0.0) -> None:
        self.clock.advance(BEAT_SECONDS + late)
        self.watch.beat()

    def beat_for_looks(self, looks: int) -> None:
        for _ in range(looks * BEATS_OF_A_LOOK):
            self.beat()


@pytest.fixture
def beats() -> Beats:
    return Beats()


@pytest.fixture
def breaker() -> CircuitBreaker:
    return CircuitBreaker("payments")


def test_beats_in_time_are_no_stall(beats: Beats, breaker: CircuitBreaker) -> None:
    beats.watch.join(breaker.engine)
    for _ in range(25):
        beats.beat(late=0.02)
    assert beats.watch.stalls.count == 0
    assert beats.watch.lateness() == pytest.approx(0.02)


def test_a_late_beat_is_a_stall_since_the_beat_before(beats: Beats, breaker: CircuitBreaker) -> None:
    beats.watch.join(breaker.engine)
    beats.beat()
    beats.beat(late=1.4)
    assert beats.watch.stalls.last_seconds == pytest.approx(1.5)
    assert beats.watch.lateness() == pytest.approx(1.4)
    beats.beat()
    assert beats.watch.stalls.count == 1
    assert beats.watch.lateness() == 0.0


def test_a_stall_is_noticed_before_the_beat_that_is_late(beats: Beats, breaker: CircuitBreaker) -> None:
    beats.watch.join(breaker.engine)
    beats.clock.advance(1.5)
    assert beats.watch.lateness() == pytest.approx(1.5 - BEAT_SECONDS)
    beats.watch.look()
    beats.watch.look()
    beats.watch.beat()
    assert (beats.watch.stalls.count, beats.watch.stalls.seconds) == (1, pytest.approx(1.5))


def test_the_beats_start_once_and_again_after_they_have_stopped(beats: Beats, breaker: CircuitBreaker) -> None:
    beats.watch.join(breaker.engine)
    beats.watch.join(breaker.engine)
    assert beats.starts == 1
    beats.beat_for_looks(LOOKS_UNUSED)
    assert not beats.watch.is_beating
    beats.clock.advance(3_600)
    beats.watch.join(breaker.engine)
    beats.beat()
    assert (beats.starts, beats.watch.stalls.count) == (2, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_breaker_that_is_used_stays_in_the_watch(beats: Beats, breaker: CircuitBreaker) -> None:
    beats.watch.join(breaker.engine)
    for _ in range(3):
        beats.beat_for_looks(LOOKS_UNUSED - 1)
        await breaker.call(answer)
    assert beats.watch.is_beating


def test_the_next_call_of_a_breaker_that_has_left_joins_again(beats: Beats, breaker: CircuitBreaker) -> None:
    breaker.engine.live = breaker.engine.machine.epoch
    beats.watch.join(breaker.engine)
    beats.beat_for_looks(LOOKS_UNUSED)
    assert breaker.engine.live is None


def test_after_a_stall_the_next_calls_show_when_they_begin(beats: Beats, breaker: CircuitBreaker) -> None:
    breaker.engine.live = breaker.engine.machine.epoch
    beats.watch.join(breaker.engine)
    beats.beat(late=1.0)
    assert breaker.engine.live is None
    assert beats.watch.needs_starts()
    beats.beat()
    assert not beats.watch.needs_starts()


def test_a_stall_that_is_noticed_before_its_beat_leads_no_call_past_the_closed_path(
    beats: Beats, breaker: CircuitBreaker
) -> None:
    breaker.engine.live = breaker.engine.machine.epoch
    beats.watch.join(breaker.engine)
    beats.clock.advance(1.5)
    beats.watch.look()
    assert breaker.engine.live is not None
    beats.watch.beat()
    assert breaker.engine.live is None


def test_a_watch_keeps_no_breaker_alive(beats: Beats) -> None:
    engine = CircuitBreaker("payments").engine
    beats.watch.join(engine)
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
    beats.beat()
    assert not beats.watch.is_beating


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", BACKENDS)
async def test_a_blocked_loop_is_a_stall(breaker: CircuitBreaker) -> None:
    before = loop_lag()
    watch = watch_loop(breaker.engine)
    assert watch is not None
    await anyio.sleep(BEAT_SECONDS * 1.5)
    time.sleep(1.0)  # noqa: ASYNC251 - it blocks the loop on purpose
    await anyio.sleep(BEAT_SECONDS * 1.5)
    assert watch.stalls.longest >= 1.0
    after = loop_lag()
    assert after.stalls > before.stalls
    assert after.stalled - before.stalled >= 1.0
    assert after.longest >= 1.0
    assert watch_loop(breaker.engine) is watch


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", BACKENDS)
async def test_while_a_loop_is_blocked_its_lag_can_be_read_from_another_thread(breaker: CircuitBreaker) -> None:
    watch_loop(breaker.engine)
    lags: list[float] = []

    async def read() -> None:
        await anyio.to_thread.run_sync(lambda: (time.sleep(0.5), lags.append(loop_lag().lag)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.sleep(0.01)
        time.sleep(1.0)  # noqa: ASYNC251 - as above
    assert lags[0] >= 0.2


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", BACKENDS)
async def test_the_beats_of_a_loop_end_with_the_last_breaker_that_is_used(
    breaker: CircuitBreaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recloser._breaker.loop_watch.BEATS_OF_A_LOOK", 1)
    monkeypatch.setattr("recloser._breaker.loop_watch.LOOKS_UNUSED", 1)
    for _ in range(2):
        await breaker.call(answer)
        watch = watch_loop(breaker.engine)
        assert watch is not None
        with anyio.fail_after(10):
            while watch.is_beating:  # noqa: ASYNC110 - there is no event for it
                await anyio.sleep(BEAT_SECONDS)
        assert breaker.engine.live is None


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", BACKENDS)
async def test_the_first_call_has_the_loop_watched_and_the_closed_path_is_restored() -> None:
    breaker = CircuitBreaker("payments", overdue_after_seconds=math.inf)
    for _ in range(2):
        await breaker.call(answer)
    assert breaker.engine.is_in_watched_loop
    assert breaker.engine.watch is not None or breaker.engine.live is not None


def test_outside_event_loops_there_is_nothing_to_watch(breaker: CircuitBreaker) -> None:
    assert watch_loop(breaker.engine) is None


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", BACKENDS)
async def test_a_breaker_with_a_clock_of_its_own_sees_no_stalls() -> None:
    assert watch_loop(CircuitBreaker("payments", clock=ManualClock()).engine) is None


def test_the_autojump_clock_of_trio_does_not_see_the_watch(breaker: CircuitBreaker) -> None:
    async def main() -> tuple[LoopWatch | None, float]:
        watch = watch_loop(breaker.engine)
        await trio.sleep(3_600)
        return watch, trio.current_time()

    clock = trio.testing.MockClock(autojump_threshold=0)
    start = clock.current_time()
    assert trio.run(main, clock=clock) == (None, start + 3_600)


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=BACKENDS)
def test_a_watched_loop_ends_like_any_other(breaker: CircuitBreaker, run: Callable[..., object]) -> None:
    async def main() -> None:
        assert watch_loop(breaker.engine) is not None
        await anyio.sleep(BEAT_SECONDS * 2)

    began = time.monotonic()
    run(main() if run is asyncio.run else main)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("run", [asyncio.run, trio.run], ids=BACKENDS)
def test_a_loop_that_has_ended_is_not_late(breaker: CircuitBreaker, run: Callable[..., object]) -> None:
    async def main() -> LoopWatch:
        watch = watch_loop(breaker.engine)
        assert watch is not None
        return watch

    watch = run(main() if run is asyncio.run else main)
    time.sleep(0.3)
    assert watch.lateness() == 0.0


def test_a_watch_lives_as_long_as_its_loop(breaker: CircuitBreaker) -> None:
    async def main() -> weakref.ref[LoopWatch]:
        watch = watch_loop(breaker.engine)
        assert watch is not None
        return weakref.ref(watch)

    gone = asyncio.run(main())
    gc.collect()
    assert gone() is None


@pytest.mark.anyio
async def test_a_call_inside_a_probe_is_watched_without_the_closed_path(breaker: CircuitBreaker) -> None:
    breaker.force_open("a test", for_seconds=0.01)
    await anyio.sleep(0.02)
    assert await breaker.call(lambda: breaker.call(answer)) == "answer"
    assert breaker.get_state() == "closed"


@pytest.mark.anyio
async def test_a_loop_that_is_about_to_end_is_not_watched(
    breaker: CircuitBreaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("the loop is closing")

    monkeypatch.setattr(LoopWatch, "join", refuse)
    assert watch_loop(breaker.engine) is None
    assert await breaker.call(answer) == "answer"
