"""Synchronous slots: what is refused when it is given, and what is refused when it has been called."""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import MethodType, coroutine
from unittest.mock import AsyncMock, Mock

import pytest

from recloser._core.slots import (
    AsynchronousSlotError,
    check_synchronous,
    check_unused,
    checked,
    is_asynchronous,
    refusal,
)


async def ask(*_: object) -> bool:
    return False


async def ask_often(*_: object) -> AsyncGenerator[bool]:
    yield False


def answer(*_: object) -> bool:
    return False


class Asking:
    async def __call__(self, *_: object) -> bool:
        return False

    async def ask(self, *_: object) -> bool:
        return False


class AskingByPartial:
    __call__ = functools.partial(ask, 1)


class AskingByObject:
    __call__ = Asking()


class AskingStatically:
    __call__ = staticmethod(ask)


class Answering:
    def __call__(self, *_: object) -> bool:
        return False

    async def ask(self) -> bool:
        return False


ASYNCHRONOUS = {
    "function": ask,
    "generator function": ask_often,
    "method": Asking().ask,
    "object": Asking(),
    "mock": AsyncMock(),
    "partial of a function": functools.partial(ask, 1),
    "partial of a generator function": functools.partial(ask_often, 1),
    "partial of a method": functools.partial(Asking().ask, 1),
    "partial of an object": functools.partial(Asking(), 1),
    "partial of a partial of an object": functools.partial(functools.partial(Asking(), 1), 2),
    "object with a partial": AskingByPartial(),
    "partial of an object with a partial": functools.partial(AskingByPartial(), 1),
    "object with an object": AskingByObject(),
    "object with a static method": AskingStatically(),
    "method made of an object": MethodType(Asking(), 1),
}
SYNCHRONOUS = {
    "function": answer,
    "lambda": lambda *_: ask(),
    "object": Answering(),
    "mock": Mock(),
    "partial": functools.partial(answer, 1),
    "partial of an object": functools.partial(Answering(), 1),
    "method": Answering().__call__,
    "builtin": len,
    "method of a builtin": [].append,
    "class": Answering,
    "class whose objects are asynchronous": Asking,
    "partial of a class": functools.partial(Asking),
    "no function": 7,
    "None": None,
}


@pytest.mark.parametrize("fn", ASYNCHRONOUS.values(), ids=ASYNCHRONOUS)
def test_an_asynchronous_function_is_refused_whatever_is_around_it(fn: object) -> None:
    assert is_asynchronous(fn)
    with pytest.raises(TypeError, match="^key must be a synchronous function, .* is asynchronous$"):
        check_synchronous("key", fn, "function")


@pytest.mark.parametrize("fn", SYNCHRONOUS.values(), ids=SYNCHRONOUS)
def test_a_synchronous_function_is_accepted_whatever_is_around_it(fn: object) -> None:
    assert not is_asynchronous(fn)
    check_synchronous("key", fn, "function")


@pytest.mark.parametrize(
    "returned",
    [None, True, 0, 1.5, "key", (), [ask], object(), Exception(), iter(())],
    ids=lambda given: type(given).__name__,
)
def test_what_is_not_awaited_is_returned_as_it_is(returned: object) -> None:
    assert refusal("key", returned) is None
    assert checked("key", returned) is returned
    check_unused("listener", returned)


@pytest.mark.parametrize("check", [refusal, checked, check_unused])
def test_a_coroutine_is_closed_and_refused(check: Callable[[str, object], object]) -> None:
    returned = ask()
    message = "on must be synchronous, but returned a coroutine, which is not awaited"
    if check is refusal:
        assert str(refusal("on", returned)) == message
    else:
        with pytest.raises(AsynchronousSlotError, match=f"^{message}$"):
            check("on", returned)
    assert inspect.getcoroutinestate(returned) == inspect.CORO_CLOSED


@pytest.mark.parametrize("check", [checked, check_unused])
def test_an_async_generator_is_refused(check: Callable[[str, object], object]) -> None:
    with pytest.raises(
        AsynchronousSlotError, match="^on must be synchronous, but returned an object of type async_generator"
    ):
        check("on", ask_often())


class Awaitable:
    """Runs by itself, as a task does."""

    def __await__(self) -> Generator[None, None, bool]:
        yield
        return False


@coroutine
def old_coroutine() -> Generator[None, None, bool]:
    yield
    return False


@pytest.mark.parametrize("returned", [Awaitable(), old_coroutine()], ids=["object", "generator"])
def test_any_other_awaitable_is_no_answer_but_may_run_by_itself(returned: object) -> None:
    with pytest.raises(AsynchronousSlotError):
        checked("on", returned)
    check_unused("listener", returned)


def test_a_coroutine_that_has_begun_and_refuses_to_be_closed_is_refused_quietly() -> None:
    async def stubborn() -> None:
        try:
            await Awaitable()
        finally:
            raise ZeroDivisionError

    begun = stubborn()
    begun.send(None)
    with pytest.raises(AsynchronousSlotError):
        checked("on", begun)
