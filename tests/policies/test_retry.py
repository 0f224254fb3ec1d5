"""`Retry`: a failure that may pass is tried again, without a storm."""

import asyncio
import gc
import importlib
import logging
from contextlib import suppress
from itertools import pairwise
from random import Random

import anyio
import pytest
import tenacity

from recloser import CircuitBreaker, CircuitBreakerOpenError, CircuitState, ExponentialBackoff, Retry, RetryBudget
from recloser.errors import BulkheadFullError, MisuseError, RateLimitedError
from recloser.testing import ManualClock
from recloser.testing.explorer import Schedule, explore
from tests.policies.kit import Dependency, DownError, breaker

pytestmark = pytest.mark.anyio


def intervals(dependency: Dependency) -> list[float]:
    times = dependency.started_at
    return [round(later - earlier, 6) for earlier, later in pairwise(times)]


async def test_a_failure_is_tried_again_until_it_succeeds() -> None:
    dependency = Dependency(DownError(), DownError(), "answer")
    assert await Retry(3).call(dependency.ask) == "answer"
    assert dependency.calls == 3


async def test_when_all_attempts_fail_the_last_error_comes_through_as_the_same_object() -> None:
    errors = [DownError(1), DownError(2), DownError(3)]
    dependency = Dependency(*errors)
    with pytest.raises(DownError) as caught:
        await Retry(3).call(dependency.ask)
    assert caught.value is errors[2]
    assert (caught.value.__context__, caught.value.__cause__, dependency.calls) == (None, None, 3)
    assert not hasattr(caught.value, "__notes__")


async def test_the_waits_follow_the_backoff() -> None:
    dependency = Dependency(DownError())
    backoff = ExponentialBackoff(initial_seconds=1, multiplier=2, maximum_seconds=3, jitter=0)
    with pytest.raises(DownError):
        await Retry(4, backoff).call(dependency.ask)
    assert intervals(dependency) == [1, 2, 3]


async def test_a_number_is_a_constant_backoff() -> None:
    dependency = Dependency(DownError())
    with pytest.raises(DownError):
        await Retry(3, 0.5).call(dependency.ask)
    assert intervals(dependency) == [0.5, 0.5]


async def test_the_jitter_comes_from_the_given_random() -> None:
    backoff = ExponentialBackoff(jitter=0.5)
    dependency = Dependency(DownError())
    with pytest.raises(DownError):
        await Retry(2, backoff, random=Random(3)).call(dependency.ask)
    assert intervals(dependency) == [pytest.approx(backoff.open_seconds(1, Random(3)), abs=1e-6)]


@pytest.mark.parametrize(
    "on", [ConnectionError, (LookupError, ConnectionError), lambda error: "again" in str(error)], ids=type
)
async def test_only_what_is_named_is_tried_again(on: object) -> None:
    again, other = Dependency(ConnectionError("again"), "answer"), Dependency(ValueError("other"), "answer")
    assert await Retry(2, on=on).call(again.ask) == "answer"
    with pytest.raises(ValueError, match="other"):
        await Retry(2, on=on).call(other.ask)
    assert other.calls == 1


async def test_a_group_is_tried_again_if_any_of_its_leaves_is() -> None:
    group = ExceptionGroup("both", [ValueError(), ExceptionGroup("inner", [ConnectionError()])])
    dependency = Dependency(group, "answer")
    assert await Retry(2, on=ConnectionError).call(dependency.ask) == "answer"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("before", [(), (DownError(),)], ids=["first attempt", "second attempt"])
async def test_what_ends_a_program_is_never_tried_again(error: BaseException, before: tuple) -> None:
    dependency = Dependency(*before, error)
    with pytest.raises(type(error)) as caught:
        await Retry(5).call(dependency.ask)
    assert caught.value is error
    assert dependency.calls == len(before) + 1


async def test_a_call_cancelled_in_its_wait_makes_no_further_attempt() -> None:
    dependency = Dependency(DownError())
    with anyio.move_on_after(0.5) as scope:
        await Retry(3, 1.0).call(dependency.ask)
    assert scope.cancelled_caught
    assert dependency.calls == 1


