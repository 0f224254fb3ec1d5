"""Rule 5: a call is a success, a failure, or ignored."""

import anyio
import pytest

from recloser import (
    CircuitBreaker,
    CircuitBreakerOpenError,
    CircuitState,
    RejectedError,
)
from recloser.testing import ManualClock
from tests.breaker.kit import (
    DependencyError,
    answer,
    fail,
    make,
    make_open,
    make_ready,
    totals,
)
from tests.rules.kit import CLOSED, HALF_OPEN, OPEN, Style, by_call, by_decorator, each_style

pytestmark = pytest.mark.anyio


def is_server_error(exc: BaseException) -> bool:
    return getattr(exc, "status", None) == 500


class StatusError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@each_style
@pytest.mark.parametrize(
    ("expected", "error", "total"),
    [
        (Exception, DependencyError(), "failure"),
        (OSError, ConnectionError(), "failure"),
        (OSError, ValueError(), "success"),
        ((OSError, ValueError), ValueError(), "failure"),
        ((OSError, ValueError), KeyError(), "success"),
        ((), ValueError(), "success"),
        (is_server_error, StatusError(500), "failure"),
        (is_server_error, StatusError(404), "success"),
        (Exception, KeyboardInterrupt(), "ignored"),
        (OSError, SystemExit(), "ignored"),
        (is_server_error, GeneratorExit(), "ignored"),
        (BaseException, SystemExit(), "failure"),
        ((OSError, KeyboardInterrupt), KeyboardInterrupt(), "failure"),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
async def test_rule_5_expected_exception_decides_what_is_a_failure(
    clock: ManualClock, style: Style, expected: object, error: BaseException, total: str
) -> None:
    breaker = make(clock, expected_exception=expected)
    with pytest.raises(type(error)) as caught:
        await style(breaker, fail, error)
    assert caught.value is error
    assert totals(breaker) == {total: 1}


@each_style
@pytest.mark.parametrize(
    "ignored",
    [LookupError, (OSError, LookupError), lambda exc: isinstance(exc, KeyError)],
    ids=["type", "tuple", "predicate"],
)
async def test_rule_5_ignored_exception_beats_expected_exception(
    clock: ManualClock, style: Style, ignored: object
) -> None:
    breaker = make(clock, expected_exception=Exception, ignored_exception=ignored)
    with pytest.raises(KeyError):
        await style(breaker, fail, KeyError())
    assert totals(breaker) == {"ignored": 1}


async def test_rule_5_an_ignored_call_does_not_end_a_run_of_failures(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2, ignored_exception=LookupError)
    for error in (DependencyError(), LookupError(), DependencyError()):
        with pytest.raises(type(error)):
            await breaker.call(fail, error)
    assert breaker.state is OPEN


async def test_rule_5_an_error_that_is_not_expected_is_a_success_and_ends_a_run_of_failures(clock: ManualClock) -> None:
    breaker = make(clock, failure_threshold=2, expected_exception=DependencyError)
    for error in (DependencyError(), ValueError(), DependencyError()):
        with pytest.raises(type(error)):
            await breaker.call(fail, error)
    assert (breaker.state, breaker.failure_count) == (CLOSED, 1)


async def test_rule_5_an_error_that_is_not_expected_closes_a_half_open_breaker(clock: ManualClock) -> None:
    breaker = await make_ready(clock, expected_exception=DependencyError)
    with pytest.raises(ValueError, match="no such customer"):
        await breaker.call(fail, ValueError("no such customer"))
    assert breaker.state is CLOSED


@each_style
@pytest.mark.parametrize("ignored", [(), LookupError, lambda _: False], ids=["none", "type", "predicate"])
@pytest.mark.parametrize("expected", [Exception, BaseException, RejectedError, lambda _: True])
async def test_rule_5_the_rejection_of_an_inner_breaker_never_trips_the_outer_one(
    clock: ManualClock, style: Style, expected: object, ignored: object
) -> None:
    inner = await make_open(clock)
    outer = CircuitBreaker(
        "outer", failure_threshold=1, expected_exception=expected, ignored_exception=ignored, clock=clock
    )
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await style(outer, inner.call, answer)
    assert caught.value.name == "payments"
    assert (outer.state, totals(outer)) == (CLOSED, {"ignored": 1})


async def test_rule_5_the_rejection_of_an_inner_breaker_does_not_close_the_outer_one_either(clock: ManualClock) -> None:
    inner, outer = await make_open(clock), await make_ready(clock)
    inner.force_open("maintenance")
    with pytest.raises(CircuitBreakerOpenError):
        await outer.call(inner.call, answer)
    assert outer.state is HALF_OPEN


@pytest.mark.parametrize("style", [by_call, by_decorator], ids=lambda style: style.__name__)
async def test_rule_5_a_failed_result_is_a_failure_and_is_returned_all_the_same(
    clock: ManualClock, style: Style
) -> None:
    breaker = make(clock, failed_result=lambda result: result == "answer")
    assert await style(breaker, answer) == "answer"
    assert breaker.state is OPEN


@pytest.mark.parametrize(("verdict", "state"), [(0, CLOSED), ("", CLOSED), (None, CLOSED), (1, OPEN), ("yes", OPEN)])
async def test_rule_5_what_a_failed_result_returns_counts_by_its_truth(
    clock: ManualClock, verdict: object, state: CircuitState
) -> None:
    breaker = make(clock, failed_result=lambda _: verdict)
    await breaker.call(answer)
    assert breaker.state is state


@each_style
@pytest.mark.parametrize(
    ("leaves", "total"),
    [
        ([DependencyError(), ValueError()], "failure"),
        ([LookupError(), DependencyError()], "failure"),
        ([LookupError(), KeyError()], "ignored"),
        ([ValueError(), LookupError()], "success"),
        ([ValueError(), ExceptionGroup("", [LookupError(), DependencyError()])], "failure"),
        ([LookupError(), CircuitBreakerOpenError("inner")], "ignored"),
        ([KeyboardInterrupt(), ValueError()], "success"),
        ([KeyboardInterrupt(), SystemExit()], "ignored"),
    ],
    ids=repr,
)
async def test_rule_5_a_group_is_judged_by_its_leaves(
    clock: ManualClock, style: Style, leaves: list[BaseException], total: str
) -> None:
    breaker = make(clock, expected_exception=DependencyError, ignored_exception=LookupError)
    group = BaseExceptionGroup("several", leaves)
    with pytest.raises(BaseExceptionGroup) as caught:
        await style(breaker, fail, group)
    assert caught.value is group
    assert totals(breaker) == {total: 1}


async def test_rule_5_a_predicate_is_asked_about_each_leaf_of_a_group_and_not_about_the_group(
    clock: ManualClock,
) -> None:
    asked: list[BaseException] = []
    breaker = make(clock, expected_exception=asked.append)
    leaves = [ValueError(), KeyError()]
    with pytest.raises(ExceptionGroup):
        await breaker.call(fail, ExceptionGroup("several", leaves))
    assert sorted(map(repr, asked)) == sorted(map(repr, leaves))


async def test_rule_5_cancelled_leaves_of_a_group_do_not_count(clock: ManualClock) -> None:
    async def fan_out() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            tasks.start_soon(fail, LookupError())

    breaker = make(clock, ignored_exception=LookupError)
    with pytest.raises(ExceptionGroup):
        await breaker.call(fan_out)
    assert totals(breaker) == {"ignored": 1}
