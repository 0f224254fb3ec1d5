"""Clients that come back to the stream after a while, or that read it slowly."""

import math

import anyio
import pytest

from recloser import BreakerRegistry
from recloser.dashboard import Dashboard
from tests.dashboard.kit import Connection, SentEvent, ask, connected, registry_of, trip, work

pytestmark = pytest.mark.anyio


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps clients that take nothing for ever; the loop's virtual time may jump by a minute at any step."""
    monkeypatch.setattr("recloser.dashboard._http._STUCK_SECONDS", math.inf)


def number(event: SentEvent) -> int:
    return int(event.id.rpartition("-")[2])


async def resumed(application: object, known: str, **options: object) -> SentEvent:
    async with connected(application, headers={"last-event-id": known}, **options) as client:
        return await client.wait_for_event()


async def test_a_client_that_comes_back_is_sent_each_update_that_it_missed(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    application = Dashboard(registry)
    async with connected(application) as client:
        known = await client.wait_for_event()
        async with connected(application) as other:
            await other.wait_for_event()
            for _ in range(3):
                await orders.call(work)
                await other.wait_for_event()
            async with connected(application, headers={"last-event-id": known.id}) as back:
                missed = [await back.wait_for_event() for _ in range(3)]
    assert [event.kind for event in missed] == ["update"] * 3
    assert [event.data["changed"]["orders"]["success_total"] for event in missed] == [1, 2, 3]


async def test_the_only_client_misses_nothing_when_it_comes_back_soon(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    application = Dashboard(registry)
    async with connected(application) as client:
        known = (await client.wait_for_event()).id
    await trip(orders)
    await anyio.sleep(5)
    event = await resumed(application, known)
    assert event.kind == "update"
    assert event.data["changed"]["orders"]["state"] == "open"
    assert [transition["new"] for transition in event.data["transitions"]] == ["open"]


async def test_after_a_long_absence_the_whole_state_is_sent_again(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    application = Dashboard(registry)
    async with connected(application) as client:
        known = (await client.wait_for_event()).id
    await orders.call(work)
    await anyio.sleep(60)
    event = await resumed(application, known)
    assert (event.kind, event.data["dropped"]) == ("snapshot", 1)
    assert event.data["breakers"]["orders"]["success_total"] == 1


async def test_the_last_id_may_stand_in_the_query(registry: BreakerRegistry) -> None:
    application = Dashboard(registry)
    async with connected(application) as client:
        known = (await client.wait_for_event()).id
        await trip(registry.breaker("orders"))
        await client.wait_for_event()
        async with connected(application, query_string=f"last={known}".encode()) as back:
            assert (await back.wait_for_event()).kind == "update"


@pytest.mark.parametrize("known", ["{run}-999", "{run}-", "{run}-x", "{run}--1", "{run}-²", "other-1", "", "-", "1"])
async def test_an_id_of_something_else_begins_anew(registry: BreakerRegistry, known: str) -> None:
    application = Dashboard(registry)
    run = (await ask(application, "/status.json")).json()["dashboard"]["run"]
    event = await resumed(application, known.format(run=run))
    assert (event.kind, event.data["dropped"]) == ("snapshot", 0)


async def test_a_client_that_has_the_latest_update_is_sent_only_what_follows(registry: BreakerRegistry) -> None:
    application = Dashboard(registry)
    async with connected(application) as client:
        known = (await client.wait_for_event()).id
        await trip(registry.breaker("orders"))
        event = await resumed(application, known)
    assert event.kind == "update"


@pytest.mark.usefixtures("patient")
async def test_a_client_that_reads_late_is_sent_each_update_as_long_as_the_ring_has_it(
    registry: BreakerRegistry,
) -> None:
    orders = registry.breaker("orders")
    application = Dashboard(registry)
    slow = Connection(application, "/events")
    async with anyio.create_task_group() as group, connected(application) as quick:
        group.start_soon(slow.run)
        first = await slow.wait_for_event()
        await quick.wait_for_event()
        slow.takes = False
        await orders.call(work)
        await slow.waits_to_send.wait()
        await quick.wait_for_event()
        for _ in range(49):
            await orders.call(work)
            last = await quick.wait_for_event()
        slow.take_again()
        late = [await slow.wait_for_event() for _ in range(50)]
        assert [number(event) for event in late] == list(range(number(first) + 1, number(last) + 1))
        slow.leave()


@pytest.mark.usefixtures("patient")
async def test_memory_is_bounded_however_long_a_client_takes_nothing() -> None:
    registry = registry_of(100, failure_threshold=1_000_000)
    application = Dashboard(registry, interval_seconds=0.1)
    stuck = Connection(application, "/events")
    async with anyio.create_task_group() as group, connected(application) as quick:
        group.start_soon(stuck.run)
        first = await stuck.wait_for_event()
        stuck.takes = False
        await quick.wait_for_event()
        for _ in range(150):
            for breaker in registry:
                await breaker.call(work)
            last = await quick.wait_for_event()
        assert stuck.waits_to_send.is_set()
        stuck.take_again()
        sent = await stuck.wait_for_event()
        snapshot = await stuck.wait_for_event()
        assert number(sent) == number(first) + 1
        assert snapshot.kind == "snapshot"
        assert snapshot.data["dropped"] == number(snapshot) - number(sent) >= number(last) - number(sent)
        assert snapshot.data["breakers"]["host-0"]["success_total"] == 150
        stuck.leave()


async def test_a_client_that_takes_nothing_for_a_minute_gives_its_place_to_others(registry: BreakerRegistry) -> None:
    application = Dashboard(registry, max_streams=1)
    stuck = Connection(application, "/events")
    stuck.takes = False
    async with anyio.create_task_group() as group:
        group.start_soon(stuck.run)
        await stuck.waits_to_send.wait()
        assert (await ask(application, "/events")).status == 503
        await stuck.wait_for_end()
        async with connected(application) as other:
            await other.wait_for_event()


async def test_a_client_that_takes_nothing_holds_up_no_protected_call(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    application = Dashboard(registry)
    stuck = Connection(application, "/events")
    stuck.takes = False
    async with anyio.create_task_group() as group:
        group.start_soon(stuck.run)
        await stuck.waits_to_send.wait()
        with anyio.CancelScope() as scope:
            scope.deadline = anyio.current_time()  # a call that yields to the event loop would not come back
            assert [await orders.call(work) for _ in range(100)] == ["done"] * 100
        stuck.leave()
