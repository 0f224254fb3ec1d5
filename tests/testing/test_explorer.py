"""The explorer itself: its loop, its faults, and that a seed plays the same schedule again."""

import asyncio
import gc
import sys
from collections import Counter
from contextlib import suppress
from random import Random

import anyio
import anyio.lowlevel
import pytest

from recloser.testing.explorer import Schedule, ScheduleFailedError, explore, replay
from recloser.testing.explorer._loop import ScheduleLoop


async def order_of_three(schedule: Schedule) -> str:
    order: list[str] = []

    async def note(name: str) -> None:
        order.append(name)

    for name in "abc":
        schedule.spawn(note, name, within_seconds=0)
    await schedule.join()
    return "".join(order)


class TestSteps:
    def test_every_order_of_ready_tasks_is_reached(self) -> None:
        orders = Counter(replay(order_of_three, seed=seed) for seed in range(300))
        assert set(orders) == {"abc", "acb", "bac", "bca", "cab", "cba"}
        assert min(orders.values()) > 20

    def test_a_step_runs_between_two_that_were_ready_together(self) -> None:
        async def scenario(schedule: Schedule) -> str:
            order: list[str] = []

            async def twice(name: str) -> None:
                order.append(name)
                await asyncio.sleep(0)
                order.append(name)

            schedule.spawn(twice, "a", within_seconds=0)
            schedule.spawn(twice, "b", within_seconds=0)
            await schedule.join()
            return "".join(order)

        assert {replay(scenario, seed=seed) for seed in range(100)} == {"aabb", "abab", "abba", "bbaa", "baba", "baab"}

    def test_tasks_start_at_random_times(self) -> None:
        async def scenario(schedule: Schedule) -> float:
            async def start() -> float:
                return schedule.now()

            return await schedule.spawn(start, within_seconds=4.0)

        assert {replay(scenario, seed=seed) for seed in range(100)} == {0.0, 1.0, 2.0, 3.0, 4.0}

    def test_time_jumps_to_the_next_timer_when_nothing_is_ready(self) -> None:
        async def scenario(schedule: Schedule) -> float:
            await asyncio.sleep(3600)
            return schedule.now()

        assert replay(scenario, seed=0) == 3600.0

    def test_a_cancelled_timer_does_not_move_the_time(self) -> None:
        async def scenario(schedule: Schedule) -> float:
            loop = asyncio.get_running_loop()
            loop.call_later(50, pytest.fail).cancel()
            await asyncio.sleep(100)
            loop.call_later(50, pytest.fail).cancel()
            schedule.cancel_later(schedule.spawn(anyio.sleep_forever, within_seconds=0), steps=10)
            await schedule.join()
            return schedule.now()

        assert {replay(scenario, seed=seed) for seed in range(20)} == {100.0}

    def test_a_cancelled_handle_does_not_run(self) -> None:
        async def scenario(_: Schedule) -> None:
            asyncio.get_running_loop().call_soon(pytest.fail).cancel()
            for _turn in range(5):
                await asyncio.sleep(0)

        explore(scenario, schedules=20)

    def test_a_timer_fires_while_another_task_spins(self) -> None:
        async def scenario(_: Schedule) -> None:
            done = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(5, done.set_result, None)
            while not done.done():
                await anyio.lowlevel.checkpoint()

        explore(scenario, schedules=20, max_steps=2_000)

    def test_a_shielded_sleep_in_a_cancelled_scope_comes_to_its_end(self) -> None:
        async def scenario(schedule: Schedule) -> float:
            with anyio.move_on_after(1):
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(10)
                await anyio.sleep(10)
            return schedule.now()

        assert min(replay(scenario, seed=seed) for seed in range(50)) == 10.0

    def test_an_exploration_says_how_much_it_played(self) -> None:
        exploration = explore(order_of_three, schedules=7)
        assert exploration.schedules == 7
        assert exploration.steps > 7 * 4


