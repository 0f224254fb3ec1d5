"""Probes: one at a time, fenced by their tokens, never stuck."""

import pytest

from recloser import CircuitState
from recloser.fleet.store import Acquire, Code, FleetPolicy, ProbeResult, Renew, Result, SharedState
from tests.fleet.contract.kit import (
    ALONE,
    LEASE_SECONDS,
    NAME,
    OPEN_SECONDS,
    acquire,
    make_open,
    make_probing,
    read,
    run,
    stores,
)
from tests.fleet.contract.worlds import World

pytestmark = pytest.mark.anyio

THREE_PASS = FleetPolicy(open_us=10_000_000, max_open_us=60_000_000, lease_us=2_000_000, quorum=1, success_threshold=3)


def ask(**options: object) -> Acquire:
    return Acquire(name=NAME, policy=ALONE, **options)


def tell(token: int, result: ProbeResult, policy: FleetPolicy = ALONE) -> Result:
    return Result(name=NAME, policy=policy, token=token, result=result)


async def test_a_closed_breaker_grants_no_probe(world: World) -> None:
    async with stores(world) as (store,):
        assert (await run(store, ask())).code is Code.REFUSED


async def test_no_probe_is_granted_before_the_reset_timeout_has_elapsed(world: World) -> None:
    async with stores(world) as (store,):
        await make_open(store)
        world.advance(OPEN_SECONDS - 0.000_001)
        reply = await run(store, ask())
        assert (reply.code, reply.shared.remaining_us) == (Code.REFUSED, 1)


async def test_one_of_many_who_ask_at_once_gets_the_probe(world: World) -> None:
    async with stores(world, 3) as workers:
        await make_open(workers[0])
        world.advance(OPEN_SECONDS)
        codes = [(await run(worker, ask())).code for worker in workers]
        assert codes == [Code.DONE, Code.REFUSED, Code.REFUSED]


async def test_the_author_of_a_probe_is_the_worker_that_makes_it(world: World) -> None:
    async with stores(world) as (store,):
        await make_open(store)
        world.advance(OPEN_SECONDS)
        reply = await run(store, ask(worker="ada-1"))
        assert (reply.code, reply.shared.author) == (Code.DONE, "ada-1")
        assert (await read(store)).author == "ada-1"
        assert (await run(store, tell(reply.shared.generation, ProbeResult.RELEASED))).shared.author == ""


@pytest.mark.parametrize("worker", ["a b", "x" * 33, "|", 7])
def test_a_worker_that_can_not_be_an_author_is_refused(worker: object) -> None:
    with pytest.raises((TypeError, ValueError), match="worker must be"):
        ask(worker=worker)


async def test_a_dead_prober_delays_recovery_by_its_lease_whoever_polls_meanwhile(world: World) -> None:
    async with stores(world) as (store,):
        first = await make_probing(world, store)
        for _ in range(20):
            world.advance(LEASE_SECONDS / 20 - 0.000_001)
            assert (await run(store, ask())).code is Code.REFUSED
        world.advance(0.000_020)
        assert (await acquire(store)).generation > first.generation


async def test_a_renewed_lease_lasts_from_then_on(world: World) -> None:
    async with stores(world) as (store,):
        token = (await make_probing(world, store)).generation
        world.advance(LEASE_SECONDS - 0.1)
        reply = await run(store, Renew(name=NAME, policy=ALONE, token=token))
        assert (reply.code, reply.shared.remaining_us) == (Code.DONE, 2_000_000)
        world.advance(LEASE_SECONDS - 0.1)
        assert (await run(store, ask())).code is Code.REFUSED


async def test_an_old_token_renews_nothing(world: World) -> None:
    async with stores(world) as (store,):
        token = (await make_probing(world, store)).generation
        world.advance(LEASE_SECONDS)
        await acquire(store)
        assert (await run(store, Renew(name=NAME, policy=ALONE, token=token))).code is Code.REFUSED


@pytest.mark.parametrize("result", ProbeResult)
async def test_the_result_of_a_prober_that_lost_its_lease_changes_nothing(world: World, result: ProbeResult) -> None:
    async with stores(world) as (store,):
        old = await make_probing(world, store)
        world.advance(LEASE_SECONDS)
        new = await acquire(store)
        assert (await run(store, tell(old.generation, result))).code is Code.REFUSED
        assert (await read(store, policy=ALONE)) == new


@pytest.mark.parametrize("result", ProbeResult)
async def test_a_result_counts_once(world: World, result: ProbeResult) -> None:
    async with stores(world) as (store,):
        token = (await make_probing(world, store)).generation
        codes = [(await run(store, tell(token, result))).code for _ in range(2)]
        assert codes == [Code.DONE, Code.REFUSED]


