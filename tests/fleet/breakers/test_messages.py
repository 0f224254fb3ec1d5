"""Messages may be lost, duplicated, late or out of order: all processes agree in the end."""

from dataclasses import replace

import anyio
import pytest

from recloser.fleet._store.wire import write_message
from recloser.fleet.store import Acquire, AnyOperation, Reply, SharedState
from tests.fleet.breakers.kit import (
    NAME,
    OPEN_SECONDS,
    POLLED_SECONDS,
    Process,
    fleet_of,
    make_ready,
    new_server,
    open_all,
    settle,
    states,
)

pytestmark = pytest.mark.anyio


async def play_an_outage(processes: list[Process]) -> None:
    """Opens, has a probe fail and another succeed, with a poll in between each."""
    await processes[0].fail()
    await processes[1].fail()
    await settle(POLLED_SECONDS)
    assert states(processes) == ["open"] * 3
    await anyio.sleep(OPEN_SECONDS)
    await processes[2].fail(1)
    await settle(POLLED_SECONDS)
    assert states(processes) == ["open"] * 3
    await anyio.sleep(OPEN_SECONDS)
    permit = await processes[1].breaker.acquire()
    await settle(POLLED_SECONDS)
    assert states(processes) == ["half_open"] * 3
    permit.succeed()
    await settle(POLLED_SECONDS)
    assert states(processes) == ["closed"] * 3


async def test_what_lost_messages_would_have_told_is_learnt_by_asking() -> None:
    async with fleet_of(3) as processes:
        for one in processes:
            one.store.drop_messages = True
        await play_an_outage(processes)


async def test_without_messages_there_is_still_one_probe_only() -> None:
    async with fleet_of(4) as processes:
        for one in processes:
            one.store.drop_messages = True
        await processes[0].fail()
        await processes[1].fail()
        await settle(POLLED_SECONDS)
        await anyio.sleep(OPEN_SECONDS)
        permit = await processes[0].breaker.acquire()
        assert [await one.is_admitted() for one in processes] == [False] * 4
        assert states(processes) == ["half_open"] * 4
        permit.succeed()


async def test_messages_that_come_twice_change_nothing_the_second_time() -> None:
    async with fleet_of(3) as processes:
        for one in processes:
            one.store.double_messages = True
        await play_an_outage(processes)
        assert len({one.breaker.generation for one in processes[1:]}) <= 2
        assert max(one.breaker.generation for one in processes) <= 8


async def test_messages_in_reverse_order_leave_the_latest_state() -> None:
    async with fleet_of(3) as processes:
        processes[2].store.hold_messages = True
        await make_ready(processes[:2])
        await processes[0].succeed()
        await settle()
        before = processes[2].breaker.generation
        processes[2].store.release_messages(in_reverse=True)
        await settle(0.01)
        assert states(processes) == ["closed"] * 3
        assert processes[2].breaker.generation >= before


async def test_messages_that_come_late_take_no_one_back() -> None:
    async with fleet_of(3) as processes:
        processes[2].store.hold_messages = True
        await make_ready(processes[:2])
        await processes[0].succeed()
        await settle(POLLED_SECONDS)
        assert states(processes) == ["closed"] * 3
        generation = processes[2].breaker.generation
        processes[2].store.release_messages()
        await settle(0.01)
        assert (processes[2].state, processes[2].breaker.generation) == ("closed", generation)


async def test_messages_about_a_breaker_that_a_process_does_not_have_are_ignored() -> None:
    async with fleet_of(2) as processes:
        for one in processes:
            another = one.registry.breaker("another")
            for _ in range(3):
                another.try_acquire_nowait().fail()
            del another
        third = processes[0].registry.breaker("third")
        await settle()
        assert third.get_state() == "closed"
        assert states(processes) == ["closed"] * 2
        assert processes[1].fleet.is_connected


@pytest.mark.parametrize("garbage", [b"\xff", b"v9|payments", b"", b"v1|payments|x"])
async def test_messages_that_cannot_be_read_are_ignored(garbage: bytes) -> None:
    server = new_server()
    async with fleet_of(2, server) as processes:
        server.publish(garbage)
        await settle()
        await open_all(processes)


async def test_the_word_of_ones_own_grant_may_come_before_the_reply() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        execute = processes[0].store.execute

        async def late(operations: object) -> object:
            replies = await execute(operations)
            await anyio.sleep(0.05)
            return replies

        processes[0].store.execute = late
        permit = await processes[0].breaker.acquire()
        assert permit.is_probe
        assert permit.generation == processes[0].fleet.status()["breakers"][NAME]["generation"]
        permit.succeed()
        await settle()
        assert states(processes) == ["closed"] * 2


async def test_the_word_of_anothers_grant_while_one_asks_is_heeded_after_the_refusal() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        processes[0].store.delay_seconds = 0.05
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(processes[0].is_admitted)
            await settle(0.01)
            permit = await processes[1].breaker.acquire()
            await settle(0.01)
            assert processes[0].state == "open"
        assert processes[0].state == "half_open"
        permit.succeed()
        await settle()
        assert states(processes) == ["closed"] * 2


async def test_the_word_of_a_successor_before_ones_own_grant_fences_that_off() -> None:
    server = new_server()
    async with fleet_of(2, server) as processes:
        await make_ready(processes)
        execute = processes[0].store.execute
        granted = anyio.Event()

        async def late(operations: object) -> object:
            replies = await execute(operations)
            granted.set()
            await anyio.sleep(0.05)
            return replies

        processes[0].store.execute = late
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(processes[0].is_admitted)
            await granted.wait()
            newer = SharedState("half_open", server.now_us + 1_000_000, 5_000_000, 1)
            server.publish(write_message(NAME, newer).encode())
        assert processes[0].breaker.snapshot().probe_total == 0
        assert processes[0].fleet.status()["breakers"][NAME]["holds_probe"] is False
        assert processes[0].state == "half_open"


async def test_who_asks_while_the_answer_to_another_is_on_its_way_gets_an_answer_of_its_own() -> None:
    async with fleet_of(2) as processes:
        await make_ready(processes)
        ways = [(1, anyio.Event()), (0, anyio.Event())]
        answers = [answer for _, answer in ways]
        execute = processes[0].store.execute

        async def late(operations: list[AnyOperation]) -> list[Reply]:
            if not (ways and isinstance(operations[0], Acquire)):
                return await execute(operations)
            limit, answer = ways.pop(0)
            replies = await execute([replace(operations[0], not_after_us=limit)])
            await answer.wait()
            return replies

        processes[0].store.execute = late
        with anyio.move_on_after(0.01):
            await processes[0].breaker.acquire()
        permits = []

        async def ask() -> None:
            permits.append(await processes[0].breaker.acquire())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            for answer in answers:
                await settle(0.01)
                answer.set()
        assert permits[0].is_probe
        permits[0].succeed()
        await settle()
        assert states(processes) == ["closed"] * 2
