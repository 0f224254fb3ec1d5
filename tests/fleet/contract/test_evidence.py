"""Reports and votes: what opens a fleet, and what must not."""

import pytest

from recloser import CircuitState
from recloser.fleet.store import (
    Code,
    FleetPolicy,
    FleetRule,
    FleetStore,
    HitKind,
    ProbeResult,
    Report,
    Result,
    SharedState,
    Vote,
)
from tests.fleet.contract.kit import (
    ALONE,
    FIVE_FAILURES,
    HALF_FAILED,
    NAME,
    POLICY,
    WINDOW_SECONDS,
    make_open,
    make_probing,
    read,
    report,
    run,
    stores,
)
from tests.fleet.contract.worlds import World

pytestmark = pytest.mark.anyio


def vote(worker: str, **options: object) -> Vote:
    return Vote(**{"name": NAME, "policy": POLICY, "worker": worker, **options})


async def is_open_after(store: FleetStore, *evidence: Report | Vote) -> bool:
    for each in evidence:
        reply = await run(store, each)
    return reply.shared.state is CircuitState.OPEN


async def test_the_failures_of_all_workers_add_up(world: World) -> None:
    async with stores(world) as (store,):
        assert not await is_open_after(store, report("ada", 1, 2, 2), report("bob", 1, 2, 2))
        assert await is_open_after(store, report("ada", 2, 1, 1))


async def test_one_worker_alone_opens_nobody_else_whatever_it_reports(world: World) -> None:
    async with stores(world) as (store,):
        assert not await is_open_after(store, *(report("ada", n, 100, 100) for n in range(1, 20)))
        assert await is_open_after(store, report("bob", 1, 1, 1))


async def test_a_quorum_of_three_takes_three(world: World) -> None:
    policy = FleetPolicy(quorum=3)
    async with stores(world) as (store,):
        two = [report("ada", 1, 9, 9, policy=policy), report("bob", 1, 9, 9, policy=policy)]
        assert not await is_open_after(store, *two, report("ada", 2, 9, 9, policy=policy))
        assert await is_open_after(store, report("eve", 1, 1, 1, policy=policy))


async def test_a_rate_below_its_minimum_of_calls_opens_nothing(world: World) -> None:
    async with stores(world) as (store,):
        few = [report("ada", 1, 10, 10, rule=HALF_FAILED), report("bob", 1, 9, 9, rule=HALF_FAILED)]
        assert not await is_open_after(store, *few)
        assert await is_open_after(store, report("bob", 2, 0, 1, rule=HALF_FAILED))


async def test_a_rate_is_one_of_all_calls_of_all_workers(world: World) -> None:
    async with stores(world) as (store,):
        calls = [report("ada", 1, 99, 100, rule=HALF_FAILED), report("bob", 1, 0, 100, rule=HALF_FAILED)]
        assert not await is_open_after(store, *calls, report("bob", 2, 1, 101, rule=HALF_FAILED))
        assert await is_open_after(store, report("bob", 3, 101, 101, rule=HALF_FAILED))


async def test_a_steady_percent_of_failures_never_opens_a_rate(world: World) -> None:
    async with stores(world) as (store,):
        for second in range(1, 121):
            for worker in ("ada", "bob", "eve"):
                await run(store, report(worker, second, 10, 1_000, rule=HALF_FAILED))
            world.advance(5)
        assert (await read(store)).state is CircuitState.CLOSED


async def test_calls_leave_the_window_and_so_do_workers(world: World) -> None:
    async with stores(world) as (store,):
        await run(store, report("ada", 1, 4, 4))
        world.advance(WINDOW_SECONDS)
        assert not await is_open_after(store, report("bob", 1, 4, 4))
        world.advance(1)
        assert not await is_open_after(store, report("bob", 2, 4, 4))
        assert await is_open_after(store, report("ada", 2, 1, 1))


async def test_what_has_left_the_window_is_deleted(world: World) -> None:
    async with stores(world) as (store,):
        await run(store, report("ada", 1, 1, 1))
        await run(store, report("ada", 1, 1, 1, rule=FleetRule(window_us=10**9)))
        world.advance(2 * WINDOW_SECONDS - 1)
        await run(store, report("bob", 1, 1, 1))
        world.advance(WINDOW_SECONDS)
        await run(store, report("bob", 2, 1, 1))
        kinds = sorted(key.partition(":")[0] + key.rpartition(":")[2] for key in world.stored(NAME, evidence=True))
        assert [kind for kind in kinds if kind[0] == "s"] == ["sada", "sbob"]
        assert len([kind for kind in kinds if kind[0] == "b"]) == 2


async def test_rules_over_different_windows_or_kinds_of_hits_count_apart(world: World) -> None:
    slow = FleetRule(window_us=60_000_000, buckets=10, count=5, hit_kind=HitKind.SLOW_CALLS)
    async with stores(world) as (store,):
        evidence = [report("ada", 1, 3, 3), report("bob", 1, 3, 3, rule=slow), report("ada", 1, 1, 1, rule=slow)]
        assert not await is_open_after(store, *evidence)
        assert await is_open_after(store, report("ada", 2, 1, 1, rule=slow))


