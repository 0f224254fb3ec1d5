"""The way down a chain: who is asked, what goes on, what ends it, and what the caller gets."""

import asyncio
import functools
from dataclasses import dataclass

import anyio
import pytest

from recloser import Answer, CircuitBreaker, Constant, Fallback, LastKnownGood, NoAnswer, RejectedError
from recloser.errors import FallbackExhaustedError
from recloser.testing import ManualClock
from tests.fallback.kit import DownError, Source, behind_open_breaker, protect, rejecting

pytestmark = pytest.mark.anyio


async def test_a_first_link_that_answers_is_the_only_one_that_is_asked() -> None:
    primary, secondary = Source("primary"), Source("secondary")
    chain = protect(primary, secondary)
    assert await chain(7, key="x") == "primary answers"
    assert (primary.calls, secondary.calls) == ([((7,), {"key": "x"})], [])


async def test_a_rejected_call_goes_on_to_the_next_link_with_the_same_arguments() -> None:
    secondary = Source("secondary")
    assert await protect(rejecting(), secondary)(7, key="x") == "secondary answers"
    assert secondary.calls == [((7,), {"key": "x"})]


async def test_an_open_breaker_goes_on_to_the_next_link() -> None:
    assert await protect(await behind_open_breaker("primary"), Source("secondary"))(7) == "secondary answers"


async def test_none_is_an_answer() -> None:
    async def nothing() -> None: ...

    secondary = Source("secondary")
    assert await protect(nothing, secondary)() is None
    assert await protect(rejecting(), nothing, secondary)() is None
    assert secondary.calls == []


async def test_a_link_without_an_answer_goes_on() -> None:
    assert await protect(Source("cache", NoAnswer("missed")), Source("secondary"))() == "secondary answers"


async def test_both_breakers_open_and_a_cold_cache_leave_the_default_with_three_errors() -> None:
    cache = Source("cache", NoAnswer("user 7 is not cached"))
    primary, secondary = await behind_open_breaker("primary"), await behind_open_breaker("secondary")
    chain = protect(primary, secondary, cache, Constant("guest"))
    answer = await chain.detailed(7)
    assert (answer.value, answer.source, answer.degraded, answer.age_seconds) == ("guest", "constant", True, None)
    assert [(source, type(error).__name__) for source, error in answer.errors] == [
        ("primary", "CircuitBreakerOpenError"),
        ("secondary", "CircuitBreakerOpenError"),
        ("cache", "NoAnswer"),
    ]


async def test_a_warm_memory_serves_while_both_breakers_are_open_and_an_expired_one_does_not(
    clock: ManualClock,
) -> None:
    primary, cache = Source("primary", "fresh"), LastKnownGood(60, 10, clock=clock)
    chain = protect(primary, await behind_open_breaker("secondary"), cache, Constant("guest"))
    assert (await chain.detailed(7)).source == "primary"
    primary.end = RejectedError("primary")
    clock.advance(59)
    warm = await chain.detailed(7)
    assert (warm.value, warm.source, warm.age_seconds, len(warm.errors)) == ("fresh", "last_known_good", 59, 2)
    clock.advance(1)
    expired = await chain.detailed(7)
    assert (expired.value, expired.source, expired.age_seconds, len(expired.errors)) == ("guest", "constant", None, 3)


async def test_an_answer_that_is_not_degraded_says_so() -> None:
    answer = await protect(Source("primary"), Constant(0)).detailed()
    assert answer == Answer("primary answers", "primary")
    assert not answer.degraded


@pytest.mark.parametrize("form", ["plain", "lambda", "partial", "object", "future", "bound"])
async def test_a_link_may_be_anything_that_can_be_called(form: str) -> None:
    class Client:
        async def fetch(self, number: int) -> int:
            return number + 1

        async def __call__(self, number: int) -> int:
            return number + 1

    def plain(number: int) -> int:
        return number + 1

    link = {
        "plain": plain,
        "lambda": lambda number: number + 1,
        "partial": functools.partial(Client().fetch),
        "object": Client(),
        "future": lambda number: Client().fetch(number),
        "bound": Client().fetch,
    }[form]
    assert await Fallback(Constant(0)).call(link, 1) == 2
    assert await protect(rejecting(), link)(1) == 2


# What ends a chain


@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_any_other_exception_ends_the_chain_and_is_the_callers(depth: int) -> None:
    error, last = DownError("disk full"), Source("last")
    chain = protect(*(rejecting() for _ in range(depth)), Source("broken", error), last)
    with pytest.raises(DownError) as caught:
        await chain()
    assert caught.value is error
    assert error.__context__ is None
    assert last.calls == []


