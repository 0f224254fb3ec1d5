"""A server gets data that it has lost from the first caller, and drops data that is invalid."""

import dataclasses

import pytest

from recloser import CircuitState
from recloser.fleet.store import (
    OBSERVER,
    Acquire,
    Action,
    AnyOperation,
    Code,
    Control,
    FleetPolicy,
    ProbeResult,
    Renew,
    Result,
    SharedState,
    Sync,
    Vote,
)
from tests.fleet.contract.kit import (
    ALONE,
    LEASE_SECONDS,
    NAME,
    OPEN_SECONDS,
    POLICY,
    acquire,
    make_open,
    make_probing,
    next_message,
    read,
    report,
    run,
    stores,
)
from tests.fleet.contract.worlds import START_US, World

pytestmark = pytest.mark.anyio

DAY_SECONDS = 24 * 3_600
RECORD = {
    "v": "1",
    "state": "open",
    "generation": str(START_US),
    "ends": str(START_US + 5_000_000),
    "trips": "1",
    "passed": "0",
    "author": "",
    "reason": "",
}
HUGE = "9" * 400
RESULT = Result(name=NAME, policy=ALONE, token=START_US, result=ProbeResult.SUCCEEDED)


async def close(world: World, store: object) -> SharedState:
    token = (await make_probing(world, store)).generation
    return (await run(store, Result(name=NAME, policy=ALONE, token=token, result=ProbeResult.SUCCEEDED))).shared


async def test_an_absent_record_is_a_closed_breaker_and_reading_stores_nothing(world: World) -> None:
    async with stores(world) as (store,):
        assert await read(store) == SharedState()
        assert world.stored(NAME) == {}


@pytest.mark.parametrize("lose", ["flush", "evict"])
async def test_a_lost_open_state_is_restored_by_the_first_who_knows_it(world: World, lose: str) -> None:
    async with stores(world, 2) as (one, other):
        opened = await make_open(one)
        world.flush() if lose == "flush" else world.evict(NAME, record=True)
        assert await read(one, opened.later(1_000_000)) == dataclasses.replace(opened, remaining_us=9_000_000)
        assert (await read(other)).generation == opened.generation


async def test_the_others_are_told_of_a_state_that_was_restored(world: World) -> None:
    async with stores(world, 2) as (one, other):
        opened = await make_open(one)
        world.flush()
        async with other.subscribe() as messages:
            await read(one, opened)
            assert (await next_message(messages)).shared == opened


async def test_a_lost_lease_is_restored_by_its_prober_whose_result_then_counts(world: World) -> None:
    async with stores(world, 2) as (one, other):
        probing = await make_probing(world, one)
        world.flush()
        renewed = await run(one, Renew(name=NAME, policy=ALONE, known=probing, token=probing.generation))
        assert renewed.code is Code.DONE
        assert (await run(other, Acquire(name=NAME, policy=ALONE))).code is Code.REFUSED
        result = Result(name=NAME, policy=ALONE, token=probing.generation, result=ProbeResult.SUCCEEDED)
        assert (await run(one, result)).shared.state is CircuitState.CLOSED


@pytest.mark.parametrize("late", [Renew(name=NAME, policy=ALONE, token=START_US), RESULT])
async def test_a_lease_that_is_over_and_forgotten_is_neither_renewed_nor_settled(world: World, late: Renew) -> None:
    async with stores(world) as (store,):
        over = SharedState(CircuitState.HALF_OPEN, START_US, 0)
        assert (await run(store, dataclasses.replace(late, known=over))).code is Code.REFUSED
        assert world.stored(NAME) == {}


async def test_a_stale_copy_is_overruled_by_the_first_who_knows_better(world: World) -> None:
    async with stores(world, 2) as (one, other):
        await make_open(one)
        stale = world.backup()
        world.advance(OPEN_SECONDS)
        token = (await acquire(one)).generation
        closed = (await run(one, Result(name=NAME, policy=ALONE, token=token, result=ProbeResult.SUCCEEDED))).shared
        world.restore(stale)
        assert (await read(one, closed)) == closed
        assert (await read(other)).state is CircuitState.CLOSED


async def test_a_known_state_whose_time_is_over_is_believed_and_not_stored(world: World) -> None:
    async with stores(world) as (store,):
        over = SharedState(CircuitState.OPEN, START_US, 0, trips=3)
        assert await read(store, over) == over
        assert world.stored(NAME) == {}
        assert (await acquire(store, known=over)).trips == 3


async def test_a_known_closed_state_is_not_stored_where_nothing_is(world: World) -> None:
    async with stores(world) as (store,):
        known = SharedState(generation=START_US)
        assert await read(store, known) == known
        assert world.stored(NAME) == {}


async def test_an_older_known_state_changes_nothing(world: World) -> None:
    async with stores(world) as (store,):
        closed = await close(world, store)
        old = SharedState(CircuitState.OPEN, closed.generation - 1, 5_000_000)
        assert await read(store, old) == closed


