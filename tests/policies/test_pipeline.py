"""`Pipeline`: several policies around one call, in an order that can be read."""

import inspect
import warnings
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from recloser import (
    Bulkhead,
    CallTimeoutError,
    CircuitBreaker,
    CircuitState,
    Constant,
    ExponentialBackoff,
    Hedge,
    LastKnownGood,
    NoAnswer,
    Pipeline,
    RateLimit,
    RejectedError,
    Retry,
    Timeout,
)
from recloser import Fallback as RealFallback
from recloser.errors import BulkheadFullError, ConfigurationWarning, FallbackExhaustedError
from tests.policies.kit import Dependency, DownError, breaker, totals

pytestmark = pytest.mark.anyio


class Traced:
    """A policy of one's own: it has `call`, and nothing else."""

    def __init__(self, name: str, trace: list[str]) -> None:
        self.name = name
        self.trace = trace

    async def call(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> object:
        self.trace.append(f"into {self.name}")
        try:
            return await fn(*args, **kwargs)
        finally:
            self.trace.append(f"out of {self.name}")

    def __str__(self) -> str:
        return f"Traced {self.name}"


class Fallback:
    """What stands in for a fallback: it is recognised by its kind."""

    kind = "fallback"

    async def call(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> object:
        try:
            return await fn(*args, **kwargs)
        except (DownError, RejectedError):
            return "fallback"


def made_with_warnings(*policies: object) -> list[str]:
    """Makes a pipeline and returns the heads of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Pipeline(*policies, name="p")
    assert all(each.category is ConfigurationWarning and each.filename == __file__ for each in caught)
    return [str(each.message) for each in caught]


async def test_the_first_policy_is_the_outermost() -> None:
    trace: list[str] = []
    pipeline = Pipeline(Traced("a", trace), Traced("b", trace))
    assert await pipeline.call(Dependency().ask) == "answer"
    assert trace == ["into a", "into b", "out of b", "out of a"]


async def test_the_usual_order_works_as_a_whole() -> None:
    circuit, dependency = breaker(failure_threshold=2), Dependency(DownError())
    ask = Pipeline(Fallback(), Retry(3, 0.1), Bulkhead(10, 5), circuit, Timeout(5))(dependency.ask)
    assert await ask() == "fallback"
    assert (dependency.calls, circuit.state) == (2, CircuitState.OPEN)
    assert await ask() == "fallback"
    assert dependency.calls == 2


async def test_each_attempt_and_each_timeout_is_an_outcome_of_its_own() -> None:
    circuit, dependency = breaker(failure_threshold=10), Dependency(seconds=60)
    with pytest.raises(CallTimeoutError):
        await Pipeline(Retry(3, 0.1), circuit, Timeout(1)).call(dependency.ask)
    assert totals(circuit) == [(3, 0, 0)]


async def test_a_full_bulkhead_inside_is_ignored_for_the_breaker() -> None:
    circuit, bulkhead = breaker(), Bulkhead(1)
    pipeline = Pipeline(circuit, bulkhead)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pipeline.call, anyio.sleep, 5)
        await anyio.wait_all_tasks_blocked()
        for _ in range(100):
            with pytest.raises(BulkheadFullError):
                await pipeline.call(anyio.sleep, 0)
    assert circuit.state is CircuitState.CLOSED


async def test_arguments_reach_the_function() -> None:
    async def add(one: int, *, two: int) -> int:
        return one + two

    pipeline = Pipeline(Retry(2), Hedge(5), Bulkhead(1), CircuitBreaker("add"), Timeout(1))
    assert await pipeline.call(add, 1, two=2) == await pipeline(add)(1, two=2) == 3


@pytest.mark.parametrize("decorated", [True, False], ids=["decorated", "called"])
async def test_the_links_of_a_fallback_and_their_memory_get_the_callers_own_arguments(*, decorated: bool) -> None:
    asked: list[tuple[object, ...]] = []

    def link(*args: object, **kwargs: object) -> str:
        asked.append((args, kwargs))
        raise NoAnswer

    async def fetch(uid: int, *, field: str) -> str:
        return f"{field} of {uid}"

    circuit, memory = breaker(), LastKnownGood(60, 10, key=lambda uid, *, field: (uid, field))
    pipeline = Pipeline(RealFallback(link, memory), Retry(), circuit, Timeout(1))
    ask = pipeline(fetch) if decorated else partial(pipeline.call, fetch)
    assert await ask(7, field="name") == "name of 7"
    circuit.force_open("drill")
    assert await ask(7, field="name") == "name of 7"
    assert asked == [((7,), {"field": "name"})]
    with pytest.raises(FallbackExhaustedError):
        await ask(8, field="name")


async def test_what_a_fallback_remembers_of_one_function_is_not_served_for_another() -> None:
    circuit = breaker()
    pipeline = Pipeline(RealFallback(LastKnownGood(60, 10)), circuit)
    assert await pipeline.call(answer) == "answer"
    circuit.force_open("drill")
    with pytest.raises(FallbackExhaustedError):
        await pipeline.call(Dependency().ask)
    assert await pipeline.call(answer) == "answer"


async def answer() -> str:
    return "answer"


async def test_an_async_generator_needs_policies_that_decorate_one() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    circuit = breaker()
    assert [number async for number in Pipeline(circuit, Bulkhead(1))(numbers)()] == [1]
    assert circuit.health()["success_total"] == 1
    with pytest.raises(TypeError, match="it has only call"):
        Pipeline(Traced("a", []), Bulkhead(1))(numbers)


def test_it_describes_its_order() -> None:
    circuit = CircuitBreaker("payments", failure_threshold=5, reset_timeout_seconds=60)
    growing = CircuitBreaker("search", reset_timeout_seconds=ExponentialBackoff())
    pipeline = Pipeline(
        Pipeline(Retry(3, 0.5, budget=None, name="again"), circuit, name="inner"),
        Bulkhead(10, name="pool"),
        growing,
        Timeout(2, name="slow"),
        Traced("own", []),
        name="orders",
    )
    assert str(pipeline) == (
        "Pipeline 'orders', outermost first:\n"
        "1. Retry 'again': 3 attempts; waits 0.5 s, together at most 10 s; no budget\n"
        "2. CircuitBreaker 'payments': opens on 5 consecutive failures, for 60 s\n"
        "3. Bulkhead 'pool': 10 at once\n"
        "4. CircuitBreaker 'search': opens on 5 consecutive failures, for 1 s, x 2 per attempt up to 300 s\n"
        "5. Timeout 'slow': 2 s\n"
        "6. Traced own"
    )
    assert repr(pipeline) == "<Pipeline 'orders': retry > breaker > bulkhead > breaker > timeout > Traced>"
    assert (pipeline.policies[1], pipeline.policies[3]) == (circuit, growing)


def test_the_usual_orders_warn_of_nothing() -> None:
    circuit = breaker(clock=lambda: 0.0)
    queue, waiting_limit = Bulkhead(1, 5), RateLimit(1, 1, max_wait_seconds=5)
    assert made_with_warnings(Fallback(), Retry(), queue, circuit, Timeout(1)) == []
    assert made_with_warnings(Fallback(), Retry(), waiting_limit, queue, circuit, Timeout(1)) == []
    assert made_with_warnings(Timeout(10), Retry(), circuit, Timeout(1)) == []
    assert made_with_warnings(Timeout(10), queue, circuit, Timeout(1)) == []
    assert made_with_warnings(circuit, Timeout(1), Bulkhead(1), RateLimit(1, 1)) == []
    assert made_with_warnings(Retry(), RateLimit(1, 1), Hedge(1), circuit) == []


def test_a_pipeline_without_a_name_warns_once_however_often_it_is_made() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(50):
            Pipeline(breaker(clock=lambda: 0.0), Retry())
    assert len(caught) == 1


def test_a_protected_function_in_place_of_a_policy_is_refused_with_what_to_pass_instead() -> None:
    with pytest.raises(
        TypeError, match=r"must be an object with a method call.*; pass the Fallback, without its primary"
    ):
        Pipeline(RealFallback(Constant("none"))(answer))


def test_a_decorated_stream_is_unwrapped_to_its_function() -> None:
    async def numbers(first: int) -> AsyncIterator[int]:
        yield first

    stream = Pipeline(breaker(clock=lambda: 0.0), Bulkhead(1))(numbers)
    assert inspect.unwrap(stream) is numbers
    assert list(inspect.signature(stream).parameters) == ["first"]


@pytest.mark.parametrize(
    ("policies", "head"),
    [
        (lambda circuit: (circuit, Hedge(1)), "hedge inside breaker: the breaker sees one outcome for all attempts"),
        (lambda _: (RateLimit(1, 1), Retry()), "retry inside rate_limit: the limit does not count further attempts"),
        (lambda _: (Retry(), Retry()), "retry inside retry: the attempts of the two multiply"),
        (lambda _: (Timeout(1), Fallback()), "fallback inside timeout: the deadline cancels the fallback too"),
        (lambda circuit: (circuit, Retry()), "retry inside breaker: the breaker sees one outcome for all attempts"),
        (
            lambda circuit: (Timeout(1), circuit),
            "timeout outside breaker: the breaker sees a cancellation, not a failure",
        ),
        (lambda circuit: (circuit, Fallback()), "fallback inside breaker: the breaker sees the fallback's answer"),
        (lambda _: (Retry(), Fallback()), "fallback inside retry: the fallback answers after the first failure"),
        (lambda _: (Bulkhead(1), Retry()), "retry inside bulkhead: a call keeps its place while it waits"),
        (lambda _: (Hedge(1), Retry()), "retry inside hedge: each hedge makes all attempts"),
        (
            lambda circuit: (circuit, circuit),
            "CircuitBreaker 'payments': opens on 1 consecutive failure, for 60 s twice: each success counts twice",
        ),
        (lambda _: (Bulkhead(1, name="b"),) * 2, "Bulkhead 'b': 1 at once twice: a call needs two of its places at"),
        (
            lambda _: (Timeout(1), Bulkhead(1, 1)),
            "bulkhead with a queue inside timeout: the wait counts towards the deadline",
        ),
        (
            lambda _: (Timeout(1), RateLimit(1, 1, max_wait_seconds=1)),
            "rate_limit that waits inside timeout: the wait counts towards the deadline",
        ),
        (
            lambda circuit: (circuit, Bulkhead(1, 1)),
            "bulkhead with a queue inside breaker: a call that waits has passed the breaker already",
        ),
        (
            lambda circuit: (circuit, RateLimit(1, 1, max_wait_seconds=1)),
            "rate_limit that waits inside breaker: a call that waits has passed the breaker already",
        ),
    ],
)
def test_an_order_that_the_field_warns_against_is_told_once_with_the_reason(policies: Callable, head: str) -> None:
    (warning,) = made_with_warnings(*policies(breaker(clock=lambda: 0.0)))
    assert warning.startswith(f"p: {head}")


def test_what_an_inner_pipeline_has_told_is_not_told_again() -> None:
    circuit = breaker(clock=lambda: 0.0)
    with pytest.warns(ConfigurationWarning):
        inner = Pipeline(circuit, Retry())
    assert made_with_warnings(inner) == []
    (warning,) = made_with_warnings(Timeout(1), inner)
    assert "timeout outside breaker" in warning


async def test_an_order_that_is_warned_against_works_all_the_same() -> None:
    with pytest.warns(ConfigurationWarning, match="retry inside breaker"):
        pipeline = Pipeline(breaker(), Retry(2, 0.1))
    assert await pipeline.call(Dependency(DownError(), "answer").ask) == "answer"


def test_a_pipeline_without_policies_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one policy"):
        Pipeline()


@pytest.mark.parametrize("wrong", [7, Retry, lambda fn: fn], ids=["number", "class", "function"])
def test_what_has_no_call_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"a policy must be an object with a method call\(fn"):
        Pipeline(wrong)