class TestReplay:
    def test_a_seed_plays_the_same_schedule_again(self) -> None:
        async def scenario(schedule: Schedule) -> tuple[object, ...]:
            log: list[object] = []

            async def work(number: int) -> None:
                try:
                    await schedule.pause()
                    await anyio.sleep(schedule.rng.random())
                finally:
                    log.append(number)

            async with anyio.create_task_group() as tasks:
                for number in range(6):
                    tasks.start_soon(work, number)
                schedule.cancel_later(schedule.spawn(work, 6))
            return (*log, schedule.now(), schedule.steps)

        first = [replay(scenario, seed=seed) for seed in range(50)]
        assert [replay(scenario, seed=seed) for seed in range(50)] == first
        assert len(set(first)) == 50

    def test_a_cancelled_scope_wakes_its_tasks_in_an_order_that_comes_from_the_seed(self) -> None:
        async def scenario(_: Schedule) -> tuple[int, ...]:
            woken: list[int] = []

            async def sleeper(number: int) -> None:
                ballast.append(object())
                try:
                    await anyio.sleep_forever()
                finally:
                    woken.append(number)

            with anyio.move_on_after(1):
                async with anyio.create_task_group() as tasks:
                    for number in range(8):
                        tasks.start_soon(sleeper, number)
            return tuple(woken)

        ballast: list[object] = []
        assert len({replay(scenario, seed=3) for _ in range(50)}) == 1

    def test_schedules_have_consecutive_seeds(self) -> None:
        seeds: list[int] = []

        async def scenario(schedule: Schedule) -> None:
            seeds.append(schedule.seed)

        explore(scenario, schedules=3, seed=40)
        assert seeds == [40, 41, 42]

    def test_a_failing_seed_fails_again(self) -> None:
        async def scenario(schedule: Schedule) -> None:
            if await order_of_three(schedule) == "cab":
                message = "the third came first"
                raise LookupError(message)

        with pytest.raises(ScheduleFailedError, match="the third came first") as found:
            explore(scenario)
        with pytest.raises(ScheduleFailedError) as again:
            replay(scenario, seed=found.value.seed)
        assert str(again.value) == str(found.value)

    def test_garbage_is_not_collected_in_the_middle_of_a_schedule(self) -> None:
        async def scenario(_: Schedule) -> bool:
            return gc.isenabled()

        assert not replay(scenario, seed=0)
        assert gc.isenabled()

    def test_a_collector_that_was_off_stays_off(self) -> None:
        gc.disable()
        try:
            explore(order_of_three, schedules=1)
            assert not gc.isenabled()
        finally:
            gc.enable()


class TestFaults:
    async def victim(self, schedule: Schedule, log: list[object]) -> None:
        for number in range(3):
            try:
                await schedule.pause()
            except BaseException as error:
                log.append((number, type(error)))
                raise
        log.append("done")

    def test_a_cancellation_comes_after_the_chosen_number_of_steps(self) -> None:
        async def scenario(schedule: Schedule) -> list[int]:
            hit: list[int] = []

            async def spin() -> None:
                try:
                    while True:
                        await anyio.lowlevel.checkpoint()
                finally:
                    hit.append(schedule.steps)

            schedule.cancel_later(schedule.spawn(spin, within_seconds=0), steps=30)
            await schedule.join()
            return hit

        assert [30 <= step <= 40 for step in replay(scenario, seed=0)] == [True]

    def test_random_cancellations_reach_every_pause_and_the_time_before_the_first_step(self) -> None:
        async def scenario(schedule: Schedule) -> object:
            log: list[object] = []
            schedule.cancel_later(schedule.spawn(self.victim, schedule, log))
            await schedule.join()
            return log[0] if log else "never started"

        assert {replay(scenario, seed=seed) for seed in range(300)} == {
            *((number, asyncio.CancelledError) for number in range(3)),
            "never started",
            "done",
        }

    def test_a_cancellation_after_no_step_comes_before_the_next_one(self) -> None:
        async def scenario(schedule: Schedule) -> bool:
            async def spin() -> None:
                for _ in range(100):
                    await asyncio.sleep(0)

            task = schedule.spawn(spin, within_seconds=0)
            schedule.cancel_later(task, steps=0)
            await asyncio.wait([task])
            return task.cancelled() and schedule.steps < 10

        assert replay(scenario, seed=0)

    def test_a_cancellation_comes_even_if_nothing_else_is_left_to_do(self) -> None:
        async def scenario(schedule: Schedule) -> bool:
            task = schedule.spawn(anyio.sleep_forever, within_seconds=0)
            schedule.cancel_later(task, steps=10_000)
            await schedule.join()
            return task.cancelled()

        assert replay(scenario, seed=0)

    @pytest.mark.parametrize("pause", [0, 1, 2])
    def test_an_error_is_raised_from_the_chosen_pause(self, pause: int) -> None:
        async def scenario(schedule: Schedule) -> list[object]:
            log: list[object] = []
            task = schedule.spawn(self.victim, schedule, log)
            schedule.fail_later(task, OSError("down"), pauses=pause)
            with pytest.raises(OSError, match="down"):
                await task
            return log

        with pytest.raises(ScheduleFailedError, match="OSError: down"):
            replay(scenario, seed=0)

        async def survivor(schedule: Schedule) -> list[object]:
            log: list[object] = []

            async def guarded() -> None:
                with pytest.raises(OSError, match="down"):
                    await self.victim(schedule, log)

            task = schedule.spawn(guarded)
            schedule.fail_later(task, OSError("down"), pauses=pause)
            await task
            return log

        assert replay(survivor, seed=0) == [(pause, OSError)]

    def test_random_errors_reach_every_pause_and_sometimes_come_too_late(self) -> None:
        async def scenario(schedule: Schedule) -> object:
            log: list[object] = []

            async def guarded() -> None:
                with suppress(ConnectionError):
                    await self.victim(schedule, log)

            schedule.fail_later(schedule.spawn(guarded), ConnectionError())
            await schedule.join()
            return log[0]

        assert {replay(scenario, seed=seed) for seed in range(200)} == {
            *((number, ConnectionError) for number in range(3)),
            "done",
        }

    def test_an_error_planned_after_some_pauses_counts_from_there(self) -> None:
        async def scenario(schedule: Schedule) -> int:
            async def work() -> int:
                task = asyncio.current_task()
                assert task is not None
                await schedule.pause()
                schedule.fail_later(task, ValueError(), pauses=1)
                await schedule.pause()
                try:
                    await schedule.pause()
                except ValueError:
                    return 3
                return 0

            return await schedule.spawn(work)

        assert replay(scenario, seed=0) == 3


