"""Rules over the sums of all workers: outages open the fleet, stray errors never do."""

from collections.abc import Sequence

import anyio
import pytest

from recloser import (
    ConsecutiveFailures,
    CountWindow,
    FailureCount,
    FailureRate,
    SlowCallRate,
    TimeWindow,
)
from tests.fleet.breakers.kit import OPEN_SECONDS, POLLED_SECONDS, Process, answer, fleet_of, settle, states

pytestmark = pytest.mark.anyio

WINDOW = TimeWindow(10, buckets=10)


async def serve(processes: Sequence[Process], seconds: int, calls: int, failing: int) -> None:
    """Has each process make so many calls each second, of which so many fail."""
    for _ in range(seconds):
        for one in processes:
            succeed = one.breaker.try_acquire_nowait
            for number in range(calls):
                permit = succeed()
                if permit is not None and number < failing:
                    permit.fail()
                elif permit is not None:
                    permit.succeed()
        await anyio.sleep(1)


def rejections(processes: Sequence[Process]) -> int:
    return sum(one.breaker.snapshot().rejected_total for one in processes)


@pytest.mark.parametrize("rule", [ConsecutiveFailures(5), FailureRate(0.5, window=WINDOW, minimum_calls=10)], ids=str)
async def test_ten_minutes_with_one_percent_of_errors_never_open_the_fleet(rule: object) -> None:
    async with fleet_of(3, trip_when=rule) as processes:
        await serve(processes, seconds=600, calls=100, failing=1)
        assert rejections(processes) == 0
        assert [one.breaker.generation for one in processes] == [1] * 3


@pytest.mark.parametrize("rule", [ConsecutiveFailures(5), FailureRate(0.5, window=TimeWindow(60))], ids=str)
async def test_five_failures_a_minute_among_very_many_calls_open_nothing(rule: object) -> None:
    async with fleet_of(2, trip_when=rule) as processes:
        for _ in range(5):
            for one in processes:
                await one.fail(2)
            await serve(processes, seconds=60, calls=100, failing=0)
        assert rejections(processes) == 0
        assert [one.breaker.generation for one in processes] == [1] * 2


