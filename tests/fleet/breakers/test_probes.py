"""The probe of a fleet: there is exactly one, and its outcome counts for all."""

import anyio
import pytest

from recloser import CircuitBreakerOpenError, CircuitState, ExponentialBackoff
from recloser.events import Trigger
from tests.fleet.breakers.kit import (
    NAME,
    OPEN_SECONDS,
    SOON_SECONDS,
    Dependency,
    DownError,
    Process,
    answer,
    fail,
    fleet_of,
    make_probing,
    make_ready,
    settle,
    states,
)

pytestmark = pytest.mark.anyio

CALLERS = 25


class Callers:
    """Many callers in each process, and what became of them."""

    def __init__(self) -> None:
        self.errors: list[CircuitBreakerOpenError] = []
        self.answers: list[str] = []

    async def call(self, one: Process, dependency: Dependency) -> None:
        try:
            self.answers.append(await one.breaker.call(dependency.call))
        except CircuitBreakerOpenError as error:
            self.errors.append(error)


async def test_exactly_one_probe_goes_through_in_the_whole_fleet() -> None:
    async with fleet_of(4) as processes:
        for round_of_probes in range(1, 6):
            await make_ready(processes)
            dependency, callers = Dependency(), Callers()
            async with anyio.create_task_group() as tasks:
                for one in processes:
                    for _ in range(CALLERS):
                        tasks.start_soon(callers.call, one, dependency)
                await settle()
                assert dependency.calls == 1
                assert len(callers.errors) == 4 * CALLERS - 1
                assert states(processes) == ["half_open"] * 4
                assert [one.breaker.retry_after for one in processes] == [None] * 4
                dependency.end()
            await settle()
            assert states(processes) == ["closed"] * 4
            assert (dependency.calls, callers.answers) == (1, ["answer"])
            assert sum(one.breaker.snapshot().probe_total for one in processes) == round_of_probes


async def test_those_who_are_rejected_while_another_process_tries_are_told_half_open() -> None:
    async with fleet_of(3) as processes:
        permit = await make_probing(processes)
        for one in processes:
            with pytest.raises(CircuitBreakerOpenError) as caught:
                await one.breaker.call(answer)
            assert (caught.value.state, caught.value.retry_after) == (CircuitState.HALF_OPEN, None)
        permit.succeed()


async def test_who_asks_while_another_caller_of_the_process_asks_is_rejected_without_asking() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        processes[0].store.delay_seconds = 0.05
        before = processes[0].fleet.status()["store_operations"]
        async with anyio.create_task_group() as tasks:
            callers, dependency = Callers(), Dependency()
            for _ in range(CALLERS):
                tasks.start_soon(callers.call, processes[0], dependency)
            await settle(0.01)
            assert len(callers.errors) == CALLERS - 1
            assert {error.state for error in callers.errors} == {CircuitState.OPEN}
            assert {error.retry_after for error in callers.errors} == {0.0}
            await settle(0.05)
            assert processes[0].fleet.status()["store_operations"] - before <= 2
            dependency.end()


async def test_a_probe_that_succeeds_closes_all_in_a_new_generation() -> None:
    async with fleet_of(3) as processes:
        permit = await make_probing(processes)
        before = [one.breaker.generation for one in processes]
        permit.succeed()
        await settle()
        assert states(processes) == ["closed"] * 3
        assert all(one.breaker.generation > old for one, old in zip(processes, before, strict=True))
        assert [one.breaker.failure_count for one in processes] == [0] * 3
        assert processes[1].breaker.snapshot().cause.trigger == "fleet_closed"


async def test_a_probe_that_fails_opens_all_for_the_longer_time_of_the_next_attempt() -> None:
    backoff = ExponentialBackoff(initial_seconds=OPEN_SECONDS, multiplier=2, maximum_seconds=60, jitter=0)
    async with fleet_of(3, reset_timeout_seconds=backoff) as processes:
        await make_ready(processes)
        for attempt, trying in enumerate((processes[2], processes[1], processes[2], processes[0]), start=2):
            with pytest.raises(DownError):
                await trying.breaker.call(fail)
            await settle()
            expected = min(60, OPEN_SECONDS * 2 ** (attempt - 1)) - SOON_SECONDS
            assert states(processes) == ["open"] * 3
            assert [one.breaker.retry_after for one in processes] == [pytest.approx(expected, abs=0.01)] * 3
            assert [one.breaker.snapshot().attempt for one in processes] == [attempt] * 3
            await anyio.sleep(expected + 0.01)


async def test_after_closing_the_reset_timeout_begins_anew_at_the_first_attempt() -> None:
    backoff = ExponentialBackoff(initial_seconds=OPEN_SECONDS, multiplier=2, maximum_seconds=60, jitter=0)
    async with fleet_of(2, reset_timeout_seconds=backoff) as processes:
        await make_ready(processes)
        await processes[0].fail(1)
        await anyio.sleep(2 * OPEN_SECONDS)
        await processes[1].succeed()
        await settle()
        await make_ready(processes)
        assert [one.breaker.snapshot().attempt for one in processes] == [1, 1]


