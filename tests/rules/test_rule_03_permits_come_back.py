"""Rule 3: a probe always gives its permit back."""

import anyio
import pytest

from recloser import Event, StateChanged
from recloser.events import CallSucceeded, ProbeAdmitted
from recloser.testing import ManualClock
from tests.breaker.kit import (
    RESET_SECONDS,
    Dependency,
    DependencyError,
    answer,
    fail,
    make_ready,
)
from tests.rules.kit import CLOSED, HALF_OPEN, OPEN, FragileClock, Style, by_call, by_decorator, each_style

pytestmark = pytest.mark.anyio


ENDINGS = [None, DependencyError(), LookupError(), KeyboardInterrupt(), SystemExit(), GeneratorExit()]


@each_style
@pytest.mark.parametrize("error", ENDINGS, ids=lambda error: type(error).__name__)
async def test_rule_3_a_probe_gives_its_permit_back_however_it_ends(
    clock: ManualClock, style: Style, error: BaseException | None
) -> None:
    breaker = await make_ready(clock, ignored_exception=LookupError)
    if error is None:
        await style(breaker, answer)
    else:
        with pytest.raises(type(error)) as caught:
            await style(breaker, fail, error)
        assert caught.value is error
    assert breaker.health()["probes_in_flight"] == 0
    clock.advance(RESET_SECONDS)
    assert await style(breaker, answer) == "answer"
    assert breaker.state is CLOSED


@each_style
async def test_rule_3_a_probe_that_is_cancelled_gives_its_permit_back(clock: ManualClock, style: Style) -> None:
    breaker, dependency = await make_ready(clock), Dependency()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(style, breaker, dependency.call)
        await dependency.called.wait()
        assert await breaker.try_acquire() is None
        tasks.cancel_scope.cancel()
    assert (breaker.state, breaker.health()["probes_in_flight"]) == (HALF_OPEN, 0)
    assert await style(breaker, answer) == "answer"


@each_style
async def test_rule_3_a_probe_in_a_scope_that_was_cancelled_before_gives_its_permit_back(
    clock: ManualClock, style: Style
) -> None:
    breaker = await make_ready(clock)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await style(breaker, anyio.sleep_forever)
    assert breaker.health()["probes_in_flight"] == 0


@each_style
@pytest.mark.parametrize("error", [AttributeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("argument", ["expected_exception", "ignored_exception"])
async def test_rule_3_a_predicate_that_raises_about_a_probe_gives_its_permit_back(
    clock: ManualClock, style: Style, argument: str, error: type[BaseException]
) -> None:
    def predicate(exc: BaseException) -> bool:
        raise error(exc)

    breaker = await make_ready(clock)
    breaker.reconfigure(**{argument: predicate})
    with pytest.raises(DependencyError if error is AttributeError else error):
        await style(breaker, fail)
    assert breaker.health()["probes_in_flight"] == 0
    assert breaker.state is (OPEN if error is AttributeError else HALF_OPEN)


@pytest.mark.parametrize("style", [by_call, by_decorator], ids=lambda style: style.__name__)
@pytest.mark.parametrize("error", [AttributeError, KeyboardInterrupt, SystemExit])
async def test_rule_3_a_failed_result_that_raises_about_a_probe_gives_its_permit_back(
    clock: ManualClock, style: Style, error: type[BaseException]
) -> None:
    def predicate(result: object) -> bool:
        raise error(result)

    breaker = await make_ready(clock)
    breaker.reconfigure(failed_result=predicate)
    if error is AttributeError:
        assert await style(breaker, answer) == "answer"
    else:
        with pytest.raises(error):
            await style(breaker, answer)
    assert breaker.health()["probes_in_flight"] == 0


@each_style
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", [StateChanged, ProbeAdmitted, CallSucceeded])
async def test_rule_3_a_listener_that_raises_about_a_probe_gives_its_permit_back(
    clock: ManualClock, style: Style, kind: type[Event], error: type[BaseException]
) -> None:
    def listener(event: Event) -> None:
        if isinstance(event, kind):
            raise error

    breaker = await make_ready(clock)
    unsubscribe = breaker.subscribe(listener)
    if error is ValueError:
        assert await style(breaker, answer) == "answer"
    else:
        with pytest.raises(error):
            await style(breaker, answer)
    unsubscribe()
    assert breaker.health()["probes_in_flight"] == 0
    assert await style(breaker, answer) == "answer"


@each_style
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
async def test_rule_3_a_clock_that_raises_while_a_probe_runs_gives_its_permit_back(
    clock: FragileClock, style: Style, error: type[BaseException]
) -> None:
    def broken() -> float:
        raise error

    async def answer_and_break_the_clock() -> str:
        clock.fault = broken
        return "answer"

    breaker = await make_ready(clock)
    if error is ValueError:
        assert await style(breaker, answer_and_break_the_clock) == "answer"
    else:
        with pytest.raises(error):
            await style(breaker, answer_and_break_the_clock)
    clock.fault = None
    assert breaker.health()["probes_in_flight"] == 0
    assert await style(breaker, answer) == "answer"


class StubbornGroupError(ExceptionGroup):
    """A group that can't be split: a common mistake in overriding `derive()`."""

    def derive(self, excs: object) -> ExceptionGroup:
        raise TypeError(excs)


class UnspeakableError(Exception):
    """An error whose text raises."""

    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__


@each_style
@pytest.mark.parametrize(
    "error",
    [StubbornGroupError("down", [DependencyError()]), UnspeakableError(), BaseExceptionGroup("", [SystemExit()])],
    ids=lambda error: type(error).__name__,
)
async def test_rule_3_an_odd_exception_of_a_probe_comes_through_and_the_permit_is_given_back(
    clock: ManualClock, style: Style, error: BaseException
) -> None:
    breaker = await make_ready(clock)
    with pytest.raises(type(error)) as caught:
        await style(breaker, fail, error)
    assert caught.value is error
    assert breaker.health()["probes_in_flight"] == 0