class TestPrimitives:
    def test_a_lock_excludes(self) -> None:
        async def scenario(schedule: Schedule) -> None:
            lock, inside = anyio.Lock(), [0]

            async def work() -> None:
                async with lock:
                    inside[0] += 1
                    assert inside == [1]
                    await schedule.pause()
                    inside[0] -= 1

            tasks = [schedule.spawn(work) for _ in range(4)]
            schedule.cancel_later(tasks[0])

        with pytest.raises(ScheduleFailedError):
            explore(scenario)

    def test_deadlines_semaphores_events_streams_and_task_groups_work(self) -> None:
        async def scenario(schedule: Schedule) -> tuple[int, ...]:
            semaphore, ready = anyio.Semaphore(2), anyio.Event()
            send, receive = anyio.create_memory_object_stream[int](1)
            consumed: list[int] = []

            async def produce(number: int) -> None:
                async with semaphore:
                    await ready.wait()
                    with anyio.move_on_after(0.5):
                        await schedule.pause(2.0)
                    await send.send(number)

            async with send, receive, anyio.create_task_group() as tasks:
                for number in range(3):
                    tasks.start_soon(produce, number)
                ready.set()
                consumed.extend([await receive.receive() for _ in range(3)])
            return tuple(consumed)

        assert {tuple(sorted(replay(scenario, seed=seed))) for seed in range(200)} == {(0, 1, 2)}

    def test_fail_after_raises_at_its_deadline(self) -> None:
        async def scenario(schedule: Schedule) -> float:
            with pytest.raises(TimeoutError), anyio.fail_after(7):
                await anyio.sleep_forever()
            return schedule.now()

        assert replay(scenario, seed=0) == 7.0

    def test_the_loop_stops_when_it_is_told_to(self) -> None:
        async def scenario(_: Schedule) -> None:
            asyncio.get_running_loop().stop()
            await anyio.sleep_forever()

        with pytest.raises(ScheduleFailedError, match="stopped before Future completed"):
            explore(scenario)

    def test_a_loop_that_was_stopped_before_it_ran_is_not_deadlocked(self) -> None:
        loop = ScheduleLoop(Random(0), seed=0, max_steps=10)
        loop.stop()
        loop.run_forever()
        loop.finish()
        assert loop.is_closed()


if sys.version_info >= (3, 12):

    def test_eager_tasks_work() -> None:
        async def scenario(schedule: Schedule) -> tuple[str, ...]:
            order: list[str] = []

            async def work(name: str) -> None:
                order.append(name)
                await asyncio.sleep(0)
                order.append(name.upper())

            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            for name in "ab":
                schedule.spawn(work, name, within_seconds=0)
            await schedule.join()
            return tuple(order)

        assert {replay(scenario, seed=seed) for seed in range(50)} == {("a", "b", "A", "B"), ("a", "b", "B", "A")}
