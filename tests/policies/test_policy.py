"""What all policies have in common: `call`, the decorator, names."""

import functools
import inspect
from collections.abc import AsyncIterator, Callable

import anyio.lowlevel
import pytest

from recloser import Bulkhead, Hedge, Pipeline, RateLimit, Retry, Timeout
from recloser._policies.policy import Policy
from recloser.errors import MisuseError
from tests.policies.kit import Dependency, breaker, totals

pytestmark = pytest.mark.anyio

MAKE: list[Callable[..., Policy]] = [
    functools.partial(Timeout, 60),
    functools.partial(Bulkhead, 2),
    functools.partial(RateLimit, 10, 1),
    functools.partial(Retry, 2),
    functools.partial(Hedge, 60),
    functools.partial(Pipeline, Timeout(60), Bulkhead(2)),
]
COROUTINES_ONLY = [Timeout(60), Retry(2), Hedge(60), Pipeline(Bulkhead(1), Timeout(60))]
STREAMS = [Bulkhead(2), RateLimit(10, 1), Pipeline(Bulkhead(2), RateLimit(10, 1))]
every_policy = pytest.mark.parametrize("make", MAKE, ids=lambda make: make.func.__name__)


async def add(one: int, *, two: int) -> int:
    """Add."""
    await anyio.lowlevel.checkpoint()
    return one + two


@every_policy
async def test_call_passes_arguments_and_the_result(make: Callable[..., Policy]) -> None:
    assert await make().call(add, 1, two=2) == 3


@every_policy
async def test_call_returns_a_plain_value(make: Callable[..., Policy]) -> None:
    assert await make().call(max, 1, 2) == 2


@every_policy
async def test_call_awaits_what_is_awaitable_and_no_coroutine(make: Callable[..., Policy]) -> None:
    class Later:
        def __await__(self):  # noqa: ANN204 - a generator
            return (yield from add(1, two=2).__await__())

    assert await make().call(Later) == 3


@every_policy
async def test_an_exception_comes_through_as_the_same_object(make: Callable[..., Policy]) -> None:
    own = KeyError("own")
    with pytest.raises(KeyError) as caught:
        await make().call(Dependency(own).ask)
    assert caught.value is own


@every_policy
async def test_the_decorator_keeps_name_text_and_kind_and_shows_its_policy(make: Callable[..., Policy]) -> None:
    policy = make()
    added = policy(add)
    assert await added(1, two=2) == 3
    assert (added.__name__, added.__doc__, added.policy) == ("add", "Add.", policy)
    assert inspect.iscoroutinefunction(added)


@every_policy
async def test_what_cannot_be_called_is_refused_and_ignored_for_a_breaker(make: Callable[..., Policy]) -> None:
    circuit, policy = breaker(), make()
    coroutine = add(1, two=2)
    for wrong in (coroutine, None):
        with pytest.raises(MisuseError, match="takes a function and its arguments"):
            await circuit.call(policy.call, wrong)
    assert totals(circuit) == [(0, 2, 0)]


@every_policy
async def test_call_refuses_an_async_generator_function(make: Callable[..., Policy]) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(MisuseError, match="is an async generator"):
        await make().call(numbers)


@every_policy
async def test_the_decorator_refuses_a_plain_function(make: Callable[..., Policy]) -> None:
    with pytest.raises(TypeError, match=r"decorates coroutine functions, not .*; await policy.call"):
        make()(max)


@pytest.mark.parametrize("kind", [classmethod, staticmethod])
@every_policy
async def test_a_class_method_and_a_static_method_are_refused_with_where_to_decorate(
    make: Callable[..., Policy], kind: type
) -> None:
    with pytest.raises(TypeError, match=rf"decorates coroutine functions, not .*; put it below @{kind.__name__}$"):
        make()(kind(add))


@pytest.mark.parametrize("policy", COROUTINES_ONLY, ids=lambda policy: policy.kind)
async def test_where_it_makes_no_sense_an_async_generator_function_is_refused(policy: Policy) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    with pytest.raises(TypeError, match="does not decorate async generator functions: "):
        policy(numbers)


@pytest.mark.parametrize("policy", STREAMS, ids=lambda policy: policy.kind)
async def test_a_decorated_async_generator_passes_items_and_what_is_sent_and_thrown(policy: Policy) -> None:
    @policy
    async def echo(first: str) -> AsyncIterator[str]:
        heard = first
        while True:
            try:
                heard = yield heard
            except LookupError as error:
                heard = repr(error)
            if heard is None:
                return

    stream = echo("a")
    assert await stream.asend(None) == "a"
    assert await stream.asend("b") == "b"
    assert await stream.athrow(LookupError("c")) == "LookupError('c')"
    with pytest.raises(StopAsyncIteration):
        await stream.asend(None)
    assert echo.policy is policy


@pytest.mark.parametrize("policy", STREAMS, ids=lambda policy: policy.kind)
async def test_a_decorated_async_generator_that_is_closed_early_ends_its_function(policy: Policy) -> None:
    ended = []

    @policy
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            ended.append(True)

    stream = numbers()
    assert await anext(stream) == 1
    await stream.aclose()
    assert ended == [True]


@every_policy
async def test_a_name_is_made_unless_given(make: Callable[..., Policy]) -> None:
    assert make(name="mine").name == "mine"
    first, second = make(), make()
    assert first.name.startswith(f"{first.kind}-")
    assert first.name != second.name


@every_policy
async def test_a_name_that_is_no_string_is_refused(make: Callable[..., Policy]) -> None:
    with pytest.raises(TypeError, match="name must be a string, not 7"):
        make(name=7)


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Timeout(2.5, name="t"), "Timeout 't': 2.5 s"),
        (Bulkhead(3, name="b"), "Bulkhead 'b': 3 at once"),
        (Bulkhead(3, 2, name="b"), "Bulkhead 'b': 3 at once, 2 waiting"),
        (Bulkhead(3, 2, 1.5, name="b"), "Bulkhead 'b': 3 at once, 2 waiting for at most 1.5 s"),
        (RateLimit(1, 2, name="r"), "RateLimit 'r': 1 call per 2 s"),
        (RateLimit(5, 1, max_wait_seconds=3, name="r"), "RateLimit 'r': 5 calls per 1 s, waiting at most 3 s"),
        (
            Retry(3, 0.5, budget=None, name="y"),
            "Retry 'y': 3 attempts; waits 0.5 s, together at most 10 s; no budget",
        ),
        (
            Retry(1, 0.5, name="y"),
            "Retry 'y': 1 attempt; waits 0.5 s, together at most 10 s; budget 0.1 per call + 1 per s + 10",
        ),
        (Hedge(0.2, 2, None, name="h"), "Hedge 'h': 2 further attempts after 0.2 s; no budget"),
        (Hedge(0.2, name="h"), "Hedge 'h': 1 further attempt after 0.2 s; budget 0.1 per call + 1 per s + 10"),
    ],
)
async def test_a_policy_tells_its_settings(policy: Policy, text: str) -> None:
    assert (str(policy), repr(policy)) == (text, f"<{text}>")
