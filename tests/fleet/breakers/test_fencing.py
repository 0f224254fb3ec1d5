"""Leases: how long a probe is exclusive, and that its end changes nothing once its lease has ended."""

import anyio
import pytest

from recloser import CircuitState
from recloser.events import StateChanged
from tests.fleet.breakers.kit import (
    LEASE_SECONDS,
    NAME,
    OPEN_SECONDS,
    DownError,
    Process,
    fleet_of,
    make_probing,
    make_ready,
    settle,
    states,
    watch,
)

pytestmark = pytest.mark.anyio

LONG_SECONDS = 3 * LEASE_SECONDS


async def lose(one: Process) -> None:
    """Cuts a process off until the lease that it holds is over."""
    one.store.cut()
    await anyio.sleep(LEASE_SECONDS + 1)


async def test_a_probe_that_outlives_its_lease_is_renewed() -> None:
    async with fleet_of(3, probe_timeout_seconds=10 * LEASE_SECONDS) as processes:
        permit = await make_probing(processes)
        for _ in range(20):
            await anyio.sleep(LONG_SECONDS / 20)
            assert not await processes[1].is_admitted()
        permit.succeed()
        await settle()
        assert states(processes) == ["closed"] * 3


async def test_a_probe_that_outlives_its_time_limit_is_not_renewed_and_fails() -> None:
    async with fleet_of(2, probe_timeout_seconds=LEASE_SECONDS * 2) as processes:
        permit = await make_probing(processes)
        await anyio.sleep(LEASE_SECONDS * 3.5)
        assert await processes[1].is_admitted()
        await settle()
        assert states(processes) == ["closed"] * 2
        permit.fail()
        await settle()
        assert states(processes) == ["closed"] * 2
        assert processes[0].breaker.snapshot().late_total == 1


async def test_a_probe_that_timed_out_is_told_as_failed_by_the_next_caller_of_its_process() -> None:
    async with fleet_of(2, probe_timeout_seconds=LEASE_SECONDS) as processes:
        permit = await make_probing(processes)
        await anyio.sleep(LEASE_SECONDS)
        assert not await processes[0].is_admitted()
        await settle()
        assert states(processes) == ["open"] * 2
        assert processes[1].fleet.status()["breakers"][NAME]["trips"] == 2
        permit.succeed()
        await settle()
        assert states(processes) == ["open"] * 2


async def test_a_listener_may_disable_the_breaker_when_its_probe_has_timed_out() -> None:
    async with fleet_of(2, probe_timeout_seconds=LEASE_SECONDS) as processes:
        permit = await make_probing(processes)
        breaker = processes[0].breaker

        def disable_when_open(event: StateChanged) -> None:
            if event.new is CircuitState.OPEN:
                breaker.disable("the probe has timed out")

        breaker.subscribe(disable_when_open, StateChanged)
        await anyio.sleep(LEASE_SECONDS)
        assert await processes[0].is_admitted()
        assert breaker.get_state() == "disabled"
        permit.succeed()


async def test_the_first_sign_of_life_of_a_probe_is_told_as_its_success() -> None:
    async with fleet_of(2, probe_timeout_seconds=LEASE_SECONDS) as processes:
        permit = await make_probing(processes)
        token = permit.generation
        permit.progress()
        await settle()
        assert states(processes) == ["closed"] * 2
        await anyio.sleep(3 * LEASE_SECONDS)
        assert await processes[1].is_admitted()
        assert permit.generation == token
        permit.succeed()
        await settle()
        assert states(processes) == ["closed"] * 2


async def test_with_more_successes_to_come_the_first_sign_of_life_leaves_the_next_probe_to_all() -> None:
    async with fleet_of(2, success_threshold=2) as processes:
        permit = await make_probing(processes)
        permit.progress()
        await settle()
        assert await processes[1].is_admitted()
        await settle()
        assert states(processes) == ["closed"] * 2
        permit.fail()
        await settle()
        assert states(processes) == ["closed"] * 2


async def test_a_probe_that_ran_out_of_time_does_not_pass_late_even_while_the_store_is_out_of_reach() -> None:
    async with fleet_of(2, probe_timeout_seconds=LEASE_SECONDS) as processes:
        permit = await make_probing(processes)
        processes[0].store.cut()
        await anyio.sleep(LEASE_SECONDS)
        assert not await processes[0].is_admitted()
        permit.progress()
        permit.succeed()
        await settle()
        assert processes[0].breaker.get_state() == "open"
        assert processes[0].breaker.snapshot().late_total == 1