async def test_a_report_that_comes_again_counts_once(world: World) -> None:
    async with stores(world) as (store,):
        codes = [(await run(store, report("ada", n, 4, 4))).code for n in (1, 1, 2, 1)]
        assert codes == [Code.DONE, Code.DUPLICATE, Code.DONE, Code.DUPLICATE]
        buckets = [value for key, value in world.stored(NAME, evidence=True).items() if key.startswith("b:")]
        assert buckets == ["8 8"]


async def test_a_report_that_ran_late_counts_nothing(world: World) -> None:
    async with stores(world) as (store,):
        now = (await run(store, report("ada", 1, 9, 9))).now_us
        world.advance(1)
        assert (await run(store, report("bob", 1, 9, 9, not_after_us=now))).code is Code.TOO_LATE
        assert (await run(store, vote("bob", not_after_us=now))).code is Code.TOO_LATE
        assert (await read(store)).state is CircuitState.CLOSED


async def test_failures_of_an_earlier_closed_period_count_nothing(world: World) -> None:
    async with stores(world) as (store,):
        token = (await make_probing(world, store)).generation
        closed = (await run(store, Result(name=NAME, policy=ALONE, token=token, result=ProbeResult.SUCCEEDED))).shared
        for late in (report("ada", 1, 9, 9, policy=ALONE), vote("ada", policy=ALONE)):
            assert (await run(store, late)).code is Code.REFUSED
        timely = report("ada", 1, 9, 9, policy=ALONE, closed_generation=closed.generation, known=closed)
        assert await is_open_after(store, timely)


async def test_an_open_breaker_takes_no_evidence(world: World) -> None:
    async with stores(world) as (store,):
        opened = await make_open(store)
        assert (await run(store, report("bob", 1, 9, 9))).code is Code.REFUSED
        assert (await run(store, vote("bob", closed_generation=opened.generation))).code is Code.REFUSED


async def test_opening_and_closing_forget_the_evidence(world: World) -> None:
    async with stores(world) as (store,):
        await run(store, report("ada", 1, 4, 4))
        await make_open(store)
        assert world.stored(NAME, evidence=True) == {}


async def test_the_second_vote_opens(world: World) -> None:
    async with stores(world) as (store,):
        assert not await is_open_after(store, vote("ada"), vote("ada"), vote("ada"))
        assert await is_open_after(store, vote("bob"))


async def test_votes_more_than_the_reset_timeout_apart_do_not_meet(world: World) -> None:
    async with stores(world) as (store,):
        await run(store, vote("ada"))
        world.advance(10)
        assert not await is_open_after(store, vote("bob"))
        world.advance(9.999_999)
        assert await is_open_after(store, vote("ada"))


async def test_votes_meet_within_a_second_although_there_is_no_open_time(world: World) -> None:
    policy = FleetPolicy(open_us=0)
    async with stores(world) as (store,):
        await run(store, vote("ada", policy=policy))
        world.advance(0.9)
        assert await is_open_after(store, vote("bob", policy=policy))


async def test_the_loss_of_the_evidence_loses_counts_and_nothing_else(world: World) -> None:
    async with stores(world) as (store,):
        await run(store, report("ada", 1, 4, 4))
        world.evict(NAME, evidence=True)
        assert not await is_open_after(store, report("bob", 1, 4, 4))
        assert await is_open_after(store, report("ada", 2, 1, 1))


async def test_counts_are_forgotten_when_the_clock_steps_back(world: World) -> None:
    async with stores(world) as (store,):
        await run(store, report("ada", 1, 4, 4))
        world.advance(-3_600)
        assert not await is_open_after(store, report("bob", 1, 4, 4))
        assert await is_open_after(store, report("ada", 2, 1, 1))


async def test_an_opening_says_how_long_and_is_the_first_trip(world: World) -> None:
    async with stores(world) as (store,):
        reply = await run(store, report("ada", 1, 9, 9, policy=ALONE))
        assert reply.shared == SharedState(CircuitState.OPEN, reply.now_us + 1, 10_000_000, trips=1)


async def test_workers_with_different_policies_are_each_judged_by_their_own(world: World) -> None:
    async with stores(world) as (store,):
        assert not await is_open_after(store, report("ada", 1, 3, 3))
        strict = FleetRule(window_us=60_000_000, buckets=10, count=4)
        assert strict.tag == FIVE_FAILURES.tag
        assert await is_open_after(store, report("bob", 1, 1, 1, rule=strict))


async def test_a_batch_is_answered_in_order(world: World) -> None:
    async with stores(world) as (store,):
        batch = [Vote(name=f"{n}", policy=ALONE if n % 2 else POLICY, worker="ada") for n in range(20)]
        replies = await store.execute(batch)
        assert [reply.shared.state is CircuitState.OPEN for reply in replies] == [bool(n % 2) for n in range(20)]
