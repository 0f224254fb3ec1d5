"""`Hedge`: when an answer is late, ask once more and take what comes first."""

import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest

from recloser import CircuitBreakerOpenError, CircuitState, Hedge, RejectedError, RetryBudget
from recloser.errors import MisuseError
from recloser.testing import ManualClock
from recloser.testing.explorer import Schedule, explore
from tests.policies.kit import Dependency, DownError, breaker, totals

pytestmark = pytest.mark.anyio


class Attempts:
    """Each attempt takes so long, and ends with an exception or a value."""

    def __init__(self, *plan: tuple[float, object]) -> None:
        self.plan = plan
        self.started_at: list[float] = []
        self.cancelled = 0
        self.running = 0

    async def ask(self) -> object:
        seconds, answer = self.plan[len(self.started_at)]
        self.started_at.append(anyio.current_time())
        self.running += 1
        try:
            await anyio.sleep(seconds)
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @property
    def offsets(self) -> list[float]:
        return [round(each - self.started_at[0], 6) for each in self.started_at]


async def test_an_answer_in_time_starts_no_hedge() -> None:
    attempts = Attempts((1, "first"))
    assert await Hedge(2).call(attempts.ask) == "first"
    assert len(attempts.started_at) == 1


async def test_after_the_delay_a_hedge_starts_and_the_first_success_wins() -> None:
    attempts = Attempts((60, "first"), (1, "second"))
    started = anyio.current_time()
    assert await Hedge(2).call(attempts.ask) == "second"
    assert attempts.offsets == [0, 2]
    assert anyio.current_time() - started == pytest.approx(3)
    assert (attempts.cancelled, attempts.running) == (1, 0)


async def test_the_first_attempt_can_still_win() -> None:
    attempts = Attempts((3, "first"), (60, "second"))
    assert await Hedge(2).call(attempts.ask) == "first"
    assert attempts.cancelled == 1


async def test_each_hedge_waits_for_the_delay_up_to_the_bound() -> None:
    attempts = Attempts((60, 1), (60, 2), (60, 3))
    assert await Hedge(2, 2).call(attempts.ask) == 1
    assert attempts.offsets == [0, 2, 4]


async def test_an_attempt_that_fails_starts_the_next_one_at_once() -> None:
    attempts = Attempts((1, DownError()), (1, "second"))
    assert await Hedge(30).call(attempts.ask) == "second"
    assert attempts.offsets == [0, 1]


async def test_a_failure_does_not_end_the_wait_for_the_others() -> None:
    attempts = Attempts((5, "first"), (1, DownError()))
    assert await Hedge(2).call(attempts.ask) == "first"


async def test_when_all_fail_the_first_attempts_error_comes_through_as_the_same_object() -> None:
    first = DownError("first")
    attempts = Attempts((5, first), (1, DownError("second")))
    with pytest.raises(DownError) as caught:
        await Hedge(2).call(attempts.ask)
    assert caught.value is first
    assert caught.value.__context__ is None


async def test_a_rejected_attempt_starts_no_further_ones() -> None:
    circuit, attempts = breaker(), Attempts((0, DownError()))
    with pytest.raises(DownError):
        await circuit.call(attempts.ask)
    with pytest.raises(CircuitBreakerOpenError):
        await Hedge(2, 5).call(circuit.call, attempts.ask)
    assert circuit.health()["rejected_total"] == 1


def raised_from_a_rejection() -> Exception:
    error = DownError()
    error.__cause__ = RejectedError("inner")
    return error


@pytest.mark.parametrize(
    "error",
    [
        raised_from_a_rejection(),
        ExceptionGroup("all", [RejectedError("inner")]),
        ExceptionGroup("both", [RejectedError("inner"), DownError()]),
        MisuseError("wrong"),
    ],
)
async def test_rejections_behind_other_errors_and_misuse_start_no_further_attempts(error: Exception) -> None:
    dependency = Dependency(error)
    with pytest.raises(type(error)):
        await Hedge(1, 3, budget=None).call(dependency.ask)
    assert dependency.calls == 1


