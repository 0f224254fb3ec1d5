"""`.detailed()` of the function that a pipeline returns: where its answers come from."""

import warnings
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from recloser import (
    Answer,
    Bulkhead,
    CircuitBreakerOpenError,
    Constant,
    Fallback,
    LastKnownGood,
    NoAnswer,
    Pipeline,
    Retry,
    Timeout,
)
from recloser.errors import FallbackExhaustedError
from recloser.testing import ManualClock
from tests.policies.kit import Dependency, DownError, breaker

pytestmark = pytest.mark.anyio


def pipeline(*policies: object, name: str | None = None) -> Pipeline:
    """Makes a pipeline of any order, without warnings."""
    with warnings.catch_warnings(action="ignore"):
        return Pipeline(*policies, name=name)


async def test_a_fallback_outside_tells_its_source_and_the_errors_before() -> None:
    circuit = breaker()
    ask = Pipeline(Fallback(Constant("default")), Retry(2, 0.1), circuit, Timeout(5))(Dependency().ask)
    assert await ask.detailed(7) == Answer("answer", "ask")
    circuit_error = CircuitBreakerOpenError
    circuit.force_open("drill")
    answer = await ask.detailed(7)
    assert (answer.value, answer.source, answer.degraded) == ("default", "constant", True)
    assert [(source, type(error)) for source, error in answer.errors] == [("ask", circuit_error)]
    assert await ask(7) == "default"


@pytest.mark.parametrize("outer", [lambda: Timeout(5), lambda: Bulkhead(1), breaker, lambda: Retry(2, 0.1)])
async def test_a_fallback_inside_another_policy_tells_its_source(outer: Callable[[], Any]) -> None:
    dependency = Dependency(DownError(), "answer")
    ask = pipeline(outer(), Fallback(Constant("default"), on=DownError), Timeout(1))(dependency.ask)
    answer = await ask.detailed(7)
    assert (answer.value, answer.source, [source for source, _ in answer.errors]) == ("default", "constant", ["ask"])
    assert await ask.detailed(7) == Answer("answer", "ask")


async def test_without_a_fallback_the_source_is_the_function() -> None:
    ask = Pipeline(Retry(2, 0.1), breaker(failure_threshold=2), Timeout(1))(Dependency(DownError(), "answer").ask)
    assert await ask.detailed(7) == Answer("answer", "ask")


async def test_detailed_goes_through_every_policy() -> None:
    circuit, dependency = breaker(), Dependency(DownError())
    for policies in ((circuit,), (circuit, Fallback(Constant("default")))):
        circuit.reset()
        ask = pipeline(*policies)(dependency.ask)
        with pytest.raises(DownError):
            await ask.detailed(7)
        with pytest.raises(CircuitBreakerOpenError):
            await ask.detailed(7)
    assert dependency.calls == 2


async def test_with_several_fallbacks_the_source_names_the_inner_one_first() -> None:
    dependency = Dependency("answer", NoAnswer(), NoAnswer(), DownError())
    link = Dependency("cached", NoAnswer())
    inner = Fallback(link.ask, name="cache")
    ask = pipeline(Fallback(Constant("default"), on=DownError), Timeout(5), inner, Timeout(1))(dependency.ask)
    answers = [await ask.detailed(7) for _ in range(4)]
    assert [(answer.value, answer.source) for answer in answers] == [
        ("answer", "cache/ask"),
        ("cached", "cache/ask-2"),
        ("default", "constant"),
        ("default", "constant"),
    ]
    assert [[source for source, _ in answer.errors] for answer in answers] == [[], ["cache/ask"], ["cache"], ["cache"]]


async def test_a_pipeline_of_fallbacks_tells_the_same_as_fallbacks_inside_fallbacks() -> None:
    async def fetch() -> str:
        raise NoAnswer("down")

    async def cached() -> str:
        return "cached"

    outer, inner = Fallback(Constant("default")), Fallback(cached)
    stacked, piped = await outer(inner(fetch)).detailed(), await Pipeline(outer, inner)(fetch).detailed()
    assert stacked.source == piped.source == "fetch/cached"
    assert [source for source, _ in stacked.errors] == [source for source, _ in piped.errors] == ["fetch/fetch"]


