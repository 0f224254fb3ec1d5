"""`@breaker`: what can be decorated, and what the wrapper looks like."""

import functools
import inspect
from collections.abc import AsyncIterator, Callable
from unittest.mock import AsyncMock

import anyio
import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState, ConsecutiveFailures
from recloser.testing import ManualClock
from tests.breaker.kit import DependencyError, answer, fail, make, make_open, totals

pytestmark = pytest.mark.anyio


class Endpoint:
    """An object with an async `__call__`."""

    def __init__(self) -> None:
        self.path = "/charge"

    async def __call__(self, amount: int) -> int:
        return amount


class Feed:
    """An object whose `__call__` is an async generator function."""

    async def __call__(self, last: int) -> AsyncIterator[int]:
        for number in range(last):
            yield number


async def test_a_decorated_coroutine_function_returns_what_it_returns(clock: ManualClock) -> None:
    breaker = make(clock)
    assert await breaker(answer)() == "answer"
    assert totals(breaker) == {"success": 1}


async def test_a_decorated_function_that_fails_opens_its_breaker(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(DependencyError):
        await breaker(fail)()
    with pytest.raises(CircuitBreakerOpenError):
        await breaker(answer)()


async def test_a_run_of_failures_in_a_decorated_function_opens_exactly_at_the_threshold(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=3)
    states = []
    for _ in range(3):
        with pytest.raises(DependencyError):
            await breaker(fail)()
        states.append(breaker.state)
    assert states == [CircuitState.CLOSED, CircuitState.CLOSED, CircuitState.OPEN]


async def test_a_success_of_a_decorated_function_ends_the_run(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2)
    for fn in (fail, answer, fail):
        with pytest.raises(DependencyError) if fn is fail else anyio.CancelScope():
            await breaker(fn)()
    assert (breaker.state, breaker.failure_count) == (CircuitState.CLOSED, 1)


async def test_a_failure_of_a_decorated_function_sets_the_time_of_the_last_failure(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=3)
    times = []
    for _ in range(2):
        with pytest.raises(DependencyError):
            await breaker(fail)()
        times.append(breaker.last_failure_time)
    assert None not in times


async def test_methods_are_decorated_with_their_self(clock: ManualClock) -> None:
    breaker = make(clock)

    class Client:
        @breaker
        async def charge(self, amount: int) -> tuple[object, int]:
            return self, amount

    client = Client()
    assert await client.charge(3) == (client, 3)
    assert client.charge.breaker is breaker


async def test_a_class_method_is_decorated_below_classmethod(clock: ManualClock) -> None:
    breaker = make(clock)

    class Client:
        @classmethod
        @breaker
        async def charge(cls) -> type:
            return cls

    assert await Client.charge() is Client


async def test_a_static_method_is_decorated_below_staticmethod(clock: ManualClock) -> None:
    breaker = make(clock)

    class Client:
        @staticmethod
        @breaker
        async def charge(amount: int) -> int:
            return amount

    assert await Client.charge(3) == 3


@pytest.mark.parametrize("kind", [classmethod, staticmethod])
def test_decorating_above_classmethod_or_staticmethod_is_refused_with_the_place_for_it(
    clock: ManualClock, kind: Callable
) -> None:
    with pytest.raises(TypeError, match=f"decorates coroutine functions .*; put it below @{kind.__name__}$"):
        make(clock)(kind(answer))


async def test_a_partial_of_a_coroutine_function_can_be_decorated(clock: ManualClock) -> None:
    async def charge(amount: int, currency: str) -> str:
        return f"{amount} {currency}"

    assert await make(clock)(functools.partial(charge, 3, currency="EUR"))() == "3 EUR"


async def test_a_partial_of_an_async_generator_function_can_be_decorated(clock: ManualClock) -> None:
    async def count(last: int) -> AsyncIterator[int]:
        for number in range(last):
            yield number

    counted = make(clock)(functools.partial(count, 2))
    assert [number async for number in counted()] == [0, 1]


async def test_an_object_with_an_async_call_can_be_decorated(clock: ManualClock) -> None:
    breaker = make(clock)
    charge = breaker(Endpoint())
    assert await charge(3) == 3
    assert charge.breaker is breaker


async def test_an_object_whose_call_is_an_async_generator_function_can_be_decorated(clock: ManualClock) -> None:
    count = make(clock)(Feed())
    assert [number async for number in count(2)] == [0, 1]


async def test_an_async_mock_can_be_decorated(clock: ManualClock) -> None:
    charge = AsyncMock(return_value="receipt")
    assert await make(clock)(charge)(3) == "receipt"
    charge.assert_awaited_once_with(3)


@pytest.mark.parametrize(
    "thing",
    [print, Endpoint, Feed, lambda: None, 42, None, "charge"],
    ids=["builtin", "class", "other class", "lambda", "number", "None", "string"],
)
def test_what_is_no_async_function_is_refused_with_the_names_of_the_alternatives(
    clock: ManualClock, thing: object
) -> None:
    with pytest.raises(TypeError, match=r"not .*; @breaker.*await breaker\.call\(fn, .*breaker\.call_in_thread\(fn, "):
        make(clock)(thing)


def test_a_plain_function_is_refused_by_name(clock: ManualClock) -> None:
    def charge() -> None:
        pass

    with pytest.raises(TypeError, match="charge"):
        make(clock)(charge)


def test_a_refused_function_is_not_counted(clock: ManualClock) -> None:
    breaker = make(clock)
    with pytest.raises(TypeError):
        breaker(print)
    assert totals(breaker) == {}


def test_a_decorated_function_keeps_its_name_its_docstring_its_signature_and_its_original(clock: ManualClock) -> None:
    async def charge(amount: int, *, currency: str = "EUR") -> str:
        """Charge."""
        return f"{amount} {currency}"

    wrapper = make(clock)(charge)
    assert (wrapper.__name__, wrapper.__doc__, wrapper.__module__) == ("charge", "Charge.", __name__)
    assert wrapper.__qualname__ == charge.__qualname__
    assert wrapper.__wrapped__ is charge
    assert inspect.signature(wrapper) == inspect.signature(charge)


def test_a_decorated_function_is_of_the_same_kind_as_its_original(clock: ManualClock) -> None:
    async def count() -> AsyncIterator[int]:
        yield 1

    breaker = make(clock)
    assert inspect.iscoroutinefunction(breaker(answer))
    assert inspect.isasyncgenfunction(breaker(count))


def test_a_decorated_function_shows_its_breaker(clock: ManualClock) -> None:
    async def count() -> AsyncIterator[int]:
        yield 1

    breaker = make(clock)
    assert breaker(answer).breaker is breaker
    assert breaker(count).breaker is breaker


def test_decorating_an_object_that_has_an_attribute_breaker_of_its_own_leaves_the_object_alone(
    clock: ManualClock,
) -> None:
    endpoint = Endpoint()
    endpoint.breaker = "its own"
    breaker = make(clock)
    assert breaker(endpoint).breaker is breaker
    assert endpoint.breaker == "its own"


async def test_keyword_arguments_named_like_parts_of_the_wrapper_are_passed_on(clock: ManualClock) -> None:
    async def echo(**kwargs: object) -> dict[str, object]:
        return kwargs

    given = {"self": 1, "fn": 2, "args": 3, "kwargs": 4, "breaker": 5}
    assert await make(clock)(echo)(**given) == given


async def test_one_function_may_be_behind_two_breakers(clock: ManualClock) -> None:
    inner = CircuitBreaker("inner", failure_threshold=1, clock=clock)
    outer = CircuitBreaker("outer", failure_threshold=2, clock=clock)
    charge = outer(inner(fail))
    with pytest.raises(DependencyError):
        await charge()
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await charge()
    assert caught.value.name == "inner"
    assert totals(outer) == {"failure": 1, "ignored": 1}


async def test_a_rejected_call_of_a_decorated_function_does_not_run_it(clock: ManualClock) -> None:
    breaker, charge = await make_open(clock), AsyncMock()
    with pytest.raises(CircuitBreakerOpenError):
        await breaker(charge)()
    charge.assert_not_called()


async def test_wrong_arguments_of_a_decorated_function_give_the_functions_own_error(clock: ManualClock) -> None:
    with pytest.raises(TypeError, match=r"answer\(\)|unexpected|takes|missing"):
        await make(clock)(Endpoint())()


async def test_a_failure_with_a_rule_that_needs_the_time_is_counted_too(clock: ManualClock) -> None:
    breaker = make(clock, trip_when=ConsecutiveFailures(2, within_seconds=10))
    for seconds in (10, 1):
        with pytest.raises(DependencyError):
            await breaker(fail)()
        clock.advance(seconds)
    assert breaker.failure_count == 1


@pytest.mark.parametrize("fn", [functools.partial(answer), functools.partial(functools.partial(answer), 1)])
def test_a_decorated_partial_is_named_after_its_function(clock: ManualClock, fn: Callable) -> None:
    decorated = make(clock)(fn)
    assert (decorated.__name__, decorated.__doc__) == (answer.__name__, answer.__doc__)
    assert decorated.__wrapped__ is fn


def test_a_decorated_object_is_named_after_its_class(clock: ManualClock) -> None:
    decorated = make(clock)(Endpoint())
    assert decorated.__name__ == "Endpoint"
    assert vars(decorated).keys() == {"__wrapped__", "breaker"}