async def test_the_losers_cancellation_is_ignored_for_a_breaker_inside() -> None:
    circuit, attempts = breaker(), Attempts((60, "first"), (1, "second"))
    assert await Hedge(2).call(circuit.call, attempts.ask) == "second"
    assert totals(circuit) == [(0, 0, 1)]
    assert circuit.state is CircuitState.CLOSED


async def test_a_loser_that_took_longer_than_calls_may_take_is_a_failure_for_a_breaker_inside() -> None:
    circuit, attempts = breaker(overdue_after_seconds=3), Attempts((60, "first"), (1, "second"))
    assert await Hedge(2).call(circuit.call, attempts.ask) == "second"
    assert totals(circuit) == [(1, 0, 0)]


async def test_an_attempt_within_an_attempt_that_has_lost_is_ignored() -> None:
    circuit, inner, outer = breaker(), Hedge(5), Hedge(2)
    attempts = Attempts((60, "first"), (1, "second"))
    assert await outer.call(inner.call, circuit.call, attempts.ask) == "second"
    assert totals(circuit) == [(0, 0, 1)]


async def test_a_breaker_around_it_sees_one_success() -> None:
    circuit, attempts = breaker(), Attempts((60, "first"), (1, "second"))
    assert await circuit.call(Hedge(2).call, attempts.ask) == "second"
    assert (circuit.health()["success_total"], totals(circuit)) == (1, [(0, 0, 0)])


async def test_cancelling_the_call_ends_all_attempts_first() -> None:
    attempts = Attempts((60, 1), (60, 2))
    with anyio.move_on_after(3) as scope:
        await Hedge(2).call(attempts.ask)
    assert scope.cancelled_caught
    assert (attempts.cancelled, attempts.running) == (2, 0)


async def test_a_deadline_around_it_counts_once_for_a_breaker_inside() -> None:
    circuit, attempts = breaker(failure_threshold=5), Attempts((60, 1), (60, 2))
    with anyio.move_on_after(3):
        await Hedge(2).call(circuit.call, attempts.ask)
    assert totals(circuit) == [(1, 0, 1)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_is_cancelled_stays_cancelled() -> None:
    attempts = Attempts((60, 1))
    task = asyncio.create_task(Hedge(30).call(attempts.ask))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (attempts.cancelled, attempts.running) == (1, 0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_the_function_makes_itself_comes_through() -> None:
    async def ask() -> None:
        inner = asyncio.create_task(asyncio.sleep(60))
        inner.cancel()
        await inner

    with pytest.raises(asyncio.CancelledError):
        await Hedge(1).call(ask)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()], ids=repr)
async def test_what_ends_a_program_ends_all_attempts_and_comes_through(error: BaseException) -> None:
    attempts = Attempts((60, "first"), (1, error))
    with pytest.raises(type(error)) as caught:
        await Hedge(2, 5).call(attempts.ask)
    assert caught.value is error
    assert (attempts.cancelled, attempts.running, len(attempts.started_at)) == (1, 0, 2)


async def test_what_ends_a_program_is_found_in_a_group_too() -> None:
    group = BaseExceptionGroup("both", [KeyboardInterrupt(), ValueError()])
    with pytest.raises(BaseExceptionGroup) as caught:
        await Hedge(2).call(Attempts((1, group)).ask)
    assert caught.value is group


def failing_cleanup(error: BaseException) -> Callable[[], Awaitable[str]]:
    """Makes a function whose first call raises when it is cancelled, and whose second one wins."""
    calls = iter([60, 1])

    async def ask() -> str:
        try:
            await anyio.sleep(next(calls))
        except anyio.get_cancelled_exc_class():
            raise error from None
        return "second"

    return ask


async def test_an_error_of_a_loser_on_its_way_out_does_not_displace_the_result() -> None:
    assert await Hedge(2).call(failing_cleanup(DownError())) == "second"


