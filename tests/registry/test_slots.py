"""The key functions of per-key breakers, and the clock: what they are, and what they return."""

import functools

import pytest

from recloser import BreakerRegistry, CircuitBreaker
from recloser.errors import MisuseError

pytestmark = pytest.mark.anyio


async def fetch(url: str) -> str:
    return url


def fetch_unawaited(url: str) -> object:
    """Looks synchronous, and returns a coroutine."""
    return fetch(url)


class Key:
    async def __call__(self, url: str) -> str:
        return url


@pytest.mark.parametrize("key", [fetch, Key(), functools.partial(Key())], ids=["function", "object", "partial"])
def test_an_asynchronous_key_function_is_refused_when_it_is_given(key: object) -> None:
    with pytest.raises(TypeError, match="^key must be a synchronous function of the call's arguments"):
        BreakerRegistry().per_key("web", key=key)


async def test_a_key_function_that_returns_a_coroutine_ends_the_call_before_it_starts() -> None:
    registry = BreakerRegistry()
    protected = registry.per_key("web", key=fetch_unawaited)(fetch)
    with pytest.raises(MisuseError, match=r"the key function must be synchronous, but returned a coroutine"):
        await protected("a")
    assert len(registry) == 0


async def test_a_breaker_around_the_call_does_not_count_it() -> None:
    outer = CircuitBreaker("outer", failure_threshold=1)
    with pytest.raises(MisuseError):
        await outer.call(BreakerRegistry().per_key("web", key=fetch_unawaited)(fetch), "a")
    assert (outer.get_state(), outer.health()["ignored_total"]) == ("closed", 1)


def test_an_asynchronous_clock_is_refused_when_it_is_given() -> None:
    with pytest.raises(TypeError, match="^clock must be a synchronous function that returns monotonic seconds"):
        BreakerRegistry(clock=functools.partial(Key(), "a"))