async def test_with_two_successes_to_close_the_lease_is_handed_on() -> None:
    async with fleet_of(3, success_threshold=2) as processes:
        first = await make_probing(processes)
        first.succeed()
        await settle()
        assert states(processes) == ["half_open"] * 3
        second = await processes[1].breaker.acquire()
        assert second.is_probe
        assert second.generation > first.generation
        await settle()
        assert not await processes[0].is_admitted()
        second.succeed()
        await settle()
        assert states(processes) == ["closed"] * 3


async def test_with_two_successes_to_close_one_process_may_make_both_probes() -> None:
    async with fleet_of(2, success_threshold=2) as processes:
        await make_ready(processes)
        for _ in range(2):
            await processes[0].succeed()
            await settle()
        assert states(processes) == ["closed"] * 2


async def test_a_success_before_a_failure_does_not_close() -> None:
    async with fleet_of(2, success_threshold=2) as processes:
        await make_ready(processes)
        await processes[0].succeed()
        await settle()
        await processes[1].fail(1)
        await settle()
        assert states(processes) == ["open"] * 2
        await anyio.sleep(OPEN_SECONDS)
        await processes[0].succeed()
        await settle()
        assert states(processes) == ["half_open"] * 2


async def test_the_generation_of_a_probe_is_its_token_which_grows() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        tokens = []
        for one in (*processes, *processes):
            permit = await one.breaker.acquire()
            tokens.append(permit.generation)
            await settle()
            assert processes[0].fleet.status()["breakers"][NAME]["generation"] == permit.generation
            permit.ignore()
            await settle()
        assert tokens == sorted(set(tokens))
        assert tokens[0] > processes[0].breaker.generation


async def test_a_breaker_that_listens_is_told_of_the_probe_and_of_what_the_fleet_did() -> None:
    told: list[str] = []
    async with fleet_of(2) as processes:
        processes[0].breaker.subscribe(lambda event: told.append(type(event).__name__))
        await make_ready(processes)
        told.clear()
        await processes[0].succeed()
        await settle()
        assert told == ["StateChanged", "ProbeAdmitted", "CallSucceeded", "StateChanged"]


async def test_a_call_from_inside_a_probe_belongs_to_it() -> None:
    async def nested(one: Process) -> str:
        await settle()
        return await one.breaker.call(answer)

    async with fleet_of(2) as processes:
        await make_ready(processes)
        assert await processes[0].breaker.call(nested, processes[0]) == "answer"
        await settle()
        assert states(processes) == ["closed"] * 2
        assert processes[0].breaker.snapshot().probe_total == 1


async def test_a_fleet_alone_closes_as_a_breaker_does() -> None:
    async with fleet_of(1, quorum=1) as (one,):
        await one.fail()
        await anyio.sleep(OPEN_SECONDS + 1)
        await one.succeed()
        assert one.state == "closed"
        await settle()
        assert one.fleet.status()["breakers"][NAME]["state"] == "closed"


async def test_shadow_mode_lets_all_through_and_makes_probes() -> None:
    async with fleet_of(2, shadow=True) as processes:
        await make_ready(processes)
        dependency = Dependency()
        async with anyio.create_task_group() as tasks:
            for one in processes:
                for _ in range(3):
                    tasks.start_soon(one.breaker.call, dependency.call)
            await settle()
            assert dependency.running == 6
            assert sum(one.breaker.snapshot().probe_total for one in processes) == 1
            assert sum(one.breaker.snapshot().shadow_calls.would_reject for one in processes) == 5
            dependency.end()
        await settle()
        assert sum(one.breaker.snapshot().shadow_calls.succeeded for one in processes) == 5
        assert states(processes) == ["closed"] * 2


async def test_who_waits_for_the_probe_of_another_process_says_so() -> None:
    async with fleet_of(2) as processes:
        permit = await make_probing(processes)
        assert "it closes at 1 and opens again on a failure" in processes[0].breaker.explain()
        assert "it closes or opens as the fleet does" in processes[1].breaker.explain()
        permit.succeed()


async def test_who_follows_the_fleet_tells_of_one_outage_and_of_no_probes_that_others_made() -> None:
    async with fleet_of(3) as processes:
        permit = await make_probing(processes)
        permit.fail()
        await settle()
        own, _, other = (one.breaker.outage for one in processes)
        assert own is not None
        assert other is not None
        assert (own.probes_failed, own.cause.trigger) == (1, Trigger.TRIPPED)
        assert (other.probes, other.errors, other.cause.trigger) == (0, (), Trigger.FLEET_OPENED)
        assert "the fleet opened" in processes[2].breaker.explain()
        assert "failed" not in processes[2].breaker.explain()
        await anyio.sleep(OPEN_SECONDS)
        (await processes[0].breaker.acquire()).succeed()
        await settle()
        for one in processes:
            assert one.breaker.outage is None
            [ended] = one.breaker.outages
            assert ended.ended_by is not None