async def test_a_loser_with_a_group_of_its_own_does_not_displace_the_result() -> None:
    loser, calls = failing_cleanup(DownError()), iter(["loser", "winner"])

    async def ask() -> str:
        if next(calls) == "loser":
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(loser)
                await anyio.sleep(60)
        return "second"

    assert await Hedge(2).call(ask) == "second"


async def test_ctrl_c_in_a_losers_cleanup_comes_through() -> None:
    with pytest.raises(KeyboardInterrupt):
        await Hedge(2).call(failing_cleanup(KeyboardInterrupt()))


async def test_of_two_that_answer_in_one_instant_the_earlier_one_wins() -> None:
    gate, answers, order = anyio.Event(), iter(["first", "second"]), []

    async def ask() -> str:
        answer = next(answers)
        with anyio.CancelScope(shield=True):
            await gate.wait()
        order.append(answer)
        return answer

    async def open_later() -> None:
        await anyio.sleep(5)
        gate.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(open_later)
        assert await Hedge(1).call(ask) == order[0]
    assert len(order) == 2


async def test_when_everything_is_slow_hedges_stay_within_the_budget() -> None:
    budget = RetryBudget(0.1, minimum_per_second=0, burst=10, clock=ManualClock())
    hedge, calls = Hedge(1, budget=budget), 0

    async def slow() -> None:
        nonlocal calls
        calls += 1
        await anyio.sleep(5)

    async with anyio.create_task_group() as tasks:
        for _ in range(1_000):
            tasks.start_soon(hedge.call, slow)
    assert 1_010 <= calls <= 1_110


async def test_without_a_budget_every_call_may_hedge() -> None:
    hedge = Hedge(1, budget=None)
    for _ in range(30):
        attempts = Attempts((60, "first"), (0, "second"))
        await hedge.call(attempts.ask)
        assert len(attempts.started_at) == 2


ON = pytest.mark.parametrize(
    "on", [ConnectionError, (LookupError, ConnectionError), lambda error: isinstance(error, ConnectionError)], ids=type
)


@ON
async def test_a_permanent_error_is_sent_once_and_comes_through_at_once(on: object) -> None:
    error = ValueError("no such order")
    dependency = Dependency(error)
    with pytest.raises(ValueError, match="no such order") as caught:
        await Hedge(30, 2, None, on=on).call(dependency.ask)
    assert caught.value is error
    assert (caught.value.__context__, dependency.calls) == (None, 1)


@ON
async def test_what_is_named_starts_the_next_attempt(on: object) -> None:
    dependency = Dependency(ConnectionError(), ConnectionError(), "answer")
    assert await Hedge(30, 2, None, on=on).call(dependency.ask) == "answer"


async def test_a_permanent_error_of_one_attempt_cancels_the_others() -> None:
    error = ValueError("no such order")
    attempts, started = Attempts((60, "first"), (1, error)), anyio.current_time()
    with pytest.raises(ValueError, match="no such order") as caught:
        await Hedge(2, 5, None, on=ConnectionError).call(attempts.ask)
    assert caught.value is error
    assert (attempts.cancelled, attempts.running, attempts.offsets) == (1, 0, [0, 2])
    assert anyio.current_time() - started == pytest.approx(3)


async def test_a_permanent_error_after_one_that_is_named_is_the_one_that_comes_through() -> None:
    attempts = Attempts((1, ConnectionError()), (1, ValueError("no such order")))
    with pytest.raises(ValueError, match="no such order"):
        await Hedge(30, 5, None, on=ConnectionError).call(attempts.ask)
    assert len(attempts.started_at) == 2


async def test_one_leaf_of_a_group_that_is_named_is_enough() -> None:
    group = ExceptionGroup("both", [ValueError(), ExceptionGroup("inner", [ConnectionError()])])
    assert await Hedge(30, 1, None, on=ConnectionError).call(Dependency(group, "answer").ask) == "answer"


