"""What a call holds keeps the engine alive, and may outlive the breaker around it."""

import copy
import gc
import math
import pickle
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from recloser import BreakerRegistry, CircuitBreaker, StateChanged
from recloser._breaker.engine import Engine
from recloser.events import CallSucceeded
from tests.breaker.kit import answer, fail

pytestmark = pytest.mark.anyio


def let_go(breaker: CircuitBreaker) -> weakref.ref[CircuitBreaker]:
    return weakref.ref(breaker)


def is_gone(reference: weakref.ref[CircuitBreaker]) -> bool:
    gc.collect()
    return reference() is None


def successes(engine: Engine) -> int:
    return CircuitBreaker.around(engine).snapshot().success_total


async def test_a_breaker_is_found_by_its_engine_as_long_as_it_lives() -> None:
    breaker = CircuitBreaker("payments")
    assert CircuitBreaker.around(breaker.engine) is breaker


async def test_a_new_breaker_around_an_engine_continues_where_the_old_one_was() -> None:
    breaker = CircuitBreaker("payments", failure_threshold=1)
    with pytest.raises(Exception, match="down"):
        await breaker.call(fail)
    engine, reference = breaker.engine, let_go(breaker)
    del breaker
    assert is_gone(reference)
    found = CircuitBreaker.around(engine)
    assert (found.name, found.state, found.failure_count) == ("payments", "open", 1)
    assert CircuitBreaker.around(engine) is found


async def test_a_permit_outlives_its_breaker() -> None:
    breaker = CircuitBreaker("payments")
    permit = await breaker.acquire()
    reference = let_go(breaker)
    del breaker
    assert is_gone(reference)
    permit.succeed()
    assert successes(permit.engine) == 1


async def test_a_guard_outlives_its_breaker() -> None:
    breaker = CircuitBreaker("payments")
    guard, reference = breaker.guard(), let_go(breaker)
    del breaker
    async with guard as permit:
        assert is_gone(reference)
    assert successes(permit.engine) == 1


async def test_a_stream_outlives_its_breaker() -> None:
    registry = BreakerRegistry(max_breakers=1)

    @registry.per_key("numbers", key=str)
    async def numbers(_key: str) -> AsyncIterator[int]:
        yield 1
        yield 2

    stream = numbers("a")
    assert await anext(stream) == 1
    reference = let_go(registry.breaker("numbers[a]"))
    engine = registry.breaker("numbers[a]").engine
    registry.breaker("b")
    assert is_gone(reference)
    assert [number async for number in stream] == [2]
    assert successes(engine) == 1


async def test_an_unsubscribe_function_outlives_its_breaker() -> None:
    breaker = CircuitBreaker("payments", overdue_after_seconds=math.inf)  # so that nothing else times its calls
    seen: list[object] = []
    unsubscribe = breaker.subscribe(seen.append, CallSucceeded)
    permit, reference = await breaker.acquire(), let_go(breaker)
    del breaker
    assert is_gone(reference)
    assert permit.engine.live is None
    unsubscribe()
    assert permit.engine.live is not None
    permit.succeed()
    assert seen == []


async def test_a_stream_of_events_outlives_its_breaker() -> None:
    breaker = CircuitBreaker("payments")
    events = breaker.events(kinds=StateChanged)
    engine, reference = breaker.engine, let_go(breaker)
    del breaker
    assert is_gone(reference)
    async with events:
        CircuitBreaker.around(engine).force_open("maintenance")
        assert (await anext(events)).new == "forced_open"


async def test_an_evicted_name_yields_the_same_breaker_while_somebody_holds_it() -> None:
    registry = BreakerRegistry(max_breakers=1)
    breaker = registry.breaker("a")
    registry.breaker("b")
    assert registry.get("a") is breaker
    assert registry.breaker("a") is breaker


async def test_an_evicted_name_yields_the_same_counts_while_only_a_permit_holds_them() -> None:
    registry = BreakerRegistry(max_breakers=1)
    permit = await registry.breaker("a").acquire()
    await registry.breaker("a").call(answer)
    reference = let_go(registry.breaker("a"))
    registry.breaker("b")
    assert is_gone(reference)
    found = registry.get("a")
    assert found is registry.get("a")
    assert found is not None
    assert found.engine is permit.engine
    permit.succeed()
    assert registry.breaker("a") is found
    assert found.snapshot().success_total == 2


async def test_an_evicted_name_yields_a_new_breaker_once_nobody_holds_the_old_one() -> None:
    registry = BreakerRegistry(max_breakers=1)
    await registry.breaker("a").call(answer)
    registry.breaker("b")
    assert registry.get("a") is None
    assert registry.breaker("a").snapshot().success_total == 0


async def test_two_threads_find_the_same_breaker_around_an_evicted_engine() -> None:
    registry = BreakerRegistry(max_breakers=1)
    permit = await registry.breaker("a").acquire()
    registry.breaker("b")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: registry.get("a"), range(1000)))
    assert {id(breaker) for breaker in found} == {id(registry.get("a"))}
    permit.ignore()


async def test_an_evicted_breaker_of_a_subclass_stays_the_same_object() -> None:
    class Named(CircuitBreaker):
        owner = ""

    registry = BreakerRegistry(max_breakers=1)
    breaker = Named("a")
    breaker.owner = "ann"
    permit = await registry.add(breaker).acquire()
    del breaker
    registry.breaker("b")
    gc.collect()
    found = registry.get("a")
    assert isinstance(found, Named)
    assert found.owner == "ann"
    permit.ignore()


@pytest.mark.parametrize("copying", [copy.deepcopy, pickle.dumps])
async def test_what_holds_an_engine_can_be_neither_copied_nor_pickled(copying: Callable[[object], object]) -> None:
    guard = CircuitBreaker("payments", random=Random(1)).guard()
    with pytest.raises(TypeError, match="'payments' can be neither copied nor pickled"):
        copying(guard)
