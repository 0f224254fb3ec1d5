"""A single worker with failures opens itself, a quorum of workers opens the fleet."""

import anyio
import pytest

from tests.fleet.breakers.kit import OPEN_SECONDS, answer, fail, fleet_of, open_all, settle, states

pytestmark = pytest.mark.anyio


async def test_a_worker_that_is_alone_with_its_failures_opens_itself_only() -> None:
    async with fleet_of(4) as (one, *others):
        await one.fail()
        await settle()
        assert one.state == "open"
        assert set(states(others)) == {"closed"}
        assert not await one.is_admitted()
        assert [await other.is_admitted() for other in others] == [True] * 3


async def test_a_worker_that_opened_alone_tries_and_closes_by_itself() -> None:
    async with fleet_of(3) as (one, *others):
        await one.fail()
        await anyio.sleep(OPEN_SECONDS)
        async with one.breaker.guard() as permit:
            assert permit.is_probe
            assert permit.generation == one.breaker.generation
            await settle()
            assert states([one, *others]) == ["half_open", "closed", "closed"]
        await settle()
        assert states([one, *others]) == ["closed"] * 3


async def test_the_second_worker_with_failures_opens_all() -> None:
    async with fleet_of(4) as processes:
        await processes[0].fail()
        await settle()
        await processes[1].fail()
        await settle()
        assert states(processes) == ["open"] * 4
        assert [await one.is_admitted() for one in processes] == [False] * 4


async def test_those_who_are_opened_by_the_fleet_know_why_and_for_how_long() -> None:
    async with fleet_of(3) as processes:
        await open_all(processes)
        breaker = processes[2].breaker
        assert breaker.retry_after == pytest.approx(OPEN_SECONDS, abs=0.5)
        assert breaker.snapshot().cause.trigger == "fleet_opened"
        assert "fleet" in breaker.explain()


async def test_with_a_quorum_of_one_any_worker_opens_all() -> None:
    async with fleet_of(3, quorum=1) as processes:
        await processes[2].fail()
        await settle()
        assert states(processes) == ["open"] * 3


async def test_with_a_quorum_of_three_two_workers_open_themselves_only() -> None:
    async with fleet_of(4, quorum=3) as processes:
        await processes[0].fail()
        await processes[1].fail()
        await settle()
        assert states(processes) == ["open", "open", "closed", "closed"]
        await processes[3].fail()
        await settle()
        assert states(processes) == ["open"] * 4


async def test_votes_expire_with_the_open_time() -> None:
    async with fleet_of(3) as processes:
        await processes[0].fail()
        await anyio.sleep(OPEN_SECONDS + 1)
        await processes[1].fail()
        await settle()
        assert states(processes) == ["open", "open", "closed"]


async def test_a_local_probe_that_fails_is_a_new_vote() -> None:
    async with fleet_of(3) as processes:
        await processes[0].fail()
        await anyio.sleep(OPEN_SECONDS + 1)
        with pytest.raises(Exception, match="down"):
            await processes[0].breaker.call(fail)
        await anyio.sleep(OPEN_SECONDS - 1)
        await processes[1].fail()
        await settle()
        assert states(processes) == ["open"] * 3


async def test_one_poisoned_worker_among_eight_never_gets_the_others_rejected() -> None:
    async with fleet_of(8) as (poisoned, *others):
        for _ in range(60):
            await poisoned.fail(10)
            assert [await other.breaker.call(answer) for other in others] == ["answer"] * 7
            await anyio.sleep(1)
        assert poisoned.breaker.snapshot().rejected_total > 500
        assert [other.breaker.snapshot().rejected_total for other in others] == [0] * 7


async def test_a_vote_of_an_earlier_closed_period_counts_no_more() -> None:
    async with fleet_of(3) as processes:
        await open_all(processes)
        await anyio.sleep(OPEN_SECONDS)
        await processes[2].succeed()
        await settle()
        assert states(processes) == ["closed"] * 3
        await processes[0].fail()
        await settle()
        assert states(processes) == ["open", "closed", "closed"]