async def test_a_call_cancelled_in_a_later_attempt_is_cancelled() -> None:
    dependency = Dependency(DownError(), seconds=1)
    with anyio.move_on_after(2.5) as scope:
        await Retry(3, 1.0).call(dependency.ask)
    assert scope.cancelled_caught
    assert (dependency.calls, dependency.running) == (2, 0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_is_cancelled_stays_cancelled() -> None:
    task = asyncio.create_task(Retry(3, 60.0, max_wait_seconds=100).call(Dependency(DownError()).ask))
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_misuse_is_not_tried_again() -> None:
    dependency = Dependency(MisuseError("wrong"))
    with pytest.raises(MisuseError):
        await Retry(3).call(dependency.ask)
    assert dependency.calls == 1


async def test_tenacitys_own_try_again_is_bounded_like_any_failure() -> None:
    dependency = Dependency(tenacity.TryAgain())
    with pytest.raises(tenacity.TryAgain):
        await Retry(3).call(dependency.ask)
    assert dependency.calls == 3


async def test_plain_values_are_returned_by_later_attempts_too() -> None:
    answers = iter([DownError(), 7])

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await Retry(2).call(ask) == 7


# Rejections


async def test_no_call_reaches_the_dependency_of_an_open_breaker_before_retry_after() -> None:
    circuit, dependency = breaker(reset_timeout_seconds=5), Dependency(DownError(), "answer")
    retry = Retry(3, 0.5, max_wait_seconds=60)
    assert await retry.call(circuit.call, dependency.ask) == "answer"
    assert dependency.calls == 2
    assert intervals(dependency)[0] >= 5
    assert circuit.state is CircuitState.CLOSED


async def test_an_open_breaker_beyond_the_wait_is_given_up_at_once() -> None:
    circuit, dependency = breaker(reset_timeout_seconds=30), Dependency(DownError())
    with pytest.raises(DownError):
        await circuit.call(dependency.ask)
    started = anyio.current_time()
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await Retry(5, 0.0, max_wait_seconds=29.9).call(circuit.call, dependency.ask)
    assert (anyio.current_time(), dependency.calls) == (started, 1)
    assert 0 < caught.value.retry_after <= 30
    assert circuit.health()["rejected_total"] == 1


async def test_a_rejection_without_a_time_is_given_up_at_once() -> None:
    dependency = Dependency(BulkheadFullError("pool"))
    with pytest.raises(BulkheadFullError):
        await Retry(5).call(dependency.ask)
    assert dependency.calls == 1


async def test_the_waits_of_one_call_together_stay_within_their_bound() -> None:
    dependency = Dependency(RateLimitedError("quota", 4.0))
    with pytest.raises(RateLimitedError):
        await Retry(9, 1.0, max_wait_seconds=12).call(dependency.ask)
    assert intervals(dependency) == [5, 5]


@pytest.mark.parametrize("on", [(), lambda _: True], ids=["nothing", "all"])
async def test_rejections_go_by_their_own_rule_whatever_is_named(on: object) -> None:
    dependency = Dependency(RateLimitedError("quota", 1.0), "answer")
    assert await Retry(2, 0.0, on=on).call(dependency.ask) == "answer"
    assert intervals(dependency) == [1]


async def test_what_was_raised_from_a_rejection_is_waited_for_as_the_rejection() -> None:
    wrapped = DownError()
    wrapped.__cause__ = RateLimitedError("quota", 1.0)
    budget = RetryBudget(0, minimum_per_second=0, burst=1, clock=ManualClock())
    dependency = Dependency(wrapped, "answer")
    assert await Retry(2, 0.0, budget=budget).call(dependency.ask) == "answer"
    assert intervals(dependency) == [1]
    assert budget.withdraw()


async def test_rejections_in_a_group_are_waited_for_together() -> None:
    both = ExceptionGroup("both", [RateLimitedError("a", 1.0), RateLimitedError("b", 3.0)])
    dependency = Dependency(both, "answer")
    assert await Retry(2, 0.0).call(dependency.ask) == "answer"
    assert intervals(dependency) == [3]


async def test_a_group_with_a_rejection_without_a_time_is_given_up_at_once() -> None:
    dependency = Dependency(ExceptionGroup("both", [RateLimitedError("a", 1.0), BulkheadFullError("b"), DownError()]))
    with pytest.raises(ExceptionGroup):
        await Retry(5).call(dependency.ask)
    assert dependency.calls == 1


async def test_a_rejection_costs_no_budget() -> None:
    budget = RetryBudget(0, minimum_per_second=0, burst=1, clock=ManualClock())
    dependency = Dependency(RateLimitedError("quota", 1.0), RateLimitedError("quota", 1.0), DownError(), "answer")
    assert await Retry(4, budget=budget).call(dependency.ask) == "answer"
    assert not budget.withdraw()


# The budget


async def storm(retry: Retry, dependency: Dependency, calls: int) -> None:
    async def caller() -> None:
        with pytest.raises(DownError):
            await retry.call(dependency.ask)

    async with anyio.create_task_group() as tasks:
        for _ in range(calls):
            tasks.start_soon(caller)


async def test_in_an_outage_a_thousand_calls_are_not_multiplied() -> None:
    budget = RetryBudget(0.1, minimum_per_second=0, burst=10, clock=ManualClock())
    dependency = Dependency(DownError())
    await storm(Retry(3, budget=budget), dependency, 1_000)
    assert 1_010 <= dependency.calls <= 1_000 * 1.1 + 10


async def test_the_default_budget_bounds_an_outage_too() -> None:
    dependency = Dependency(DownError())
    await storm(Retry(3, 0.0), dependency, 1_000)
    assert dependency.calls <= 1_000 * 1.1 + 10 + 60  # a second's worth for every second that this may take


async def test_without_a_budget_every_call_has_all_its_attempts() -> None:
    dependency = Dependency(DownError())
    await storm(Retry(3, budget=None), dependency, 100)
    assert dependency.calls == 300


async def test_a_number_is_the_ratio_of_a_budget() -> None:
    dependency = Dependency(DownError())
    await storm(Retry(3, 0.0, budget=0.0), dependency, 100)
    assert dependency.calls <= 100 + 10 + 60


async def test_two_policies_can_share_a_budget() -> None:
    budget = RetryBudget(0, minimum_per_second=0, burst=3, clock=ManualClock())
    first, second = Dependency(DownError()), Dependency(DownError())
    await storm(Retry(3, budget=budget), first, 10)
    await storm(Retry(3, budget=budget), second, 10)
    assert (first.calls, second.calls) == (13, 10)


def test_a_budget_fills_by_calls_and_by_time_up_to_its_burst() -> None:
    clock = ManualClock()
    budget = RetryBudget(0.5, minimum_per_second=2, burst=3, clock=clock)
    assert [budget.withdraw() for _ in range(4)] == [True, True, True, False]
    for _ in range(2):
        budget.deposit()
    assert [budget.withdraw(), budget.withdraw()] == [True, False]
    clock.advance(1)
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]
    for _ in range(1000):
        budget.deposit()
    assert sum(budget.withdraw() for _ in range(1000)) == 3


