"""How an explored schedule can end: what breaks it, what the error says, and what is left behind."""

import asyncio
import pickle
import re
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import pytest

from recloser.testing.explorer import DeadlockError, Schedule, ScheduleFailedError, StepLimitError, explore, replay


async def nothing(_: Schedule) -> None:
    """Ends at once."""


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"schedules": 0}, ValueError, "schedules must be an integer >= 1, not 0"),
        ({"schedules": -5}, ValueError, "schedules must be an integer >= 1, not -5"),
        ({"schedules": "x"}, TypeError, "schedules must be an integer >= 1, not 'x'"),
        ({"schedules": True}, TypeError, "schedules must be an integer >= 1, not True"),
        ({"max_steps": 0}, ValueError, "max_steps must be an integer >= 1, not 0"),
        ({"max_steps": 1.5}, TypeError, "max_steps must be an integer >= 1, not 1.5"),
        ({"seed": "x"}, TypeError, "seed must be an integer, not 'x'"),
        ({"seed": False}, TypeError, "seed must be an integer, not False"),
    ],
)
def test_what_would_explore_nothing_is_refused(
    arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        explore(nothing, **arguments)
    if "schedules" not in arguments:
        with pytest.raises(error, match=message):
            replay(nothing, **{"seed": 0, **arguments})


class TestErrors:
    def test_a_deadlock_names_the_seed_and_who_waits_where(self) -> None:
        async def scenario(schedule: Schedule) -> None:
            async def stuck() -> None:
                await anyio.Event().wait()

            schedule.spawn(stuck, within_seconds=0)

        with pytest.raises(DeadlockError, match=r"deadlocked \(step \d+; play it again with seed=5\)") as caught:
            explore(scenario, seed=5)
        assert re.search(r"0:.*stuck waits in Schedule._start:\d+ > .*stuck:\d+ > Event.wait:\d+", caught.value.detail)
        assert re.search(r"scenario waits in _main:\d+ > Schedule.join:\d+ > ", caught.value.detail)

    def test_a_deadlock_on_something_that_is_no_coroutine_is_told_all_the_same(self) -> None:
        async def scenario(_: Schedule) -> None:
            async def forever() -> AsyncIterator[int]:
                await anyio.sleep_forever()
                yield 0

            async for _number in forever():
                pass

        with pytest.raises(DeadlockError, match=r"scenario waits in _main:\d+ > .*scenario:\d+"):
            explore(scenario)

    def test_a_schedule_that_spins_reaches_the_step_limit(self) -> None:
        async def scenario(_: Schedule) -> None:
            while True:
                await anyio.lowlevel.checkpoint()

        with pytest.raises(
            StepLimitError, match=r"limit \(step 501; play it again with seed=0\): scenario waits in _main"
        ):
            explore(scenario, max_steps=500)

    def test_an_error_of_the_scenario_is_the_cause(self) -> None:
        error = ValueError("wrong")

        async def scenario(_: Schedule) -> None:
            raise error

        with pytest.raises(ScheduleFailedError, match=r"seed=0\): ValueError: wrong") as caught:
            explore(scenario)
        assert caught.value.__cause__ is error

    def test_an_error_of_a_spawned_task_fails_the_schedule(self) -> None:
        async def scenario(schedule: Schedule) -> None:
            async def broken() -> None:
                raise ValueError

            schedule.spawn(broken)

        with pytest.raises(ScheduleFailedError, match="ValueError"):
            explore(scenario)

    def test_an_error_of_a_task_that_nobody_waits_for_fails_the_schedule(self) -> None:
        async def scenario(_: Schedule) -> None:
            async def broken() -> None:
                raise ValueError

            asyncio.get_running_loop().create_task(broken())
            await asyncio.sleep(1)

        with pytest.raises(ScheduleFailedError, match="ValueError"):
            explore(scenario)

    def test_an_error_of_a_callback_fails_the_schedule(self) -> None:
        async def scenario(_: Schedule) -> None:
            asyncio.get_running_loop().call_soon(int, "no number")
            await asyncio.sleep(1)

        with pytest.raises(ScheduleFailedError, match="no number"):
            explore(scenario)

    def test_what_only_the_loop_complains_about_fails_the_schedule(self) -> None:
        async def scenario(_: Schedule) -> None:
            asyncio.get_running_loop().call_exception_handler({"message": "odd"})

        with pytest.raises(ScheduleFailedError, match="odd"):
            explore(scenario)

    def test_a_cancellation_of_the_scenario_itself_fails_the_schedule(self) -> None:
        async def scenario(_: Schedule) -> None:
            raise asyncio.CancelledError

        with pytest.raises(ScheduleFailedError, match="CancelledError"):
            explore(scenario)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_an_interrupt_comes_through_and_names_the_seed(self, error: type[BaseException]) -> None:
        async def scenario(schedule: Schedule) -> None:
            async def interrupted() -> None:
                raise error

            schedule.spawn(interrupted)
            await anyio.sleep_forever()

        with pytest.raises(error) as caught:
            explore(scenario, seed=9)
        assert caught.value.__notes__ == ["raised in the schedule with seed=9"]

    def test_the_notes_of_the_scenario_are_shown(self) -> None:
        async def scenario(schedule: Schedule) -> None:
            schedule.note("before")
            await asyncio.sleep(2.5)
            schedule.note("after")
            await anyio.sleep_forever()

        with pytest.raises(DeadlockError) as caught:
            explore(scenario)
        assert str(caught.value).splitlines()[1:] == ["  [step 1, 0 s] before", "  [step 3, 2.5 s] after"]

    def test_an_error_pickles(self) -> None:
        error = pickle.loads(  # noqa: S301 - made here
            pickle.dumps(ScheduleFailedError(3, 14, "ValueError: wrong", ("[step 1, 0 s] note",)))
        )
        assert (error.seed, error.steps, error.detail, error.notes) == (
            3,
            14,
            "ValueError: wrong",
            ("[step 1, 0 s] note",),
        )
        assert str(error) == (
            "a schedule failed (step 14; play it again with seed=3): ValueError: wrong\n  [step 1, 0 s] note"
        )

    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_a_running_loop_is_refused(self) -> None:
        with pytest.raises(RuntimeError, match="call it from synchronous code"):
            explore(nothing)
        with pytest.raises(RuntimeError, match="call it from synchronous code"):
            replay(nothing, seed=0)


class TestEnd:
    def test_tasks_left_running_are_cancelled(self) -> None:
        ended: list[bool] = []

        async def scenario(_: Schedule) -> None:
            async def endless() -> None:
                try:
                    await anyio.sleep_forever()
                finally:
                    await asyncio.sleep(5)
                    ended.append(True)

            keep.append(asyncio.get_running_loop().create_task(endless()))
            await asyncio.sleep(1)

        keep: list[asyncio.Task[None]] = []
        explore(scenario, schedules=3)
        assert ended == [True] * 3

    def test_tasks_left_before_their_first_step_make_it_before_they_are_cancelled(self) -> None:
        async def scenario(_: Schedule) -> None:
            async def begin() -> None:
                begun.append(True)
                await anyio.sleep_forever()

            async def crowd() -> None:
                async with anyio.create_task_group() as tasks:
                    for _member in range(3):
                        tasks.start_soon(begin)

            keep.append(asyncio.get_running_loop().create_task(crowd()))
            await asyncio.sleep(0)

        begun: list[bool] = []
        keep: list[asyncio.Task[None]] = []
        explore(scenario, schedules=20)
        assert begun == [True] * 60

    def test_async_generators_left_open_are_closed(self) -> None:
        closed: list[bool] = []

        async def scenario(_: Schedule) -> None:
            async def numbers() -> AsyncIterator[int]:
                try:
                    yield 1
                finally:
                    await asyncio.sleep(0)
                    closed.append(True)

            keep.append(numbers())
            await anext(keep[-1])

        keep: list[AsyncIterator[int]] = []
        explore(scenario, schedules=3)
        assert closed == [True] * 3

    def test_a_task_that_refuses_to_be_cancelled_fails_the_schedule(self) -> None:
        async def scenario(_: Schedule) -> None:
            keep.append(asyncio.get_running_loop().create_task(stubborn()))
            await asyncio.sleep(1)

        async def stubborn() -> None:
            while not given_up:
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError:
                    continue

        keep: list[asyncio.Task[None]] = []
        given_up: list[bool] = []
        try:
            with pytest.raises(StepLimitError, match=r"stubborn:\d+ > sleep"):
                explore(scenario)
        finally:
            given_up.append(True)

    def test_the_error_of_the_scenario_beats_that_of_a_task_that_refuses_to_end(self) -> None:
        async def scenario(_: Schedule) -> None:
            keep.append(asyncio.get_running_loop().create_task(stubborn()))
            await asyncio.sleep(1)
            raise LookupError

        async def stubborn() -> None:
            try:
                await asyncio.sleep(10)
            finally:
                await asyncio.get_running_loop().create_future()

        keep: list[asyncio.Task[None]] = []
        with pytest.raises(ScheduleFailedError, match="LookupError"):
            explore(scenario)