async def test_known_times_are_cut_down_to_the_policy(world: World) -> None:
    async with stores(world) as (store,):
        opened = SharedState(CircuitState.OPEN, START_US, 3_600_000_000)
        assert (await read(store, opened, ALONE)).remaining_us == ALONE.max_open_us
        probing = SharedState(CircuitState.HALF_OPEN, START_US + 1, 3_600_000_000)
        assert (await read(store, probing, ALONE)).remaining_us == ALONE.lease_us


async def test_a_server_clock_that_steps_back_delays_the_probe_by_the_maximum_at_most(world: World) -> None:
    async with stores(world) as (store,):
        await make_open(store)
        world.advance(-3_600)
        assert (await read(store, policy=ALONE)).remaining_us == ALONE.max_open_us
        world.advance(ALONE.max_open_us / 1e6)
        await acquire(store)


async def test_a_lease_survives_a_clock_that_steps_back_by_its_length_at_most(world: World) -> None:
    async with stores(world) as (store,):
        await make_probing(world, store)
        world.advance(-3_600)
        assert (await run(store, Acquire(name=NAME, policy=ALONE))).code is Code.REFUSED
        world.advance(LEASE_SECONDS)
        await acquire(store)


async def test_an_observer_cuts_nothing_down(world: World) -> None:
    patient = FleetPolicy(open_us=3_600_000_000, max_open_us=3_600_000_000, quorum=1)
    async with stores(world) as (store,):
        opened = await make_open(store, patient)
        assert (await read(store, policy=OBSERVER)) == opened


async def test_a_generation_far_in_the_future_is_believed_of_nobody(world: World) -> None:
    async with stores(world) as (store,):
        opened = await make_open(store)
        poison = SharedState(CircuitState.CLOSED, START_US + 2 * DAY_SECONDS * 1_000_000)
        reply = await run(store, Sync(name=NAME, policy=POLICY, known=poison))
        assert (reply.code, reply.shared) == (Code.IMPLAUSIBLE, opened)


async def test_a_generation_within_a_day_is_believed(world: World) -> None:
    async with stores(world) as (store,):
        ahead = SharedState(CircuitState.OPEN, START_US + DAY_SECONDS * 1_000_000, 1_000_000)
        assert await read(store, ahead) == ahead


async def test_forgotten_scripts_are_sent_again_between_any_two_operations(world: World) -> None:
    async with stores(world) as (store,):
        world.forget_scripts()
        await make_open(store)
        world.advance(OPEN_SECONDS)
        world.forget_scripts()
        token = (await acquire(store)).generation
        world.forget_scripts()
        batch = [Result(name=NAME, policy=ALONE, token=token, result=ProbeResult.SUCCEEDED), Sync(name="other")]
        assert [reply.code for reply in await store.execute(batch)] == [Code.DONE, Code.DONE]


async def test_records_vanish_a_minute_after_their_time_and_refusals_prolong_nothing(world: World) -> None:
    async with stores(world) as (store,):
        await make_open(store)
        assert world.lifetime(NAME) == pytest.approx(OPEN_SECONDS + 60, abs=1)
        world.advance(5)
        await run(store, Acquire(name=NAME, policy=ALONE))
        await run(store, report("bob", 1, 1, 1))
        assert world.lifetime(NAME) == pytest.approx(OPEN_SECONDS + 55, abs=1)
        world.advance(OPEN_SECONDS + 55)
        assert world.stored(NAME) == {}


async def test_a_closed_record_vanishes_after_a_minute(world: World) -> None:
    async with stores(world) as (store,):
        await close(world, store)
        assert world.lifetime(NAME) == pytest.approx(60, abs=1)


async def test_evidence_vanishes_after_twice_its_longest_window(world: World) -> None:
    async with stores(world) as (store,):
        await run(store, report("ada", 1, 1, 1))
        assert world.lifetime(NAME, evidence=True) == pytest.approx(120, abs=1)
        await run(store, Vote(name=NAME, policy=POLICY, worker="ada"))
        assert world.lifetime(NAME, evidence=True) == pytest.approx(120, abs=1)


@pytest.mark.parametrize(
    "field",
    [
        {"state": "melted"},
        {"state": "OPEN"},
        {"generation": HUGE},
        {"generation": "-1"},
        {"generation": "1e15"},
        {"generation": "nan"},
        {"generation": "0x10"},
        {"generation": " 12"},
        {"generation": str(START_US + 2 * DAY_SECONDS * 1_000_000)},
        {"ends": HUGE},
        {"ends": "inf"},
        {"ends": "9007199254740992"},
        {"trips": "1001"},
        {"passed": "-5"},
        {"author": "a|b"},
        {"reason": "x\ny"},
        {"reason": "é"},
        {"reason": "x" * 2_401},
        {"v": None},
        {"generation": None},
        {"reason": None},
    ],
)
async def test_an_impossible_record_is_dropped_and_told_of_once(world: World, field: dict[str, str | None]) -> None:
    fields = {key: value for key, value in {**RECORD, **field}.items() if value is not None}
    async with stores(world) as (store,):
        world.put(NAME, fields)
        reply = await run(store, Acquire(name=NAME, policy=ALONE, known=SharedState(generation=7)))
        assert (reply.code, reply.shared) == (Code.DAMAGED, SharedState(generation=7))
        assert reply.problem == "the record held impossible values; dropped"
        assert await read(store) == SharedState()