# What may go wrong


async def test_a_predicate_that_raises_leaves_the_calls_own_error(caplog: pytest.LogCaptureFixture) -> None:
    def predicate(_: BaseException) -> bool:
        raise ZeroDivisionError

    own = DownError()
    with pytest.raises(DownError) as caught:
        await Retry(3, on=predicate).call(Dependency(own).ask)
    assert caught.value is own
    assert "predicate of 'retry" in caplog.text


async def test_attempts_and_an_empty_budget_are_logged_for_debugging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "recloser")
    budget = RetryBudget(0, minimum_per_second=0, burst=1, clock=ManualClock())
    with pytest.raises(DownError):
        await Retry(3, 1.0, budget=budget, name="again").call(Dependency(DownError("why")).ask)
    assert [record.getMessage() for record in caplog.records if record.name == "recloser"] == [
        "'again': attempt 1 of 3 failed, retrying in 1 s: DownError",
        "'again' does not retry: its budget is used up",
    ]


def test_without_tenacity_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"pip install 'recloser\[retry\]'"):
        Retry()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"attempts": 0}, ValueError, "attempts must be an integer >= 1, not 0"),
        ({"backoff": -1}, ValueError, "backoff must be a finite number of seconds >= 0"),
        ({"backoff": "1"}, TypeError, "backoff must be a finite number of seconds >= 0"),
        ({"on": 7}, TypeError, "on must be an exception type"),
        ({"on": CircuitBreaker("orders")}, TypeError, "'orders' closed>; write on=breaker.is_failure"),
        ({"on": asyncio.CancelledError}, TypeError, "on must name subclasses of Exception: CancelledError"),
        ({"on": (ValueError, KeyboardInterrupt)}, TypeError, "KeyboardInterrupt ends a program or a task"),
        ({"budget": -0.1}, ValueError, "budget must be a finite number >= 0"),
        ({"budget": "much"}, TypeError, "budget must be a finite number >= 0"),
        ({"max_wait_seconds": -1}, ValueError, "max_wait_seconds must be a finite number of seconds >= 0"),
        ({"random": 7}, TypeError, "random must be a random.Random, not 7"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Retry(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": -1}, "ratio must be a finite number >= 0"),
        ({"minimum_per_second": -1}, "minimum_per_second must be a finite number >= 0"),
        ({"burst": 0}, "burst must be a finite number >= 1"),
    ],
)
def test_a_budget_out_of_range_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RetryBudget(**options)


def test_many_callers_of_one_policy_do_not_disturb_each_other() -> None:
    async def scenario(schedule: Schedule) -> None:
        retry = Retry(3, 0.25, budget=None)

        async def caller(number: int, failures: int) -> None:
            left = failures

            async def ask() -> int:
                nonlocal left
                await schedule.pause()
                left -= 1
                if left >= 0:
                    raise DownError(number)
                return number

            try:
                assert await retry.call(ask) == number
            except DownError as error:
                assert (error.args, failures) == ((number,), 3)  # noqa: PT017 - either way is right, by the number

        tasks = [schedule.spawn(caller, number, schedule.rng.randrange(4)) for number in range(5)]
        schedule.cancel_later(tasks[0])
        await schedule.join()

    explore(scenario, schedules=200)


async def test_a_call_that_fails_in_the_end_leaves_no_garbage() -> None:
    retry, dependency = Retry(3, 0, budget=None), Dependency(DownError())

    async def fail() -> None:
        with suppress(DownError):
            await retry.call(dependency.ask)

    await fail()
    gc.collect()
    gc.disable()
    try:
        await fail()
        assert gc.collect() == 0
    finally:
        gc.enable()
