"""Exceptions from outside between any two lines of the library: Ctrl-C, and what other threads raise in this one."""

import gc
import inspect
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState
from recloser._breaker.dispatch import Dispatcher
from recloser._breaker.probe_context import _entered
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, answer, fail, make, make_probing, make_ready
from tests.tear import torn_at

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings(
        "ignore::ResourceWarning",
        "ignore:coroutine .* was never awaited:RuntimeWarning",
        "ignore::pytest.PytestUnraisableExceptionWarning",  # interrupted in a finaliser
    ),
]

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


WAYS = [
    by_call,
    by_failing_call,
    by_decorator,
    by_guard,
    by_permit,
    by_stream,
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


async def test_a_delivery_that_was_torn_apart_does_not_silence_the_listeners(clock: ManualClock) -> None:
    source, first = inspect.getsourcelines(Dispatcher)
    ends = range(first + source.index("        finally:\n"), first + source.index("        return mine\n"))
    silent, heard = [], []
    for line in itertools.count(1):
        breaker = make(clock)
        breaker.subscribe(heard.append)
        with torn_at(line) as tear:
            breaker.force_open("drill")
        if tear.where is None:
            break
        heard.clear()
        breaker.reset()
        if tear.where not in {f"dispatch.py:{end}" for end in ends} and not heard:  # no signal is handled there
            silent.append(tear.where)
    assert silent == []
    assert line > 10


async def test_the_running_probes_keep_their_permits_when_lost_ones_come_back(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock, max_probes=3, success_threshold=3)
    breaker.engine.machine.episode.gate.take()  # interrupted before its probe was noted
    others = [breaker.try_acquire_nowait() for _ in range(3)]
    assert [other is None for other in others] == [False, False, True]
    permit.succeed()
    for other in others[:2]:
        other.succeed()
    assert breaker.state is CircuitState.CLOSED
