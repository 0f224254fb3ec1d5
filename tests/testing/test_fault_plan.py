"""The scripted dependency: each step, by number, by time and by chance, and what is counted."""

import asyncio
import functools
import math
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest
import trio.testing

from recloser.errors import MisuseError
from recloser.testing import Chance, During, Fail, FaultPlan, Hang, ManualClock, PlannedCall, Slow, Succeed
from recloser.testing.explorer import Schedule, replay

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000.0)


async def ends(plan: FaultPlan, calls: int) -> list[object]:
    """Lists what calls come to: results, and types of errors."""
    came_to: list[object] = []
    for _ in range(calls):
        try:
            came_to.append(await plan())
        except (OSError, LookupError) as error:
            came_to.append(type(error))
    return came_to


# Steps


async def test_each_call_takes_the_next_step_of_the_script() -> None:
    plan = FaultPlan(Succeed(1), Fail(OSError), Succeed(3))
    assert await ends(plan, 3) == [1, OSError, 3]


async def test_a_step_stands_for_as_many_calls_as_it_says() -> None:
    plan = FaultPlan(Succeed(1, times=2), Fail(OSError, times=3))
    assert await ends(plan, 5) == [1, 1, OSError, OSError, OSError]


async def test_when_the_script_has_ended_the_calls_succeed() -> None:
    plan = FaultPlan(Fail(OSError))
    assert await ends(plan, 3) == [OSError, None, None]


async def test_when_the_script_has_ended_the_calls_take_the_step_that_was_named_for_that() -> None:
    plan = FaultPlan(Succeed(1), then=Fail(LookupError))
    assert await ends(plan, 3) == [1, LookupError, LookupError]


async def test_a_plan_says_whether_its_script_has_ended() -> None:
    plan = FaultPlan(Succeed(1), Succeed(2))
    seen = [plan.ended]
    for _ in range(2):
        await plan()
        seen.append(plan.ended)
    assert seen == [False, False, True]
    assert repr(plan) == "<FaultPlan: 2 calls, script of 2>"


async def test_an_error_that_is_given_is_raised_as_it_is_and_does_not_grow() -> None:
    error = OSError("down")
    plan = FaultPlan(then=Fail(error))
    depths = []
    for _ in range(3):
        with pytest.raises(OSError, match="down") as caught:
            await plan()
        assert caught.value is error
        depths.append(len(caught.traceback))
    assert len(set(depths)) == 1


async def test_of_a_type_of_errors_each_call_raises_a_new_one() -> None:
    plan, errors = FaultPlan(then=Fail(OSError)), []
    for _ in range(2):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - it has no message
            await plan()
        errors.append(caught.value)
    assert errors[0] is not errors[1]


async def test_a_call_that_hangs_can_be_cancelled() -> None:
    plan = FaultPlan(Hang())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(plan)
        await anyio.wait_all_tasks_blocked()
        assert plan.call_count == 1
        tasks.cancel_scope.cancel()
    assert await plan() is None


async def test_a_slow_call_moves_a_manual_clock_and_does_not_sleep(clock: ManualClock) -> None:
    plan = FaultPlan(Slow(30, Succeed("late")), Slow(5, Fail(OSError)), clock=clock)
    assert await ends(plan, 2) == ["late", OSError]
    assert clock() == 1_035


async def test_a_slow_call_is_a_checkpoint(clock: ManualClock) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await FaultPlan(Slow(1), clock=clock)()
    assert scope.cancelled_caught


def test_without_a_manual_clock_a_slow_call_sleeps_on_the_time_of_the_event_loop() -> None:
    async def main() -> float:
        await FaultPlan(Slow(3_600))()
        return trio.current_time()

    start = 0.0
    assert trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) == start + 3_600

    async def scenario(schedule: Schedule) -> float:
        await FaultPlan(Slow(3_600), clock=schedule.now)()
        return schedule.now()

    assert replay(scenario, seed=0) == 3_600


