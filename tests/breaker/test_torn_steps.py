"""Exceptions from outside between any two lines of the library: Ctrl-C, and what other threads raise in this one."""

import gc
import inspect
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress

import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState
from recloser._breaker.dispatch import Dispatcher
from recloser._breaker.probe_context import _entered
from recloser._core.outcomes import Outcome
from recloser.events import CallSucceeded
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, answer, fail, make, make_probing, make_ready, totals
from tests.breaker.watched import WAYS_TO_WATCH, Watched
from tests.tear import small_heap, torn_at

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning",
        "ignore:coroutine .* was never awaited:RuntimeWarning",
        "ignore::pytest.PytestUnraisableExceptionWarning",  # interrupted in a finaliser
    ),
]


@pytest.fixture(autouse=True)
def _quick_collections() -> Iterator[None]:
    with small_heap():
        yield


LONG = 100_000.0


async def by_call(breaker: CircuitBreaker) -> None:
    await breaker.call(answer)


async def by_failing_call(breaker: CircuitBreaker) -> None:
    await breaker.call(fail)


async def by_decorator(breaker: CircuitBreaker) -> None:
    await breaker(answer)()


async def by_guard(breaker: CircuitBreaker) -> None:
    async with breaker.guard():
        pass


async def by_permit(breaker: CircuitBreaker) -> None:
    with await breaker.acquire():
        pass


async def by_stream(breaker: CircuitBreaker) -> None:
    @breaker
    async def source() -> AsyncIterator[int]:
        yield 1

    async for _ in source():
        pass


async def by_reset(breaker: CircuitBreaker) -> None:
    breaker.reset()


async def by_forcing(breaker: CircuitBreaker) -> None:
    breaker.force_open("drill", for_seconds=1)


async def by_reconfiguring(breaker: CircuitBreaker) -> None:
    breaker.reconfigure(failure_threshold=2)


WAYS_TO_CALL = [by_call, by_failing_call, by_decorator, by_guard, by_permit, by_stream]
WAYS = [
    *WAYS_TO_CALL,
    by_reset,
    by_forcing,
    by_reconfiguring,
]


async def recovers(breaker: CircuitBreaker, clock: ManualClock) -> bool:
    """Returns whether one of the next three calls is admitted and closes the breaker."""
    for _ in range(3):
        clock.advance(LONG)
        with suppress(CircuitBreakerOpenError):
            await breaker.call(answer)
            return breaker.state is CircuitState.CLOSED
    return False


async def a_ready_breaker(clock: ManualClock) -> CircuitBreaker:
    return await make_ready(clock)


async def a_breaker_that_was_once_forced_open(clock: ManualClock) -> CircuitBreaker:
    breaker = make(clock)
    breaker.force_open("drill")
    breaker.reset()
    return breaker


@pytest.mark.parametrize("start", [a_ready_breaker, a_breaker_that_was_once_forced_open])
@pytest.mark.parametrize("use", WAYS)
async def test_a_breaker_whose_step_was_torn_apart_recovers(
    clock: ManualClock,
    start: Callable[[ManualClock], Awaitable[CircuitBreaker]],
    use: Callable[[CircuitBreaker], Awaitable[None]],
) -> None:
    logging.getLogger("recloser").disabled = True
    stuck = []
    for line in itertools.count(1):
        _entered.set(())
        breaker = await start(clock)
        with suppress(DependencyError), torn_at(line) as tear:
            await use(breaker)
        if tear.where is None:
            break
        if not await recovers(breaker, clock):
            stuck.append(tear.where)
    gc.collect()
    logging.getLogger("recloser").disabled = False
    assert stuck == []
    assert line > 10