async def test_an_end_beyond_all_plans_holds_nothing_open(world: World) -> None:
    async with stores(world) as (store,):
        world.put(NAME, {**RECORD, "ends": "9007199254740990"})
        assert (await read(store, policy=ALONE)).remaining_us == ALONE.max_open_us


async def test_an_open_record_without_an_end_is_over(world: World) -> None:
    async with stores(world) as (store,):
        world.put(NAME, {**RECORD, "ends": "0"})
        await acquire(store)


async def test_a_record_of_another_type_is_dropped(world: World) -> None:
    async with stores(world) as (store,):
        world.put(NAME, "not a hash")
        reply = await run(store, Sync(name=NAME))
        assert (reply.code, reply.problem) == (Code.DAMAGED, "the record was of another type than a hash; dropped")
        assert await read(store) == SharedState()


@pytest.mark.parametrize("version", ["2", "", HUGE])
async def test_a_record_of_another_version_is_left_alone(world: World, version: str) -> None:
    fields = {"v": version, "secret": "x"}
    async with stores(world) as (store,):
        world.put(NAME, fields)
        for operation in (Sync(name=NAME), Control(name=NAME, action=Action.RESET), report("ada", 1, 9, 9)):
            reply = await run(store, operation)
            assert (reply.code, reply.shared.state) == (Code.DAMAGED, CircuitState.CLOSED)
            assert reply.problem == "the record is of another protocol version; left alone"
        assert world.stored(NAME) == fields


async def test_fields_that_nobody_knows_are_no_record(world: World) -> None:
    async with stores(world) as (store,):
        world.put(NAME, {"color": "red"})
        assert await read(store) == SharedState()


BUCKET = f"b:f60000000/10:{START_US // 6_000_000}"


@pytest.mark.parametrize(
    "evidence",
    [
        "not a hash",
        {BUCKET: "x"},
        {BUCKET: "9 1"},
        {BUCKET: f"1 {HUGE}"},
        {BUCKET: "1 1000000000001"},
        {"s:f60000000/10:ada": "7"},
        {"s:f60000000/10:ada": f"{HUGE} 1"},
        {"q:f60000000/10": "bob"},
        {"q:f60000000/10": "bob 1 eve"},
        {"q:f60000000/10": f"bob {START_US} bob {START_US}"},
        {"q:f60000000/10": f"bob {HUGE}"},
        {"q:f60000000/10": "bob 1 " * 2_000},
        {f"x{n}": "1" for n in range(20_001)},
    ],
    ids=range(13),
)
async def test_impossible_evidence_is_dropped_and_opens_nothing(world: World, evidence: dict[str, str] | str) -> None:
    async with stores(world) as (store,):
        world.put(NAME, evidence, evidence=True)
        reply = await run(store, report("ada", 8, 1, 1))
        assert (reply.code, reply.problem) == (Code.DAMAGED, "the evidence held impossible values; dropped")
        assert reply.shared.state is CircuitState.CLOSED
        assert (await run(store, report("ada", 9, 1, 1))).code is Code.DONE


@pytest.mark.parametrize("evidence", ["not a hash", {"votes": "bob"}, {"votes": f"bob {START_US}|"}])
async def test_impossible_votes_are_dropped_and_open_nothing(world: World, evidence: dict[str, str] | str) -> None:
    async with stores(world) as (store,):
        world.put(NAME, evidence, evidence=True)
        reply = await run(store, Vote(name=NAME, policy=POLICY, worker="ada"))
        assert (reply.code, reply.shared.state) == (Code.DAMAGED, CircuitState.CLOSED)
        assert (await run(store, Vote(name=NAME, policy=POLICY, worker="ada"))).code is Code.DONE


async def test_litter_in_a_window_is_swept_with_the_next_bucket(world: World) -> None:
    litter = {"b:f60000000/10:x": "1 1", "b:f60000000/10:1": "5 5", "s:f60000000/10:bob": "x", "b:other/9:1": "kept"}
    async with stores(world) as (store,):
        world.put(NAME, litter, evidence=True)
        assert (await run(store, report("ada", 1, 1, 1))).code is Code.DONE
        assert set(world.stored(NAME, evidence=True)) == {
            "b:other/9:1", BUCKET, "s:f60000000/10:ada", "q:f60000000/10",
        }  # fmt: skip


@pytest.mark.parametrize(
    "operation",
    [
        Renew(name=NAME, policy=POLICY, token=5),
        Result(name=NAME, policy=POLICY, token=5, result=ProbeResult.FAILED),
        Acquire(name=NAME, policy=POLICY),
    ],
)
async def test_a_refused_operation_stores_nothing(world: World, operation: AnyOperation) -> None:
    async with stores(world) as (store,):
        assert (await run(store, operation)).code is Code.REFUSED
        assert world.stored(NAME) == {}