async def test_a_rejection_lets_the_running_attempts_answer_whatever_is_named() -> None:
    attempts = Attempts((5, "first"), (0, RejectedError("inner")), (0, "third"))
    assert await Hedge(2, 5, None, on=()).call(attempts.ask) == "first"
    assert len(attempts.started_at) == 2


async def test_an_attempt_that_is_cancelled_by_itself_starts_no_other() -> None:
    calls = 0

    async def ask() -> None:
        nonlocal calls
        calls += 1
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Hedge(30, 2, None).call(ask)
    assert calls == 1


async def test_a_loser_on_its_way_out_is_not_judged(caplog: pytest.LogCaptureFixture) -> None:
    def predicate(error: BaseException) -> bool:
        raise ZeroDivisionError(error)

    assert await Hedge(2, on=predicate).call(failing_cleanup(DownError())) == "second"
    assert caplog.text == ""


async def test_a_predicate_that_raises_leaves_the_attempts_own_error(caplog: pytest.LogCaptureFixture) -> None:
    def predicate(_: BaseException) -> bool:
        raise ZeroDivisionError

    own = DownError()
    dependency = Dependency(own)
    with pytest.raises(DownError) as caught:
        await Hedge(1, 3, None, on=predicate, name="twice").call(dependency.ask)
    assert (caught.value, dependency.calls) == (own, 1)
    assert "The predicate of 'twice' raised; there is no other attempt" in caplog.text


@pytest.mark.parametrize("on", [7, asyncio.CancelledError, (ValueError, KeyboardInterrupt)], ids=repr)
def test_what_cannot_be_worth_another_attempt_is_refused(on: object) -> None:
    with pytest.raises(TypeError, match="on must "):
        Hedge(1, on=on)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-1,), ValueError, "delay_seconds must be a finite number of seconds >= 0"),
        ((1, 0), ValueError, "max_hedges must be an integer >= 1"),
        ((1, 1, -1), ValueError, "budget must be a finite number >= 0"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Hedge(*arguments)


async def race(schedule: Schedule) -> None:
    """Attempts that succeed and fail at random, callers cancelled at any step: all end, and no success is lost."""
    rng = schedule.rng
    hedge = Hedge(rng.choice([0.0, 0.25, 0.5]), rng.randint(1, 3), None)
    circuit = breaker(clock=schedule.now, failure_threshold=10_000)
    running = 0

    async def caller() -> None:
        successes: list[int] = []
        errors: list[DownError] = []

        async def ask() -> int:
            nonlocal running
            running += 1
            number = running
            try:
                await schedule.pause()
                if rng.random() < 0.5:
                    errors.append(DownError(number))
                    raise errors[-1]
            finally:
                running -= 1
            successes.append(number)
            return number

        try:
            assert await hedge.call(circuit.call, ask) in successes
        except DownError as error:
            assert error in errors  # noqa: PT017 - either way is right, by what the attempts did
            assert not successes

    tasks = [schedule.spawn(caller) for _ in range(4)]
    for task in tasks[:2]:
        schedule.cancel_later(task)
    await schedule.join()
    assert running == 0
    assert circuit.state is CircuitState.CLOSED


def test_no_schedule_loses_a_result_or_leaves_an_attempt_behind() -> None:
    explore(race, schedules=1_000)


def test_no_schedule_of_cancelled_losers_counts_against_the_breaker() -> None:
    async def scenario(schedule: Schedule) -> None:
        circuit = breaker(clock=schedule.now)
        hedge = Hedge(0.25, 2, None)

        async def ask() -> str:
            await schedule.pause(2)
            return "answer"

        for _ in range(3):
            schedule.spawn(hedge.call, circuit.call, ask)
        await schedule.join()
        assert (circuit.state, circuit.failure_count) == (CircuitState.CLOSED, 0)

    explore(scenario, schedules=500)