async def test_the_errors_before_the_one_that_ends_a_chain_become_its_notes() -> None:
    error = DownError("disk full")
    with pytest.raises(DownError) as caught:
        await protect(rejecting("first"), Source("second", NoAnswer("missed")), Source("third", error))()
    assert caught.value.__notes__ == [
        "Before, in fallback 'first', 'first' raised RejectedError: 'first' rejected the call; no retry time is known",
        "Before, in fallback 'first', 'second' raised NoAnswer: missed",
    ]


async def test_an_exception_of_the_first_link_gets_no_notes() -> None:
    with pytest.raises(DownError) as caught:
        await protect(Source("first", DownError()), Source("second"))()
    assert not hasattr(caught.value, "__notes__")


async def test_an_exception_that_is_raised_again_and_again_does_not_gather_notes() -> None:
    error = DownError("always the same")
    error.add_note("its own")
    chain = protect(rejecting(), Source("second", error))
    for _ in range(3):
        with pytest.raises(DownError):
            await chain()
    assert len(error.__notes__) == 2
    assert error.__notes__[0] == "its own"


async def test_an_exception_that_refuses_notes_reaches_the_caller_as_it_is() -> None:
    @dataclass(frozen=True)
    class FrozenError(Exception):
        code: int

    error = FrozenError(7)
    with pytest.raises(FrozenError) as caught:
        await protect(rejecting(), Source("second", error))()
    assert caught.value is error


@pytest.mark.parametrize("strike", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
@pytest.mark.parametrize("on", [Exception, lambda _: True], ids=["types", "predicate"])
async def test_what_is_no_exception_never_falls_back(strike: type[BaseException], on: object) -> None:
    error, third = strike(), Source("third")
    for links in ([Source("first", error), third], [rejecting(), Source("second", error), third]):
        with pytest.raises(strike) as caught:
            await protect(*links, on=on)()
        assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert third.calls == []


@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_cancelled_in_a_link_the_chain_ends_at_once_and_later_links_never_start(depth: int) -> None:
    started, last = anyio.Event(), Source("last")

    async def hang() -> None:
        started.set()
        await anyio.sleep_forever()

    chain = protect(*(rejecting(f"link {n}") for n in range(depth)), hang, last, on=Exception)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chain)
        await started.wait()
        tasks.cancel_scope.cancel()
    assert last.calls == []
    counts = chain.health()
    assert counts["links"]["hang"] == {"answers_total": 0, "errors_total": 0}
    assert counts["exhausted_total"] == 0


async def test_a_deadline_within_a_link_is_an_exception_like_any_other() -> None:
    async def slow() -> None:
        with anyio.fail_after(0):
            await anyio.sleep_forever()

    assert await protect(slow, Constant("default"), on=TimeoutError)() == "default"


# on=


@pytest.mark.parametrize(
    "on",
    [DownError, Exception, (OSError, DownError), lambda error: "down" in str(error)],
    ids=["type", "base", "tuple", "predicate"],
)
async def test_on_widens_what_goes_on(on: object) -> None:
    chain = protect(Source("first", DownError("down")), Source("second", DownError("down")), Constant(3), on=on)
    assert await chain() == 3
    with pytest.raises(LookupError):
        await protect(Source("first", LookupError("gone")), Constant(3), on=(DownError, OSError))()


@pytest.mark.parametrize("on", [DownError, (), lambda _: False], ids=["type", "nothing", "predicate"])
@pytest.mark.parametrize("error", [RejectedError("bulkhead"), NoAnswer("missed")], ids=["rejected", "no answer"])
async def test_rejections_and_missing_answers_always_go_on(on: object, error: Exception) -> None:
    assert await protect(Source("first", error), Constant(3), on=on)() == 3


@pytest.mark.parametrize("on", [(), lambda _: False], ids=["nothing", "predicate"])
@pytest.mark.parametrize("grouped", [False, True])
async def test_what_was_raised_from_a_rejection_goes_on(on: object, *, grouped: bool) -> None:
    error = DownError("no connection")
    error.__cause__ = RejectedError("inner")
    raised = ExceptionGroup("one", [error]) if grouped else error
    assert await protect(Source("first", raised), Constant(3), on=on)() == 3


@pytest.mark.parametrize("on", [DownError, lambda error: isinstance(error, DownError)], ids=["type", "predicate"])
async def test_a_group_goes_on_if_each_of_its_leaves_does(on: object) -> None:
    inner = ExceptionGroup("inner", [DownError(), NoAnswer()])
    assert await protect(Source("first", ExceptionGroup("all", [RejectedError("r"), inner])), Constant(3), on=on)() == 3
    group = ExceptionGroup("mixed", [DownError(), ValueError()])
    with pytest.raises(ExceptionGroup) as caught:
        await protect(Source("first", group), Constant(3), on=on)()
    assert caught.value is group