async def test_a_success_closes(world: World) -> None:
    async with stores(world) as (store,):
        token = (await make_probing(world, store)).generation
        shared = (await run(store, tell(token, ProbeResult.SUCCEEDED))).shared
        assert (shared.state, shared.trips, shared.remaining_us) == (CircuitState.CLOSED, 0, 0)
        assert shared.generation > token


async def test_each_failure_opens_for_longer_up_to_the_maximum(world: World) -> None:
    async with stores(world) as (store,):
        await make_open(store)
        lengths = []
        for _ in range(4):
            world.advance(60)
            token = (await acquire(store)).generation
            lengths.append((await run(store, tell(token, ProbeResult.FAILED))).shared.remaining_us)
        assert lengths == [20_000_000, 40_000_000, 60_000_000, 60_000_000]


async def test_a_reset_timeout_beyond_all_numbers_is_the_maximum(world: World) -> None:
    policy = FleetPolicy(open_us=10_000_000, max_open_us=60_000_000, multiplier=1e308, quorum=1)
    async with stores(world) as (store,):
        await make_open(store)
        for _ in range(2):
            world.advance(60)
            token = (await acquire(store)).generation
            shared = (await run(store, tell(token, ProbeResult.FAILED, policy))).shared
        assert shared.remaining_us == 60_000_000


async def test_a_released_probe_is_anybodys_at_once(world: World) -> None:
    async with stores(world, 2) as (one, other):
        token = (await make_probing(world, one)).generation
        shared = (await run(one, tell(token, ProbeResult.RELEASED))).shared
        assert (shared.state, shared.remaining_us, shared.trips) == (CircuitState.OPEN, 0, 1)
        assert (await acquire(other)).generation > shared.generation


async def test_as_many_probes_as_the_threshold_must_succeed_and_each_hands_the_lease_on(world: World) -> None:
    async with stores(world, 2) as workers:
        await make_open(workers[0])
        world.advance(OPEN_SECONDS)
        seen = []
        for worker in (workers[0], workers[1], workers[0]):
            token = (await acquire(worker, THREE_PASS)).generation
            shared = (await run(worker, tell(token, ProbeResult.SUCCEEDED, THREE_PASS))).shared
            seen.append((shared.state, shared.passed, shared.remaining_us))
        assert seen == [(CircuitState.HALF_OPEN, 1, 0), (CircuitState.HALF_OPEN, 2, 0), (CircuitState.CLOSED, 0, 0)]


async def test_a_released_probe_forgets_no_success_and_a_failed_one_forgets_all(world: World) -> None:
    async with stores(world) as (store,):
        token = (await make_probing(world, store, THREE_PASS)).generation
        await run(store, tell(token, ProbeResult.SUCCEEDED, THREE_PASS))
        token = (await acquire(store, THREE_PASS)).generation
        assert (await run(store, tell(token, ProbeResult.RELEASED, THREE_PASS))).shared.passed == 1
        token = (await acquire(store, THREE_PASS)).generation
        assert (await run(store, tell(token, ProbeResult.FAILED, THREE_PASS))).shared.passed == 0


async def test_a_request_that_ran_late_grants_nothing(world: World) -> None:
    async with stores(world) as (store,):
        await make_open(store)
        world.advance(OPEN_SECONDS)
        now = (await run(store, ask(not_after_us=1))).now_us
        assert (await run(store, ask(not_after_us=now - 1))).code is Code.TOO_LATE
        assert (await read(store)).state is CircuitState.OPEN
        assert (await run(store, ask(not_after_us=now))).code is Code.DONE


async def test_a_late_renewal_extends_nothing(world: World) -> None:
    async with stores(world) as (store,):
        token = (await make_probing(world, store)).generation
        world.advance(1)
        late = Renew(name=NAME, policy=ALONE, token=token, not_after_us=1)
        assert (await run(store, late)).code is Code.TOO_LATE
        assert (await read(store)).remaining_us == 1_000_000


async def test_two_who_know_an_open_breaker_that_the_server_forgot_share_one_probe(world: World) -> None:
    async with stores(world, 2) as (one, other):
        known = (await make_open(one)).later(10_000_000)
        world.advance(OPEN_SECONDS + 61)
        assert world.stored(NAME) == {}
        await acquire(one, known=known)
        assert (await run(other, ask(known=known))).code is Code.REFUSED


async def test_generations_grow_although_the_clock_steps_back(world: World) -> None:
    async with stores(world) as (store,):
        known = SharedState()
        generations = []
        for _ in range(4):
            known = await acquire_or_open(store, known)
            generations.append(known.generation)
            world.flush()
            world.advance(-3_600)
        assert generations == sorted(set(generations))


async def acquire_or_open(store: object, known: SharedState) -> SharedState:
    if known.state is CircuitState.CLOSED:
        return await make_open(store)
    return await acquire(store, known=known.later(60_000_000))
