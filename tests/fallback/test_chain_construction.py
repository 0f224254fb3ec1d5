"""What is refused as a link, as a primary or as an argument of a fallback, and what is taken."""

import asyncio
from collections.abc import AsyncIterator, Callable

import anyio
import pytest

from recloser import Answer, CircuitBreaker, Constant, Fallback, NoAnswer, Timeout
from recloser.errors import FallbackExhaustedError, MisuseError
from tests.fallback.kit import DownError, Source, protect, rejecting

pytestmark = pytest.mark.anyio


async def stream() -> AsyncIterator[int]:
    yield 1


# Links


@pytest.mark.parametrize(
    ("link", "message"),
    [
        (CircuitBreaker("users"), r"'users' closed> is no link: pass the function that it protects, breaker\(fn\)"),
        (Timeout(1), r"is a policy and no link: pass the function that it protects, policy\(fn\)"),
        (Fallback(Constant(0)), r"is a policy and no link: pass the function that it protects, policy\(fn\)"),
        ("guest", r"not 'guest'; Constant\('guest'\) always has that answer"),
        (stream, "is an async generator function; a link returns one answer"),
    ],
    ids=["breaker", "policy", "fallback", "value", "generator"],
)
@pytest.mark.parametrize("before", [0, 1])
def test_what_is_no_link_is_refused_with_what_to_pass_instead(link: object, message: str, before: int) -> None:
    with pytest.raises(TypeError, match=message):
        Fallback(*[Source("cached")] * before, link, Constant(0))


def test_a_coroutine_is_refused_and_closed() -> None:
    with pytest.raises(TypeError, match="leave out its arguments, they are passed on"):
        Fallback(Source("cached")(7))


def opens_a_stream() -> AsyncIterator[int]:
    return stream()


async def test_an_async_generator_that_is_returned_is_refused() -> None:
    with pytest.raises(MisuseError, match="'opens_a_stream' returned an async generator"):
        await protect(rejecting(), opens_a_stream)()
    with pytest.raises(MisuseError, match="'opens_a_stream' returned an async generator"):
        await Fallback(Constant(0)).call(opens_a_stream)


def test_a_fallback_without_links_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs at least one link to fall back to, for example Fallback\(Constant"):
        Fallback()


def test_links_behind_a_constant_are_refused() -> None:
    with pytest.raises(ValueError, match="links behind it are never asked: put it last"):
        Fallback(Constant(0), Source("secondary"))


async def test_a_constant_is_returned_as_it_is() -> None:
    value = Source("value")
    assert await protect(rejecting(), Constant(value))() is value
    assert value.calls == []


def test_a_constant_that_could_be_awaited_once_is_refused() -> None:
    with pytest.raises(TypeError, match="value must be the answer itself"):
        Constant(Source("value")())


def test_generic_values_can_be_made_with_their_type() -> None:
    assert Constant[int](1) == Constant(1)
    assert Answer[int](1, "source") == Answer(1, "source")


# Other arguments


@pytest.mark.parametrize("on", ["down", 7, BaseException, asyncio.CancelledError, (DownError, KeyboardInterrupt), int])
def test_an_on_that_is_no_condition_on_exceptions_is_refused(on: object) -> None:
    with pytest.raises(
        TypeError, match="on must be a subclass of Exception, a tuple of them, or a synchronous predicate"
    ):
        Fallback(Constant(0), on=on)


def test_a_breaker_as_condition_is_refused_with_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"'users' closed>; write on=breaker\.is_failure$"):
        Fallback(Constant(0), on=CircuitBreaker("users"))


def test_an_asynchronous_predicate_is_refused() -> None:
    with pytest.raises(TypeError, match="on must be"):
        Fallback(Constant(0), on=Source("predicate"))


def test_a_name_that_is_no_string_is_refused() -> None:
    with pytest.raises(TypeError, match="name must be a string, not 7"):
        Fallback(Constant(0), name=7)


# The primary


async def primary(number: int) -> int:
    return number


def cached(number: int) -> int:
    return number


@pytest.mark.parametrize("fn", [cached, lambda: 1, int])
def test_a_plain_function_is_not_decorated(fn: object) -> None:
    with pytest.raises(
        TypeError, match=r"decorates coroutine functions, not .*; await policy.call\(fn, ...\) takes any"
    ):
        Fallback(Constant(0))(fn)


def test_an_async_generator_function_is_not_decorated() -> None:
    with pytest.raises(
        TypeError, match="does not decorate async generator functions: .*; protect a coroutine function"
    ):
        Fallback(Constant(0))(stream)


@pytest.mark.parametrize("kind", [classmethod, staticmethod])
def test_a_class_method_of_a_plain_function_is_not_decorated(kind: Callable) -> None:
    with pytest.raises(TypeError, match="Fallback decorates coroutine functions, not <built-in function len>"):
        Fallback(Constant(0))(kind(len))


@pytest.mark.parametrize(
    ("args", "kwargs", "given"),
    [((7,), {}, "7"), ((7, 8), {}, "7, 8"), ((), {}, ""), ((), {"fn": 7}, "fn=7"), ((primary, 7), {}, "<.*>, 7")],
    ids=["value", "values", "nothing", "keyword", "function and value"],
)
async def test_a_fallback_that_is_called_as_if_its_first_link_were_protected_tells_how_to_protect_it(
    args: tuple, kwargs: dict, given: str
) -> None:
    with pytest.raises(MisuseError, match=rf"not \({given}\); if that is primary, call Fallback\(cached\)\(primary\)"):
        await Fallback(primary, cached)(*args, **kwargs)


async def test_a_decorator_without_parentheses_tells_that_they_are_missing() -> None:
    @Fallback
    async def get_user(user_id: int) -> int:
        return user_id

    with pytest.raises(MisuseError, match=r"call Fallback\(\.\.\.\)\(get_user\), or put @Fallback\(\.\.\.\) above it"):
        await get_user(7)


def test_a_coroutine_in_place_of_the_primary_is_refused_and_closed() -> None:
    with pytest.raises(MisuseError, match="the function that it protects, not \\(<coroutine"):
        Fallback(cached)(primary(7))


@pytest.mark.parametrize("wrong", [7, primary(7)], ids=["value", "coroutine"])
async def test_what_can_not_be_called_is_refused_by_call(wrong: object) -> None:
    with pytest.raises(MisuseError, match=r"call\(\) takes a function and its arguments, .*, not "):
        await Fallback(Constant(0)).call(wrong)


def test_a_chain_that_nobody_could_ask_makes_an_outer_breaker_neither_better_nor_worse() -> None:
    async def main() -> None:
        outer = CircuitBreaker("outer", failure_threshold=1)
        with pytest.raises(FallbackExhaustedError):
            await outer.call(protect(rejecting(), Source("cache", NoAnswer())))
        assert (outer.health()["ignored_total"], outer.health()["success_total"]) == (1, 0)

    anyio.run(main)
