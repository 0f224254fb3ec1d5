"""How many objects of a breaker the garbage collector tracks: a full collection visits all of them."""

import gc
import weakref
from collections import Counter
from collections.abc import Callable

import pytest

from recloser import BreakerRegistry, CircuitBreaker
from recloser._core.settings import Options
from tests.registry.kit import fail, succeed

BREAKERS = 100
MOST_TRACKED = 4


def tracked(make: Callable[[str], object]) -> Counter[str]:
    """Returns how many objects of each type the collector tracks per breaker; what all breakers share is left out."""
    make("first")
    names = [f"breaker {number}" for number in range(BREAKERS)]
    gc.collect()
    gc.disable()
    try:
        before = {id(each) for each in gc.get_objects()}
        for name in names:
            make(name)
        added = Counter(type(each).__name__ for each in gc.get_objects() if id(each) not in before)
    finally:
        gc.enable()
    return Counter({name: count // BREAKERS for name, count in added.items()})


@pytest.mark.parametrize("overrides", [{}, {"failure_threshold": 3, "reset_timeout_seconds": 30}])
def test_a_breaker_of_a_registry_is_four_objects_to_the_garbage_collector(overrides: Options) -> None:
    registry = BreakerRegistry()
    added = tracked(lambda name: registry.breaker(name, **overrides))
    assert added["Engine"] == 1
    assert added.total() <= MOST_TRACKED, added


def test_calls_add_no_object() -> None:
    registry = BreakerRegistry()

    def use(name: str) -> None:
        succeed(registry, name)
        fail(registry, name)
        succeed(registry, name)

    assert tracked(use).total() <= MOST_TRACKED


def test_an_object_more_would_be_noticed() -> None:
    registry = BreakerRegistry()
    more: list[list[CircuitBreaker]] = []
    usual = tracked(lambda name: registry.breaker(f"usual {name}"))
    assert tracked(lambda name: more.append([registry.breaker(name)])) - usual == Counter({"list": 1})


@pytest.mark.anyio
async def test_an_evicted_breaker_is_freed_without_a_collection() -> None:
    registry = BreakerRegistry(max_breakers=1, failure_threshold=1, reset_timeout_seconds=0)
    breaker = registry.breaker("a")
    registry.subscribe(lambda _: None)
    gc.disable()
    try:
        with pytest.raises(OSError, match="down"):
            await breaker.call(unreachable)
        await breaker.call(str)  # a probe
        engine = weakref.ref(breaker.engine)
        del breaker
        registry.breaker("b")
        assert engine() is None
    finally:
        gc.enable()


async def unreachable() -> None:
    raise OSError("down")


def test_a_breaker_that_is_used_again_after_its_eviction_is_the_same_object() -> None:
    registry = BreakerRegistry(max_breakers=1)
    held = registry.breaker("a")
    registry.breaker("b")
    assert registry.get("a") is held
    assert CircuitBreaker.around(held.engine) is held
    assert registry.breaker("a") is held
