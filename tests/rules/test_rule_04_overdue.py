"""Rule 4, without a setting: a call that is cut off was overdue if no success is known to have taken so long."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
import trio

from recloser import CircuitBreaker
from recloser._core.usual import FIRST_SAMPLES, SAMPLE_EVERY
from recloser.testing import ManualClock
from tests.breaker.kit import BACKENDS, answer, hang, make, make_ready, take_first_samples, totals
from tests.rules.kit import CLOSED, HALF_OPEN, OPEN, Style, each_style

pytestmark = pytest.mark.anyio

USUAL_SECONDS = 0.05
SEVERAL = 100

CutOff = Callable[[CircuitBreaker, ManualClock, float], Awaitable[None]]


async def by_deadline(breaker: CircuitBreaker, clock: ManualClock, seconds: float) -> None:
    with anyio.move_on_after(0):
        await breaker.call(hang, clock, seconds)


async def by_cancelling_the_scope(breaker: CircuitBreaker, clock: ManualClock, seconds: float) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await breaker.call(hang, clock, seconds)


async def by_timeout_of_asyncio(breaker: CircuitBreaker, clock: ManualClock, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await breaker.call(hang, clock, seconds)


async def by_wait_for_of_asyncio(breaker: CircuitBreaker, clock: ManualClock, seconds: float) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(breaker.call(hang, clock, seconds), 0.001)


async def by_cancelling_the_task(breaker: CircuitBreaker, clock: ManualClock, seconds: float) -> None:
    task = asyncio.ensure_future(breaker.call(hang, clock, seconds))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


WAYS = [by_deadline, by_cancelling_the_scope, by_timeout_of_asyncio, by_wait_for_of_asyncio, by_cancelling_the_task]
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


async def succeed(breaker: CircuitBreaker, clock: ManualClock, seconds: float = USUAL_SECONDS) -> None:
    async def work() -> None:
        clock.advance(seconds)

    await breaker.call(work)


async def knowing(clock: ManualClock, **options: object) -> CircuitBreaker:
    """Makes a breaker that knows how long its calls take."""
    breaker = make(clock, **options)
    await succeed(breaker, clock)
    return breaker


@each_way
@pytest.mark.parametrize(
    ("seconds", "total"), [(0.04, {"cancelled": 1}), (0.06, {"failure": 1, "overdue": 1})], ids=["quick", "overdue"]
)
def test_rule_4_a_call_that_is_cut_off_in_whatever_way_is_a_failure_if_it_was_overdue(
    clock: ManualClock, way: CutOff, seconds: float, total: dict[str, int]
) -> None:
    async def main() -> None:
        breaker = await knowing(clock)
        await way(breaker, clock, seconds)
        assert totals(breaker) == {"success": 1, **total}

    asyncio.run(main())


@each_style
@pytest.mark.parametrize(("seconds", "state"), [(0.04, CLOSED), (0.06, OPEN)], ids=["quick", "overdue"])
async def test_rule_4_every_style_of_a_call_knows_how_long_it_was_awaited(
    clock: ManualClock, style: Style, seconds: float, state: object
) -> None:
    breaker = await knowing(clock)
    with anyio.move_on_after(0):
        await style(breaker, hang, clock, seconds)
    assert breaker.state is state


async def test_rule_4_a_neighbour_that_eats_the_time_limit_does_not_open_a_breaker(clock: ManualClock) -> None:
    breaker = await knowing(clock)
    for _ in range(20):
        with anyio.move_on_after(0):
            clock.advance(0.28)  # somebody else's work
            await breaker.call(hang, clock, 0.02)
    assert totals(breaker) == {"success": 1, "cancelled": 20}


async def test_rule_4_a_deadline_that_was_over_before_the_call_is_no_failure(clock: ManualClock) -> None:
    breaker = make(clock)
    with anyio.move_on_after(-1):
        await breaker.call(anyio.sleep_forever)
    assert totals(breaker) == {"cancelled": 1}


@pytest.mark.parametrize(("seconds", "state"), [(0.09, CLOSED), (0.11, OPEN)])
async def test_rule_4_where_no_success_is_known_a_deadline_counts_after_a_tenth_of_a_second(
    clock: ManualClock, seconds: float, state: object
) -> None:
    breaker = make(clock)
    await by_deadline(breaker, clock, seconds)
    assert breaker.state is state


async def test_rule_4_where_no_success_is_known_a_bare_cancellation_says_nothing(clock: ManualClock) -> None:
    breaker = make(clock)
    await by_cancelling_the_scope(breaker, clock, 3600)
    assert totals(breaker) == {"cancelled": 1}


async def test_rule_4_a_probe_that_is_cut_off_is_judged_by_what_was_usual_before(clock: ManualClock) -> None:
    for seconds, state in ((0.04, HALF_OPEN), (0.06, OPEN)):
        breaker = await make_ready(clock)
        breaker.engine.machine.learn(USUAL_SECONDS)
        await by_deadline(breaker, clock, seconds)
        assert breaker.state is state


@pytest.mark.parametrize("limit", [1.0, 5.0])
async def test_rule_4_the_explicit_limit_holds_for_deadlines_too(clock: ManualClock, limit: float) -> None:
    breaker = make(clock, overdue_after_seconds=limit)
    await by_deadline(breaker, clock, 2.0)
    assert (breaker.state is OPEN) == (limit < 2)


async def test_rule_4_an_infinite_limit_ignores_all_that_is_cut_off(clock: ManualClock) -> None:
    breaker = make(clock, overdue_after_seconds=math.inf)
    await by_deadline(breaker, clock, 1e9)
    await by_cancelling_the_scope(breaker, clock, 1e9)
    assert totals(breaker) == {"cancelled": 2}


# How long is usual


async def test_rule_4_after_the_first_samples_calls_are_not_timed_until_one_is_cut_off(clock: ManualClock) -> None:
    readings = []
    breaker = make(lambda: readings.append(None) or clock(), failure_threshold=9)
    await take_first_samples(breaker)
    readings.clear()
    await breaker.call(answer)
    assert readings == []
    await by_deadline(breaker, clock, 1)  # nobody knows when it started
    assert totals(breaker)["cancelled"] == 1
    await by_deadline(breaker, clock, 1)
    assert (totals(breaker)["cancelled"], totals(breaker)["overdue"]) == (1, 1)


@each_style
async def test_rule_4_one_call_in_some_hundred_is_timed(clock: ManualClock, style: Style) -> None:
    readings = []
    breaker = make(lambda: readings.append(None) or clock())
    await take_first_samples(breaker)
    readings.clear()
    for _ in range(2 * SAMPLE_EVERY + 2):
        await style(breaker, answer)
    assert 4 <= len(readings) <= 8  # the start and the end of two calls, and for streams the items in between


@each_style
async def test_rule_4_a_sample_is_chosen_by_its_start(clock: ManualClock, style: Style) -> None:
    """Of the calls that run at one time, the quick ones end first."""
    breaker = make(clock)
    await take_first_samples(breaker)
    for _ in range(SAMPLE_EVERY):
        await style(breaker, answer)
    may_end = anyio.Event()

    async def slow() -> None:
        await may_end.wait()
        clock.advance(7)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(style, breaker, slow)
        await anyio.wait_all_tasks_blocked()
        for _ in range(5):
            await style(breaker, answer)
        assert breaker.engine.machine.slowest == 0
        may_end.set()
    assert breaker.engine.machine.slowest == 7


@each_style
async def test_rule_4_calls_that_are_timed_for_what_was_cut_off_are_samples_too(
    clock: ManualClock, style: Style
) -> None:
    async def slow() -> None:
        clock.advance(7)

    breaker = make(clock)
    await take_first_samples(breaker)
    await by_deadline(breaker, clock, 1)
    for _ in range(SAMPLE_EVERY):
        await style(breaker, slow)
    assert breaker.engine.machine.slowest == 7


async def test_rule_4_what_an_open_breaker_has_learned_lasts(clock: ManualClock) -> None:
    breaker = await knowing(clock)
    await by_deadline(breaker, clock, 0.06)
    clock.advance(60)
    await succeed(breaker, clock, 0.001)
    assert breaker.state is CLOSED
    await by_deadline(breaker, clock, 0.04)
    assert totals(breaker)["cancelled"] == 1


async def test_rule_4_a_result_predicate_does_not_keep_a_breaker_from_learning(clock: ManualClock) -> None:
    breaker = make(clock, failed_result=lambda _: False)
    ask = breaker(answer)
    for _ in range(FIRST_SAMPLES + SAMPLE_EVERY):
        await ask()

    @breaker
    async def slow() -> None:
        clock.advance(7)

    await slow()
    assert breaker.engine.machine.slowest == 7


# Hangs


@each_way
@pytest.mark.parametrize("seconds", [0.06, 0.1, 10.0])
def test_rule_4_a_dependency_that_begins_to_hang_opens_after_one_call_more_than_the_threshold(
    clock: ManualClock, way: CutOff, seconds: float
) -> None:
    async def main() -> None:
        breaker = make(clock, failure_threshold=5)
        for _ in range(FIRST_SAMPLES + 10):
            await succeed(breaker, clock)
        for _ in range(5):
            assert breaker.state is CLOSED
            await way(breaker, clock, seconds)
            clock.advance(1)
        await way(breaker, clock, seconds)
        assert breaker.state is OPEN

    asyncio.run(main())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("staggered", [False, True], ids=["at once", "staggered"])
def test_rule_4_so_many_deadline_scopes_are_so_many_failures(
    clock: ManualClock, backend: str, *, staggered: bool
) -> None:
    async def main() -> None:
        breaker = make(clock, failure_threshold=SEVERAL + 1)
        scopes = [anyio.CancelScope() for _ in range(SEVERAL)]

        async def work(scope: anyio.CancelScope) -> None:
            with scope:
                async with anyio.create_task_group() as tasks:
                    for _ in range(2):
                        tasks.start_soon(breaker.call, anyio.sleep_forever)

        async with anyio.create_task_group() as tasks:
            for scope in scopes:
                tasks.start_soon(work, scope)
            await anyio.wait_all_tasks_blocked()
            clock.advance(1)
            for scope in scopes:
                scope.deadline = anyio.current_time()
                if staggered:
                    await anyio.wait_all_tasks_blocked()
        assert totals(breaker) == {"failure": SEVERAL, "overdue": SEVERAL, "cancelled": SEVERAL}

    options = {"clock": trio.testing.MockClock(autojump_threshold=0)} if backend == "trio" else {}
    anyio.run(main, backend=backend, backend_options=options)


@pytest.mark.parametrize(("apart", "failures"), [(0.0005, 1), (0.002, 10)], ids=["at once", "staggered"])
def test_rule_4_bare_cancellations_within_a_millisecond_count_once(
    clock: ManualClock, apart: float, failures: int
) -> None:
    async def main() -> None:
        breaker = await knowing(clock, failure_threshold=99)
        tasks = [asyncio.ensure_future(breaker.call(anyio.sleep_forever)) for _ in range(10)]
        await asyncio.sleep(0)
        clock.advance(1)
        for task in tasks:
            task.cancel()
            await asyncio.wait([task])
            clock.advance(apart if failures > 1 else apart / 10)
        assert totals(breaker).get("failure") == failures

    asyncio.run(main())


# Streams


async def test_rule_4_a_stream_that_stalls_after_an_item_is_a_failure(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=3)

    @breaker
    async def tokens() -> AsyncIterator[str]:
        yield "first"
        await hang(clock, 0.05)

    for _ in range(3):
        assert breaker.state is CLOSED
        with anyio.move_on_after(0):
            async for _ in tokens():
                pass
    assert (breaker.state, totals(breaker)) == (OPEN, {"failure": 3, "overdue": 3})


async def test_rule_4_the_reader_of_a_stream_may_take_its_time(clock: ManualClock) -> None:
    breaker = make(clock)

    @breaker
    async def tokens() -> AsyncIterator[str]:
        clock.advance(0.05)
        yield "first"
        await hang(clock, 0.04)

    with anyio.move_on_after(0):
        async for _ in tokens():
            clock.advance(3600)
    assert totals(breaker) == {"cancelled": 1}


async def test_rule_4_the_longest_wait_of_a_stream_is_usual_and_not_its_duration(clock: ManualClock) -> None:
    breaker = make(clock)

    @breaker
    async def tokens() -> AsyncIterator[int]:
        for seconds in (0.1, 0.3, 0.2):
            clock.advance(seconds)
            yield 1
        clock.advance(0.1)

    assert [token async for token in tokens()] == [1, 1, 1]
    assert breaker.engine.machine.slowest == pytest.approx(0.3)


# What it tells


@pytest.mark.parametrize(("waited", "outcome"), [(2.0, "cancelled"), (4.0, "overdue")])
async def test_rule_4_of_a_permit_that_pauses_the_wait_under_way_counts(
    clock: ManualClock, waited: float, outcome: str
) -> None:
    breaker = make(clock)
    for _ in range(2):  # parts after 1 s and 3 s, and a reader who takes 100 s in between
        permit = await breaker.acquire()
        clock.advance(1)
        paused_at = permit.pause()
        clock.advance(100)
        permit.resume(paused_at)
        clock.advance(3)
        permit.resume(permit.pause())
        permit.succeed()
    assert breaker.engine.machine.slowest == 3
    with anyio.CancelScope() as scope, await breaker.acquire() as permit:
        clock.advance(2)
        permit.resume(permit.pause())
        clock.advance(waited)
        scope.cancel()
        await anyio.sleep_forever()
    assert breaker.health()[f"{outcome}_total"] == 1


async def test_rule_4_health_tells_overdue_calls_from_others_that_were_cut_off(clock: ManualClock) -> None:
    breaker = await knowing(clock, failure_threshold=9)
    for seconds in (0.04, 0.06, 0.01, 0.02, 0.07):
        await by_deadline(breaker, clock, seconds)
    health = breaker.health()
    assert (health["overdue_total"], health["failure_total"], health["cancelled_total"]) == (2, 2, 3)
    assert breaker.snapshot().overdue_total == 2


async def test_rule_4_the_hint_names_what_was_taken_as_usual(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = make(clock)
    await succeed(breaker, clock, 0.18)
    for _ in range(30):
        await by_deadline(breaker, clock, 0.02)
    [record] = caplog.records
    assert "cut off after 20 ms; successes take up to 180 ms" in record.getMessage()


async def test_rule_4_the_hint_says_if_nothing_is_known(clock: ManualClock, caplog: pytest.LogCaptureFixture) -> None:
    breaker = make(clock)
    for _ in range(FIRST_SAMPLES + 30):
        await by_cancelling_the_scope(breaker, clock, 2)
    [record] = caplog.records
    assert "cut off after 2 s; no success is known" in record.getMessage()
    assert "after 100 ms" in record.getMessage()


async def test_rule_4_the_hint_does_not_guess_how_long_the_last_call_took(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    breaker = make(clock)
    await take_first_samples(breaker)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(breaker.call, anyio.sleep_forever)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert "cut off after an unknown time" in caplog.text
