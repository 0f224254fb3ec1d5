"""What is refused as a link or as an argument of a chain, and what is taken."""

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest

from recloser import Answer, CircuitBreaker, Constant, Fallback, LastKnownGood, NoAnswer, Timeout
from recloser.errors import FallbackExhaustedError
from tests.fallback.kit import DownError, Source, rejecting

pytestmark = pytest.mark.anyio


async def stream() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("link", "message"),
    [
        (CircuitBreaker("users"), r"'users' closed> is no link: pass the function that it protects, breaker\(fn\)"),
        ("guest", r"not 'guest'; Constant\('guest'\) always has that answer"),
        (stream, "is an async generator function; a link returns one answer"),
    ],
    ids=["breaker", "value", "generator"],
)
@pytest.mark.parametrize("before", [0, 1])
def test_what_is_no_link_is_refused_with_what_to_pass_instead(link: object, message: str, before: int) -> None:
    with pytest.raises(TypeError, match=message):
        Fallback(*[Source("primary")] * before, link)


def test_a_coroutine_is_refused_and_closed() -> None:
    with pytest.raises(TypeError, match="leave out its arguments, the chain passes them"):
        Fallback(Source("primary")(7))


def opens_a_stream() -> AsyncIterator[int]:
    return stream()


@pytest.mark.parametrize("before", [0, 1])
async def test_an_async_generator_that_a_link_returns_is_refused(before: int) -> None:
    with pytest.raises(TypeError, match="link 'opens_a_stream' returned an async generator"):
        await Fallback(*[rejecting()] * before, opens_a_stream)()


def test_an_empty_chain_is_refused() -> None:
    with pytest.raises(ValueError, match="a chain needs at least one link"):
        Fallback()


def test_links_behind_a_constant_are_refused() -> None:
    with pytest.raises(ValueError, match="links behind it are never asked"):
        Fallback(Source("primary"), Constant(0), Source("secondary"))


def test_a_memory_is_refused_as_the_first_link() -> None:
    with pytest.raises(ValueError, match="it can't be the first link"):
        Fallback(LastKnownGood(60, 10), Constant(0))


@pytest.mark.parametrize("on", ["down", 7, BaseException, asyncio.CancelledError, (DownError, KeyboardInterrupt), int])
def test_an_on_that_is_no_condition_on_exceptions_is_refused(on: object) -> None:
    with pytest.raises(
        TypeError, match="on must be a subclass of Exception, a tuple of them, or a synchronous predicate"
    ):
        Fallback(Source("primary"), on=on)


def test_an_asynchronous_predicate_is_refused() -> None:
    with pytest.raises(TypeError, match="on must be"):
        Fallback(Source("primary"), on=Source("predicate"))


def test_a_name_that_is_no_string_is_refused() -> None:
    with pytest.raises(TypeError, match="name must be a string, not 7"):
        Fallback(Source("primary"), name=7)


async def test_a_constant_is_returned_as_it_is() -> None:
    value = Source("value")
    assert await Fallback(rejecting(), Constant(value))() is value
    assert value.calls == []


def test_a_constant_that_could_be_awaited_once_is_refused() -> None:
    with pytest.raises(TypeError, match="value must be the answer itself"):
        Constant(Source("value")())


def test_a_policy_is_no_link_and_says_what_is() -> None:
    with pytest.raises(TypeError, match=r"is a policy and no link: pass the function that it protects, policy\(fn\)"):
        Fallback(Source("primary"), Timeout(1))


def test_a_chain_that_nobody_could_ask_makes_an_outer_breaker_neither_better_nor_worse() -> None:
    async def main() -> None:
        outer = CircuitBreaker("outer", failure_threshold=1)
        with pytest.raises(FallbackExhaustedError):
            await outer.call(Fallback(rejecting(), Source("cache", NoAnswer())))
        assert (outer.health()["ignored_total"], outer.health()["success_total"]) == (1, 0)

    anyio.run(main)


def test_generic_values_can_be_made_with_their_type() -> None:
    assert Constant[int](1) == Constant(1)
    assert Answer[int](1, "source") == Answer(1, "source")