async def test_a_chance_is_drawn_from_the_seed() -> None:
    def plan(seed: int) -> FaultPlan:
        return FaultPlan(then=Chance(0.3, Fail(OSError), otherwise=Succeed("fine")), seed=seed)

    first = await ends(plan(7), 1_000)
    assert await ends(plan(7), 1_000) == first
    assert await ends(plan(8), 1_000) != first
    assert 250 < first.count(OSError) < 350
    assert set(first) == {OSError, "fine"}


@pytest.mark.parametrize(("rate", "end"), [(0, None), (1, OSError)])
async def test_a_chance_of_nothing_and_of_certainty_are_what_they_say(rate: float, end: object) -> None:
    assert set(await ends(FaultPlan(then=Chance(rate, Fail(OSError))), 100)) == {end}


async def test_a_step_may_depend_on_the_time_since_the_plan_was_made(clock: ManualClock) -> None:
    outage = During(10, 20, Fail(OSError), otherwise=During(30, math.inf, Fail(LookupError)))
    plan, came_to = FaultPlan(then=outage, clock=clock), []
    for seconds in (0, 9.75, 10, 19.75, 20, 29.75, 30, 1e9):
        clock.set(1_000 + seconds)
        came_to += await ends(plan, 1)
    assert came_to == [None, None, OSError, OSError, None, None, LookupError, LookupError]


# Wrapping


class Client:
    async def fetch(self, key: str, *, version: int = 1) -> str:
        """Fetches."""
        return f"{key}@{version}"


async def test_a_wrapped_function_is_called_where_the_plan_succeeds() -> None:
    plan = FaultPlan(Fail(OSError))
    fetch = plan.wrap(Client().fetch)
    with pytest.raises(OSError):  # noqa: PT011 - it has no message
        await fetch("x")
    assert await fetch("x", version=2) == "x@2"


async def test_a_success_with_a_result_of_its_own_does_not_call_the_wrapped_function() -> None:
    plan = FaultPlan(Succeed("stale"), Succeed(None))
    fetch = plan.wrap(Client().fetch)
    assert [await fetch("x"), await fetch("x"), await fetch("x")] == ["stale", None, "x@1"]


async def test_a_slow_call_reaches_the_wrapped_function_afterwards(clock: ManualClock) -> None:
    times = []

    async def fetch() -> None:
        times.append(clock())

    await FaultPlan(Slow(3), clock=clock).wrap(fetch)()
    assert times == [1_003]


def test_the_wrapper_looks_like_the_function() -> None:
    fetch = FaultPlan().wrap(Client().fetch)
    assert (fetch.__name__, fetch.__doc__) == ("fetch", "Fetches.")
    assert asyncio.iscoroutinefunction(fetch)


async def test_whatever_returns_an_awaitable_can_be_wrapped() -> None:
    assert await FaultPlan().wrap(functools.partial(Client().fetch, "x"))() == "x@1"


async def test_a_plain_function_can_be_wrapped() -> None:
    plan = FaultPlan(Fail(OSError))
    double = plan.wrap(lambda number: 2 * number)
    with pytest.raises(OSError):  # noqa: PT011 - it has no message
        await double(4)
    assert await double(4) == 8


async def test_functions_that_are_wrapped_by_one_plan_share_its_script() -> None:
    plan = FaultPlan(Succeed(), Fail(OSError))
    one, two = plan.wrap(Client().fetch), plan.wrap(Client().fetch)
    assert await one("x") == "x@1"
    with pytest.raises(OSError):  # noqa: PT011 - it has no message
        await two("x")


async def test_calls_are_kept_with_their_arguments_whatever_they_came_to() -> None:
    step = Fail(OSError)
    plan = FaultPlan(step)
    with pytest.raises(OSError):  # noqa: PT011 - it has no message
        await plan(7, key="x")
    await plan()
    assert plan.calls == (PlannedCall(1, step, (7,), {"key": "x"}), PlannedCall(2, Succeed(), (), {}))
    assert plan.call_count == 2