async def test_the_probe_of_a_process_that_died_delays_recovery_by_its_lease() -> None:
    async with fleet_of(2) as processes:
        permit = await make_probing(processes)
        processes[0].store.cut()
        begun = anyio.current_time()
        while not await processes[1].is_admitted():
            await processes[1].breaker.wait_until_ready()
        assert anyio.current_time() - begun <= LEASE_SECONDS + 0.05
        permit.succeed()


@pytest.mark.parametrize("passed", [True, False])
async def test_the_end_of_a_probe_whose_successor_runs_changes_nothing(*, passed: bool) -> None:
    async with fleet_of(3) as processes:
        first = await make_probing(processes)
        await lose(processes[0])
        second = await processes[1].breaker.acquire()
        assert second.generation > first.generation
        processes[0].store.mend()
        await settle(5)
        first.succeed() if passed else first.fail()
        await settle()
        assert states(processes) == ["half_open"] * 3
        assert not await processes[2].is_admitted()
        second.succeed()
        await settle()
        assert states(processes) == ["closed"] * 3


async def test_a_failure_that_comes_after_another_process_has_closed_opens_nothing() -> None:
    async with fleet_of(3) as processes:
        first = await make_probing(processes)
        await lose(processes[0])
        await processes[1].succeed()
        first.fail()
        await settle()
        assert states(processes) == ["open", "closed", "closed"]
        processes[0].store.mend()
        await settle(5)
        assert states(processes) == ["closed"] * 3


async def test_a_success_that_comes_after_another_process_has_failed_closes_nothing() -> None:
    async with fleet_of(3) as processes:
        first = await make_probing(processes)
        await lose(processes[0])
        await processes[1].fail(1)
        first.succeed()
        processes[0].store.mend()
        await settle(5)
        assert states(processes) == ["open"] * 3


async def test_a_probe_whose_process_was_cut_off_for_less_than_its_lease_still_counts() -> None:
    async with fleet_of(2, probe_timeout_seconds=60) as processes:
        permit = await make_probing(processes)
        processes[0].store.cut()
        await anyio.sleep(LEASE_SECONDS / 3)
        processes[0].store.mend()
        await anyio.sleep(LEASE_SECONDS * 2)
        assert not await processes[1].is_admitted()
        permit.succeed()
        await settle()
        assert states(processes) == ["closed"] * 2


async def test_a_probe_is_renewed_three_times_per_lease_and_no_more_when_it_is_over() -> None:
    async with fleet_of(2, probe_timeout_seconds=60) as processes:
        told = watch(processes[0])
        permit = await make_probing(processes)
        await anyio.sleep(2 * LEASE_SECONDS)
        assert told.count("Renew") == 6
        permit.fail()
        await anyio.sleep(LEASE_SECONDS)
        assert told.count("Renew") == 6


async def test_who_waits_until_it_may_try_is_woken_when_the_lease_of_another_is_over() -> None:
    async with fleet_of(2) as processes:
        permit = await make_probing(processes)
        processes[0].store.cut()
        begun = anyio.current_time()
        assert await processes[1].breaker.wait_until_ready(2 * LEASE_SECONDS)
        assert LEASE_SECONDS - 1 <= anyio.current_time() - begun <= LEASE_SECONDS + 0.05
        permit.ignore()


async def test_who_waits_until_it_may_try_is_woken_by_the_close_of_the_fleet() -> None:
    async with fleet_of(2) as processes:
        permit = await make_probing(processes)
        async with anyio.create_task_group() as tasks:
            ready: list[bool] = []

            async def wait() -> None:
                ready.append(await processes[1].breaker.wait_until_ready())

            tasks.start_soon(wait)
            await settle()
            assert ready == []
            permit.succeed()
        assert ready == [True]


async def test_who_waits_while_somebody_asks_is_woken_by_the_answer() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        processes[0].store.delay_seconds = 0.05
        permits = []

        async def ask() -> None:
            permits.append(await processes[0].breaker.acquire())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await settle(0.01)
            assert not await processes[0].breaker.wait_until_ready(0.01)
            assert permits == []
        permits[0].succeed()
        assert await processes[0].breaker.wait_until_ready(1)


async def test_who_waits_while_somebody_asks_in_vain_may_try_when_the_reset_timeout_has_elapsed() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        processes[0].store.delay_seconds = OPEN_SECONDS
        begun = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(processes[0].is_admitted)
            await settle(0.01)
            assert await processes[0].breaker.wait_until_ready(OPEN_SECONDS)
        assert anyio.current_time() - begun <= OPEN_SECONDS
        with pytest.raises(DownError):
            await processes[0].breaker.call(down)


async def down() -> None:
    raise DownError