RULES = [
    FailureRate(0.5, window=WINDOW, minimum_calls=20),
    FailureCount(20, window=WINDOW),
    FailureRate(0.9, window=WINDOW, minimum_calls=20) | FailureCount(20, window=TimeWindow(5)),
    ConsecutiveFailures(1000) | FailureRate(0.5, window=WINDOW, minimum_calls=20),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
async def test_an_outage_that_no_worker_alone_has_seen_enough_of_opens_all(rule: object) -> None:
    async with fleet_of(4, trip_when=rule) as processes:
        await serve(processes, seconds=5, calls=1, failing=1)
        assert states(processes) == ["closed"] * 4 or max(one.breaker.failure_count for one in processes) <= 5
        await serve(processes, seconds=2, calls=1, failing=1)
        assert states(processes) == ["open"] * 4
        assert max(one.breaker.snapshot().failure_total for one in processes) < 10


async def test_the_one_whose_report_opened_the_fleet_waits_as_long_as_the_others() -> None:
    async with fleet_of(3, trip_when=FailureCount(4, window=WINDOW)) as processes:
        for one in processes[:2]:
            await one.fail(2)
        await settle()
        assert states(processes) == ["open"] * 3
        waits = [one.breaker.retry_after for one in processes]
        assert waits == [pytest.approx(waits[0], abs=0.001)] * 3


async def test_failures_of_one_worker_alone_never_fulfil_a_rule_on_the_sums() -> None:
    async with fleet_of(3, trip_when=FailureCount(10, window=WINDOW)) as processes:
        await serve(processes[:1], seconds=2, calls=5, failing=5)
        await settle()
        assert states(processes) == ["open", "closed", "closed"]


async def test_the_minimum_of_calls_is_that_of_the_sums() -> None:
    rule = FailureRate(0.5, window=WINDOW, minimum_calls=12)
    async with fleet_of(3, trip_when=rule) as processes:
        for one in processes:
            await one.fail(3)
        await settle()
        assert states(processes) == ["closed"] * 3
        for one in processes:
            await one.fail(1)
        await settle()
        assert states(processes) == ["open"] * 3


async def test_successes_count_in_the_rate() -> None:
    rule = FailureRate(0.5, window=WINDOW, minimum_calls=12)
    async with fleet_of(3, trip_when=rule) as processes:
        for one in processes:
            await one.succeed(10)
        for one in processes:
            await one.fail(6)
            await settle()
        assert states(processes) == ["closed"] * 3
        for one in processes:
            await one.fail(5)
            await settle()
        assert states(processes) == ["open"] * 3


async def test_successes_after_the_failures_are_told_with_the_poll() -> None:
    rule = FailureRate(0.5, window=TimeWindow(100), minimum_calls=40)
    async with fleet_of(2, trip_when=rule) as processes:
        for one in processes:
            await one.fail(8)
        await settle()
        for one in processes:
            await one.succeed(11)
        await settle(3)
        for one in processes:
            await one.fail(2)
        await settle(3)
        assert states(processes) == ["closed"] * 2


async def test_slow_calls_of_all_workers_count_together() -> None:
    async def slow() -> None:
        await anyio.sleep(2)

    rule = SlowCallRate(0.5, slow_call_seconds=1, window=TimeWindow(60), minimum_calls=8)
    async with fleet_of(3, trip_when=rule) as processes:
        for one in processes:
            await one.breaker.call(answer)
            for _ in range(2):
                await one.breaker.call(slow)
        await settle()
        assert states(processes) == ["open"] * 3


async def test_a_rule_on_a_number_of_calls_votes() -> None:
    rule = FailureRate(0.5, window=CountWindow(10), minimum_calls=4)
    async with fleet_of(3, trip_when=rule) as processes:
        for one in processes:
            await one.fail(3)
        await settle()
        assert states(processes) == ["closed"] * 3
        await processes[0].fail(1)
        await settle()
        assert states(processes) == ["open", "closed", "closed"]
        await processes[1].fail(1)
        await settle()
        assert states(processes) == ["open"] * 3


async def test_parts_of_a_rule_that_look_at_time_are_reported_and_the_others_vote() -> None:
    rule = ConsecutiveFailures(3) | FailureRate(0.9, window=WINDOW, minimum_calls=1000)
    async with fleet_of(2, trip_when=rule) as processes:
        for one in processes:
            await one.fail(3)
        await settle()
        assert states(processes) == ["open"] * 2


async def test_two_parts_of_a_rule_are_reported_each_by_its_own_sums() -> None:
    async def slow() -> None:
        await anyio.sleep(2)

    slowness = SlowCallRate(0.5, slow_call_seconds=1, window=TimeWindow(60), minimum_calls=9)
    async with fleet_of(3, trip_when=FailureCount(1000, window=TimeWindow(60)) | slowness) as processes:
        for one in processes:
            await one.fail(1)
            await one.breaker.call(slow)
        await settle(2)
        assert states(processes) == ["closed"] * 3
        for one in processes:
            await one.breaker.call(slow)
        await settle(2)
        assert states(processes) == ["open"] * 3


async def test_another_rule_counts_from_when_it_was_set() -> None:
    async with fleet_of(2, trip_when=FailureCount(6, window=WINDOW)) as processes:
        for one in processes:
            await one.fail(2)
        await settle()
        for one in processes:
            one.breaker.reconfigure(trip_when=FailureCount(6, window=TimeWindow(OPEN_SECONDS * 2)))
        await settle(POLLED_SECONDS)
        for one in processes:
            await one.fail(2)
        await settle()
        assert states(processes) == ["closed"] * 2
        for one in processes:
            await one.fail(1)
        await settle()
        assert states(processes) == ["open"] * 2


async def test_failures_before_the_fleet_closed_count_no_more() -> None:
    async with fleet_of(3, trip_when=FailureCount(4, window=TimeWindow(100))) as processes:
        for one in processes:
            await one.fail(2)
        await settle()
        assert states(processes) == ["open"] * 3
        await anyio.sleep(OPEN_SECONDS)
        await processes[0].succeed()
        await settle()
        for one in processes:
            await one.fail(1)
        await settle()
        assert states(processes) == ["closed"] * 3
