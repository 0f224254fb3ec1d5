"""Each kind of call can be the probe that the fleet grants, except for those that must not wait."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import anyio
import pytest

from recloser import CircuitBreaker, CircuitBreakerOpenError
from tests.fleet.breakers.kit import answer, fleet_of, make_probing, make_ready, settle, states

pytestmark = pytest.mark.anyio

Kind = Callable[[CircuitBreaker], Awaitable[object]]


async def by_call(breaker: CircuitBreaker) -> object:
    return await breaker.call(answer)


async def by_decorator(breaker: CircuitBreaker) -> object:
    return await breaker(answer)()


async def by_generator(breaker: CircuitBreaker) -> object:
    @breaker
    async def numbers() -> AsyncGenerator[int]:
        yield 1
        yield 2

    async with aclosing(numbers()) as stream:
        return [number async for number in stream]


async def by_guard(breaker: CircuitBreaker) -> object:
    async with breaker.guard() as permit:
        return permit.is_probe


async def by_acquire(breaker: CircuitBreaker) -> object:
    with await breaker.acquire() as permit:
        return permit.is_probe


async def by_try_acquire(breaker: CircuitBreaker) -> object:
    permit = await breaker.try_acquire()
    if permit is None:
        raise CircuitBreakerOpenError(breaker.name, None, breaker.state, 0)
    with permit:
        return permit.is_probe


async def by_thread(breaker: CircuitBreaker) -> object:
    return await breaker.call_in_thread(int, "7")


KINDS = [by_call, by_decorator, by_generator, by_guard, by_acquire, by_try_acquire]


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_call_runs_the_probe(kind: Kind) -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        assert await kind(processes[0].breaker) in ("answer", [1, 2], True)
        assert processes[0].breaker.snapshot().probe_total == 1
        await settle()
        assert states(processes) == ["closed"] * 2


@pytest.mark.parametrize("kind", [*KINDS, by_thread])
async def test_each_kind_of_call_is_rejected_while_another_process_tries(kind: Kind) -> None:
    async with fleet_of(2) as processes:
        permit = await make_probing(processes)
        with pytest.raises(CircuitBreakerOpenError):
            await kind(processes[1].breaker)
        permit.succeed()


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_call_is_rejected_where_another_process_was_faster(kind: Kind) -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        processes[1].store.hold_messages = True
        permit = await processes[0].breaker.acquire()
        with pytest.raises(CircuitBreakerOpenError) as caught:
            await kind(processes[1].breaker)
        assert caught.value.state == "half_open"
        permit.succeed()


async def test_a_hook_that_must_not_wait_takes_no_probe_while_the_fleet_leads() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        before = processes[0].fleet.status()["store_operations"]
        assert processes[0].breaker.try_acquire_nowait() is None
        assert processes[0].breaker.snapshot().rejected_total == 1
        assert processes[0].fleet.status()["store_operations"] == before
        assert states(processes) == ["open"] * 2


async def test_a_hook_takes_the_probe_of_a_worker_that_opened_alone() -> None:
    async with fleet_of(2) as (one, _):
        await one.fail()
        await anyio.sleep(10)
        permit = one.breaker.try_acquire_nowait()
        assert permit is not None
        assert permit.is_probe
        permit.succeed()
        assert one.state == "closed"
