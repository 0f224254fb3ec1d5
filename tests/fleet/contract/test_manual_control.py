"""Manual states of the whole fleet: forced open, disabled, reset."""

import pytest

from recloser import CircuitState
from recloser.fleet.store import Acquire, Action, Code, Control, ProbeResult, Result, SharedState, Vote
from tests.fleet.contract.kit import (
    ALONE,
    NAME,
    acquire,
    make_open,
    make_probing,
    next_message,
    read,
    report,
    run,
    stores,
)
from tests.fleet.contract.worlds import World

pytestmark = pytest.mark.anyio


def control(action: Action, **options: object) -> Control:
    return Control(**{"name": NAME, "action": action, "author": "ada", "reason": "maintenance", **options})


@pytest.mark.parametrize("action", [Action.FORCE_OPEN, Action.DISABLE])
async def test_a_manual_state_without_an_end_stays_for_good_and_says_who_and_why(world: World, action: Action) -> None:
    async with stores(world, 2) as (one, other):
        reply = await run(one, control(action))
        assert reply.code is Code.DONE
        world.advance(400 * 24 * 3_600)
        shared = await read(other)
        assert shared == SharedState(
            CircuitState(action.value), reply.now_us + 1, None, author="ada", reason="maintenance"
        )
        assert world.lifetime(NAME) is None


async def test_everybody_is_told_of_a_manual_state(world: World) -> None:
    async with stores(world, 2) as (one, other), other.subscribe() as messages:
        reply = await run(one, control(Action.FORCE_OPEN, for_us=5_000_000))
        assert (await next_message(messages)).shared == reply.shared
        assert reply.shared.remaining_us == 5_000_000


@pytest.mark.parametrize("action", [Action.FORCE_OPEN, Action.DISABLE])
async def test_a_manual_state_takes_neither_evidence_nor_probes(world: World, action: Action) -> None:
    async with stores(world) as (store,):
        generation = (await run(store, control(action))).shared.generation
        for operation in (
            Acquire(name=NAME, policy=ALONE),
            Vote(name=NAME, policy=ALONE, worker="ada", closed_generation=generation),
            report("ada", 1, 99, 99, policy=ALONE, closed_generation=generation),
        ):
            assert (await run(store, operation)).code is Code.REFUSED


async def test_a_forced_breaker_tries_a_call_when_its_time_is_over(world: World) -> None:
    async with stores(world) as (store,):
        await run(store, control(Action.FORCE_OPEN, for_us=5_000_000))
        world.advance(5)
        shared = await acquire(store)
        assert (shared.state, shared.author, shared.reason) == (CircuitState.HALF_OPEN, "", "")


async def test_a_disabled_breaker_closes_when_its_time_is_over_and_all_are_told(world: World) -> None:
    async with stores(world, 2) as (one, other):
        disabled = await run(one, control(Action.DISABLE, for_us=5_000_000))
        world.advance(5)
        async with other.subscribe() as messages:
            closed = await read(one)
            assert (closed.state, closed.reason) == (CircuitState.CLOSED, "")
            assert closed.generation > disabled.shared.generation
            assert (await next_message(messages)).shared == closed


async def test_a_disabled_state_that_only_the_caller_remembers_ends_too(world: World) -> None:
    async with stores(world) as (store,):
        known = (await run(store, control(Action.DISABLE, for_us=5_000_000))).shared
        world.flush()
        assert (await read(store, known.later(5_000_000))).state is CircuitState.CLOSED


async def test_a_manual_state_is_restored_after_a_loss_with_author_and_reason(world: World) -> None:
    async with stores(world) as (store,):
        known = (await run(store, control(Action.FORCE_OPEN))).shared
        world.flush()
        assert await read(store, known) == known
        assert world.lifetime(NAME) is None


@pytest.mark.parametrize("before", ["open", "half_open", "forced_open", "disabled"])
async def test_a_reset_closes_whatever_was(world: World, before: str) -> None:
    async with stores(world) as (store,):
        if before == "open":
            known = await make_open(store)
        elif before == "half_open":
            known = await make_probing(world, store)
        else:
            known = (await run(store, control(Action(before)))).shared
        closed = (await run(store, control(Action.RESET))).shared
        assert (closed.state, closed.trips) == (CircuitState.CLOSED, 0)
        assert closed.generation > known.generation


async def test_the_result_of_a_probe_is_void_after_manual_control(world: World) -> None:
    async with stores(world) as (store,):
        token = (await make_probing(world, store)).generation
        await run(store, control(Action.FORCE_OPEN))
        result = Result(name=NAME, policy=ALONE, token=token, result=ProbeResult.SUCCEEDED)
        assert (await run(store, result)).code is Code.REFUSED
        assert (await read(store)).state is CircuitState.FORCED_OPEN


async def test_control_forgets_the_evidence(world: World) -> None:
    async with stores(world) as (store,):
        await run(store, report("ada", 1, 1, 1))
        await run(store, control(Action.RESET))
        assert world.stored(NAME, evidence=True) == {}


async def test_control_that_ran_late_changes_nothing(world: World) -> None:
    async with stores(world) as (store,):
        assert (await run(store, control(Action.FORCE_OPEN, not_after_us=1))).code is Code.TOO_LATE
        assert await read(store) == SharedState()