@pytest.mark.parametrize("use", [by_call, by_failing_call])
async def test_a_closed_breaker_whose_step_was_torn_apart_still_opens(
    clock: ManualClock, use: Callable[[CircuitBreaker], Awaitable[None]]
) -> None:
    logging.getLogger("recloser").disabled = True
    open_for_ever = []
    for line in itertools.count(1):
        breaker = CircuitBreaker(failure_threshold=1, clock=clock)
        with suppress(DependencyError), torn_at(line) as tear:
            await use(breaker)
        if tear.where is None:
            break
        rejected = 0
        for _ in range(3):
            try:
                await breaker.call(fail)
            except CircuitBreakerOpenError:
                rejected += 1
            except DependencyError:
                pass
        if not rejected:
            open_for_ever.append(tear.where)
    logging.getLogger("recloser").disabled = False
    assert open_for_ever == []


def ends_of_deliveries() -> set[str]:
    """Returns the lines between the end of a delivery and its note: the interpreter handles no signal there."""
    lines, first = inspect.getsourcelines(Dispatcher)
    starts = [index for index, line in enumerate(lines) if line.strip() == "finally:"]
    assert starts
    assert all("self._turn = None" in lines[start + 2] for start in starts)
    return {f"dispatch.py:{first + start + offset}" for start in starts for offset in range(3)}


async def test_a_delivery_that_was_torn_apart_does_not_silence_the_listeners(clock: ManualClock) -> None:
    silent, heard, exempt = [], [], ends_of_deliveries()
    for line in itertools.count(1):
        breaker = make(clock)
        breaker.subscribe(heard.append)
        with torn_at(line) as tear:
            breaker.force_open("drill")
        if tear.where is None:
            break
        heard.clear()
        breaker.reset()
        if tear.where not in exempt and not heard:
            silent.append(tear.where)
    assert silent == []
    assert line > 10


def ended(breaker: CircuitBreaker) -> int:
    """Returns how many calls have ended, in whatever way."""
    return sum(
        totals(breaker).get(kind, 0) for kind in ("success", "failure", "ignored", "cancelled", "late", "leaked")
    )


async def learns_once(watched: Watched) -> bool:
    """Returns whether all who watch learn of the next call once."""
    before, _ = totals(watched.breaker).get("success", 0), await watched.seen()
    if watched.chain:
        counts = list(watched.counts(Outcome.SUCCESS))
    await watched.breaker.call(answer)
    if watched.chain:
        counts[0] += 1
        if watched.counts(Outcome.SUCCESS) != counts:
            return False
    seen = await watched.seen()
    learned = {name for name, kinds in seen.items() if kinds in ({CallSucceeded: 1}, {Outcome.SUCCESS: 1})}
    return totals(watched.breaker)["success"] == before + 1 and learned == watched.learning()


@pytest.mark.parametrize("how", WAYS_TO_WATCH)
@pytest.mark.parametrize("use", WAYS_TO_CALL)
async def test_a_watched_call_that_was_torn_apart_counts_at_most_once_and_the_next_call_counts_once(
    clock: ManualClock, use: Callable[[CircuitBreaker], Awaitable[None]], how: str
) -> None:
    logging.getLogger("recloser").disabled = True
    odd, exempt = [], ends_of_deliveries()
    for line in itertools.count(1):
        _entered.set(())
        watched = await Watched.make(clock, how)
        with suppress(DependencyError), torn_at(line) as tear:
            await use(watched.breaker)
        if tear.where in exempt:
            continue
        count = ended(watched.breaker)
        reported = max(kinds.total() for kinds in (await watched.seen()).values())
        is_right = reported <= count <= 1 and await recovers(watched.breaker, clock) and await learns_once(watched)
        await watched.leave()
        if tear.where is None:
            break
        if not is_right:
            odd.append(tear.where)
    logging.getLogger("recloser").disabled = False
    assert odd == []
    assert is_right
    assert line > 5


async def test_the_running_probes_keep_their_permits_when_lost_ones_come_back(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock, max_probes=3, success_threshold=3)
    breaker.engine.machine.episode.gate.take()  # interrupted before its probe was noted
    others = [breaker.try_acquire_nowait() for _ in range(3)]
    assert [other is None for other in others] == [False, False, True]
    permit.succeed()
    for other in others[:2]:
        other.succeed()
    assert breaker.state is CircuitState.CLOSED