async def test_a_group_that_on_names_goes_on_as_itself() -> None:
    group = ExceptionGroup("any", [ValueError()])
    assert await protect(Source("first", group), Constant(3), on=ExceptionGroup)() == 3


async def test_a_group_with_a_cancellation_in_it_passes() -> None:
    group = BaseExceptionGroup("cancelled", [RejectedError("r"), asyncio.CancelledError()])
    with pytest.raises(BaseExceptionGroup) as caught:
        await protect(Source("first", group), Constant(3), on=lambda _: True)()
    assert caught.value is group


async def test_a_predicate_that_raises_is_logged_and_the_links_exception_reaches_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = DownError()
    with pytest.raises(DownError) as caught:
        await protect(Source("first", error), Constant(3), on=lambda exc: exc.status)()
    assert caught.value is error
    assert error.__context__ is None
    [record] = [record for record in caplog.records if record.name == "recloser"]
    assert (
        record.getMessage()
        == "The predicate `on` of fallback 'first' raised; the exception of 'first' goes to the caller"
    )
    assert record.exc_info[0] is AttributeError


async def test_an_interrupt_in_a_predicate_goes_through() -> None:
    def interrupted(_: Exception) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await protect(Source("first", DownError()), Constant(3), on=interrupted)()


# Nested chains


async def test_the_sources_and_errors_of_a_chain_within_show() -> None:
    inner = protect(rejecting("replica"), Source("archive"), name="inner")
    answer = await protect(rejecting("primary"), inner).detailed()
    assert (answer.value, answer.source, answer.degraded) == ("archive answers", "inner/archive", True)
    assert [source for source, _ in answer.errors] == ["primary", "inner/replica"]


async def test_a_chain_within_that_steps_down_as_the_first_link_is_degraded() -> None:
    inner = protect(rejecting("replica"), Source("archive"), name="inner")
    answer = await protect(inner, Constant(0)).detailed()
    assert (answer.source, answer.degraded) == ("inner/archive", True)


async def test_an_exhausted_chain_within_goes_on_whatever_its_own_on_was() -> None:
    inner = protect(Source("replica", DownError()), Source("archive", DownError()), on=DownError, name="inner")
    answer = await protect(rejecting("primary"), inner, Constant("default")).detailed()
    assert answer.value == "default"
    assert [(source, type(error)) for source, error in answer.errors] == [
        ("primary", RejectedError),
        ("inner", FallbackExhaustedError),
    ]


async def test_an_exception_that_ends_a_chain_within_ends_the_outer_one_with_the_notes_of_both() -> None:
    error = DownError()
    inner = protect(rejecting("replica"), Source("archive", error), name="inner")
    with pytest.raises(DownError):
        await protect(rejecting("primary"), inner, Constant(0), name="outer")()
    assert [note.split(" raised")[0] for note in error.__notes__] == [
        "Before, in fallback 'inner', 'replica'",
        "Before, in fallback 'outer', 'primary'",
    ]


# When every link fails


async def test_when_every_link_fails_the_errors_come_together_in_order() -> None:
    chain = protect(
        rejecting("primary"), Source("secondary", DownError("x")), Source("cache", NoAnswer()), on=DownError
    )
    with pytest.raises(FallbackExhaustedError) as caught:
        await chain()
    assert [(source, type(error)) for source, error in caught.value.errors] == [
        ("primary", RejectedError),
        ("secondary", DownError),
        ("cache", NoAnswer),
    ]
    assert str(caught.value) == (
        "Fallback 'primary' has no answer: 'primary': RejectedError: 'primary' rejected the call; no retry time is "
        "known; 'secondary': DownError: x; 'cache': NoAnswer (3 sub-exceptions)"
    )
    assert caught.value.__context__ is None


async def test_an_exhausted_chain_of_rejections_trips_no_breaker_around_it() -> None:
    breaker = CircuitBreaker(failure_threshold=1)
    with pytest.raises(FallbackExhaustedError):
        await breaker(protect(rejecting(), Source("cache", NoAnswer())))()
    assert breaker.state == "closed"
    assert breaker.health()["failure_total"] == 0


async def test_a_breaker_takes_a_cache_that_misses_for_a_dependency_that_answers() -> None:
    breaker = CircuitBreaker(failure_threshold=1)
    with pytest.raises(NoAnswer):
        await breaker.call(Source("cache", NoAnswer("missed")))
    assert (breaker.health()["success_total"], breaker.health()["failure_total"]) == (1, 0)