# What is refused


async def stream() -> AsyncIterator[int]:
    yield 1


class Stream:
    async def __call__(self) -> AsyncIterator[int]:
        yield 1


def test_what_is_no_function_is_not_wrapped() -> None:
    with pytest.raises(TypeError, match="a fault plan wraps functions, not 7"):
        FaultPlan().wrap(7)


@pytest.mark.parametrize("fn", [stream, Stream(), functools.partial(stream)], ids=["function", "object", "partial"])
def test_a_stream_is_not_wrapped(fn: object) -> None:
    with pytest.raises(TypeError, match="return one answer, not the async generator .*: await the plan itself"):
        FaultPlan().wrap(fn)


async def test_a_stream_that_shows_only_when_it_is_called_is_refused_there() -> None:
    with pytest.raises(MisuseError, match="return one answer, not the async generator"):
        await FaultPlan().wrap(lambda: stream())()  # noqa: PLW0108 - a function that does not look like a stream


def read_late() -> object:
    """Looks like a clock, and returns a coroutine."""
    return anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: FaultPlan(Succeed(), OSError),
            TypeError,
            r"step 2 must be a step of a fault plan, as Fail\(...\), not",
        ),
        (lambda: FaultPlan(then=OSError()), TypeError, r"then must be a step of a fault plan, as Fail\(...\), not"),
        (lambda: FaultPlan(7), TypeError, "step 1 must be a step of a fault plan, not 7"),
        (lambda: FaultPlan(clock=7), TypeError, "clock must be a function that returns seconds, not 7"),
        (lambda: FaultPlan(clock=anyio.sleep), TypeError, "clock must be a synchronous function that returns seconds"),
        (lambda: FaultPlan(clock=read_late), TypeError, "clock must be synchronous, but returned a coroutine"),
        (lambda: Fail("down"), TypeError, "error must be an exception or a type of exceptions, not 'down'"),
        (lambda: Fail(int), TypeError, "error must be an exception or a type of exceptions, not"),
        (lambda: Fail(OSError, times=0), ValueError, "times must be an integer >= 1, not 0"),
        (lambda: Succeed(times=1.5), TypeError, "times must be an integer >= 1, not 1.5"),
        (lambda: Hang(times=True), TypeError, "times must be an integer >= 1, not True"),
        (lambda: Slow(-1), ValueError, "seconds must be a finite number of seconds >= 0, not -1"),
        (lambda: Slow(math.inf), ValueError, "seconds must be a finite number of seconds >= 0, not inf"),
        (lambda: Slow("1"), TypeError, "seconds must be a finite number of seconds >= 0, not '1'"),
        (lambda: Slow(1, OSError), TypeError, "then must be a step"),
        (lambda: Chance(1.5, Hang()), ValueError, "rate must be a rate with 0 <= rate <= 1, not 1.5"),
        (lambda: Chance(math.nan, Hang()), ValueError, "rate must be a rate with 0 <= rate <= 1, not nan"),
        (lambda: Chance(0.5, OSError), TypeError, "step must be a step"),
        (lambda: Chance(0.5, Hang(), OSError), TypeError, "otherwise must be a step"),
        (lambda: During(2, 2, Hang()), ValueError, "end_seconds must be above start_seconds=2, not 2"),
        (lambda: During(-1, 2, Hang()), ValueError, "start_seconds must be a finite number of seconds >= 0, not -1"),
        (
            lambda: During(0, math.nan, Hang()),
            ValueError,
            "end_seconds must be a finite number of seconds >= 0, not nan",
        ),
        (lambda: During(0, 1, OSError), TypeError, "step must be a step"),
    ],
)
def test_what_lies_outside_its_range_is_refused(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