async def test_a_pipeline_around_a_protected_function_tells_the_source_inside() -> None:
    async def fetch() -> str:
        raise NoAnswer("down")

    protected = Fallback(Constant("default"))(fetch)
    assert (await Pipeline(Timeout(1))(protected).detailed()).source == "constant"
    assert (await Pipeline(Fallback(Constant(0)), Timeout(1))(protected).detailed()).source == "fetch/constant"
    assert await Pipeline(Fallback(Constant(0)), Timeout(1)).call(protected) == "default"


@pytest.mark.parametrize("form", ["decorated", "called", "detailed"])
async def test_a_fallback_outside_does_not_remember_the_default_of_one_inside(form: str) -> None:
    memory, dependency = LastKnownGood(60, 10), Dependency(NoAnswer())
    both = pipeline(Fallback(memory), Timeout(5), Fallback(Constant("default")), Timeout(1))
    ask = {
        "decorated": lambda: both(dependency.ask)(7),
        "called": lambda: both.call(dependency.ask, 7),
        "detailed": lambda: both(dependency.ask).detailed(7),
    }[form]
    await ask()
    assert len(memory) == 0


async def test_detailed_and_the_call_share_what_is_remembered() -> None:
    clock, dependency = ManualClock(), Dependency("answer", NoAnswer())
    ask = Pipeline(Fallback(LastKnownGood(60, 10, clock=clock)), Timeout(1))(dependency.ask)
    assert await ask(7) == "answer"
    clock.advance(30)
    answer = await ask.detailed(7)
    assert (answer.value, answer.source, answer.age_seconds) == ("answer", "last_known_good", 30)
    with pytest.raises(FallbackExhaustedError) as caught:
        await ask(8)
    assert caught.value.sources == ("ask", "last_known_good")


async def test_calls_of_a_pipeline_are_counted_by_its_fallback() -> None:
    fallback, dependency = Fallback(Constant("default")), Dependency("answer", NoAnswer())
    ask = Pipeline(fallback, Timeout(1))(dependency.ask)
    await ask(7)
    await ask.detailed(7)
    assert fallback.health()["links"] == {
        "primary": {"answers_total": 1, "errors_total": 1},
        "constant": {"answers_total": 1, "errors_total": 0},
    }


class Own:
    """A policy of one's own around the result of a function."""

    def __init__(self, change: Callable[[object], object], *, calls: bool = True) -> None:
        self.change = change
        self.calls = calls

    async def call(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> object:
        return self.change(await fn(*args, **kwargs) if self.calls else None)


async def test_a_policy_of_ones_own_that_changes_an_answer_leaves_its_source() -> None:
    ask = pipeline(Own(repr), Fallback(Constant("default")), Timeout(1))(Dependency(NoAnswer()).ask)
    answer = await ask.detailed(7)
    assert (answer.value, answer.source, answer.degraded) == ("'default'", "constant", True)


@pytest.mark.parametrize("position", [0, 1])
async def test_of_several_answers_the_one_that_a_policy_returns_tells_the_source(position: int) -> None:
    class Twice:
        async def call(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> object:
            return [await fn(*args, **kwargs) for _ in range(2)][position]

    dependency = Dependency(NoAnswer(), "answer")
    ask = pipeline(Twice(), Fallback(Constant("default")), Timeout(1))(dependency.ask)
    assert (await ask.detailed(7)).source == ["constant", "ask"][position]


async def test_a_policy_of_ones_own_that_answers_by_itself_has_the_source_of_the_function() -> None:
    ask = pipeline(Own(repr, calls=False), Fallback(Constant("default")), Timeout(1))(Dependency().ask)
    assert await ask.detailed(7) == Answer("None", "ask")


async def test_a_fallback_of_ones_own_is_not_looked_into() -> None:
    class Default(Own):
        kind = "fallback"

    ask = pipeline(Default(lambda _: "default"), Timeout(1))(Dependency().ask)
    assert await ask.detailed(7) == Answer("default", "ask")


async def test_a_stream_in_a_pipeline_has_no_detailed() -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    assert not hasattr(Pipeline(Bulkhead(1))(numbers), "detailed")
    with pytest.raises(TypeError, match="Fallback does not decorate async generator functions"):
        Pipeline(Fallback(Constant(0)), Bulkhead(1))(numbers)
