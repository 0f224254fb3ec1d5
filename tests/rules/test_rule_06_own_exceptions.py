"""Rule 6: the caller's own exception comes through untouched."""

import traceback
from collections.abc import Callable

import pytest

from recloser.testing import ManualClock
from tests.breaker.kit import (
    DependencyError,
    answer,
    fail,
    fail_once,
    make,
    totals,
)
from tests.rules.kit import CLOSED, OPEN, Style, by_call, by_decorator, each_style

pytestmark = pytest.mark.anyio


def state_of(error: BaseException) -> tuple[object, ...]:
    return error.args, error.__cause__, error.__context__, error.__suppress_context__, getattr(error, "__notes__", None)


def with_a_past(kind: type[BaseException]) -> BaseException:
    """Returns an exception that has a cause, a context and notes."""
    error = kind("down")
    error.__cause__ = ValueError("cause")
    error.__context__ = KeyError("context")
    error.add_note("while charging")
    return error


@each_style
@pytest.mark.parametrize("threshold", [1, 2], ids=["tripping", "counting"])
@pytest.mark.parametrize("observed", [True, False], ids=["observed", "unobserved"])
@pytest.mark.parametrize("make_error", [DependencyError, with_a_past], ids=["plain", "with a past"])
async def test_rule_6_the_callers_exception_is_the_same_object_and_untouched(
    clock: ManualClock, style: Style, threshold: int, make_error: Callable[..., BaseException], *, observed: bool
) -> None:
    breaker = make(clock, failure_threshold=threshold)
    if observed:
        breaker.subscribe(lambda event: event.unknown)
    error = make_error(DependencyError) if make_error is with_a_past else make_error("down")
    before = state_of(error)
    with pytest.raises(DependencyError) as caught:
        await style(breaker, fail, error)
    assert caught.value is error
    assert state_of(error) == before
    assert breaker.state is (OPEN if threshold == 1 else CLOSED)


@each_style
@pytest.mark.parametrize("argument", ["expected_exception", "ignored_exception"])
async def test_rule_6_a_predicate_that_raises_is_a_failure_and_the_callers_own_exception_comes_through(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, style: Style, argument: str
) -> None:
    breaker = make(clock, **{argument: lambda exc: exc.status == 500})
    error = with_a_past(DependencyError)
    before = state_of(error)
    with pytest.raises(DependencyError) as caught:
        await style(breaker, fail, error)
    assert caught.value is error
    assert state_of(error) == before
    assert breaker.state is OPEN
    assert "A predicate of circuit breaker 'payments' raised; the call counts as failed" in caplog.text


@pytest.mark.parametrize("style", [by_call, by_decorator], ids=lambda style: style.__name__)
async def test_rule_6_a_failed_result_that_raises_is_a_failure_and_the_callers_own_result_comes_through(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, style: Style
) -> None:
    breaker = make(clock, failed_result=lambda result: result.status == 500)
    assert await style(breaker, answer) == "answer"
    assert breaker.state is OPEN
    assert "failed_result of circuit breaker 'payments' raised; the call counts as failed" in caplog.text


class Truthless:
    """An answer that is neither true nor false, like an array of many."""

    def __bool__(self) -> bool:
        raise ValueError


async def test_rule_6_a_predicate_whose_answer_is_neither_true_nor_false_is_one_that_raises(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=3, expected_exception=lambda _: Truthless())
    await fail_once(breaker)
    breaker.reconfigure(expected_exception=Exception, failed_result=lambda _: Truthless())
    assert await breaker.call(answer) == "answer"
    assert totals(breaker) == {"failure": 2}


async def test_rule_6_what_a_predicate_adds_to_the_exception_stays(clock: ManualClock) -> None:
    breaker = make(clock, expected_exception=lambda exc: exc.add_note("judged"))
    with pytest.raises(DependencyError) as caught:
        await breaker.call(fail)
    assert caught.value.__notes__ == ["judged"]


@each_style
async def test_rule_6_the_traceback_still_leads_to_where_the_exception_was_raised(
    clock: ManualClock, style: Style
) -> None:
    with pytest.raises(DependencyError) as caught:
        await style(make(clock), fail)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "fail"


async def test_rule_6_an_exception_raised_while_another_is_handled_keeps_its_context(clock: ManualClock) -> None:
    first = LookupError("first")

    async def handle() -> None:
        try:
            raise first
        except LookupError:
            await fail()

    with pytest.raises(DependencyError) as caught:
        await make(clock).call(handle)
    assert caught.value.__context__ is first
