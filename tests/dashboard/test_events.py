"""The stream of events: a snapshot, then what changes, on virtual time."""

import gc
import itertools
import math
from collections import deque
from itertools import islice

import anyio
import anyio.lowlevel
import pytest

from recloser import BreakerRegistry, CircuitBreaker
from recloser.dashboard import app
from recloser.dashboard._feed import UpdateFeed
from recloser.dashboard._timeline import _Notes
from recloser.testing import ManualClock
from tests.dashboard.kit import Connection, SentEvent, ask, connected, registry_of, trip, work

pytestmark = pytest.mark.anyio


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has clients that take nothing kept for ever; the loop's virtual time may jump by a minute at any step."""
    monkeypatch.setattr("recloser.dashboard._http._STUCK_SECONDS", math.inf)


def number(event: SentEvent) -> int:
    return int(event.id.rpartition("-")[2])


async def test_it_begins_with_the_whole_state(registry: BreakerRegistry) -> None:
    application = app(registry)
    await trip(registry.breaker("orders"))
    status = (await ask(application, "/status.json")).json()
    async with connected(application) as client:
        assert await client.wait_for_block() == "retry: 1000"
        event = await client.wait_for_event()
        headers = client.headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
    assert event.kind == "snapshot"
    assert event.data.pop("transitions")[0]["breaker"] == "orders"
    assert event.data.pop("dropped") == 0
    assert event.data | {"timestamp": ""} == status | {"timestamp": ""}
    assert event.id.rpartition("-")[0] == status["dashboard"]["run"]


async def test_an_update_has_only_what_has_changed(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    registry.breaker("idle")
    async with connected(app(registry)) as client:
        snapshot = await client.wait_for_event()
        await orders.call(work)
        update = await client.wait_for_event()
    assert update.kind == "update"
    assert number(update) == number(snapshot) + 1
    assert update.data["changed"] == {"orders": {"success_total": 1}}
    assert update.data.keys() == {"timestamp", "changed", "removed", "transitions", "fleet", "dropped"}
    assert (update.data["removed"], update.data["fleet"], update.data["dropped"]) == ([], None, 0)


async def test_a_transition_is_told_with_its_cause(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    async with connected(app(registry)) as client:
        await client.wait_for_event()
        await trip(orders, "</b>")
        update = await client.wait_for_event()
    [transition] = update.data["transitions"]
    assert transition.pop("at").endswith("+00:00")
    assert transition == {
        "seq": 1,
        "breaker": "orders",
        "old": "closed",
        "new": "open",
        "cause": "1 consecutive failure (threshold 1); last error DownError: </b>",
    }
    changed = update.data["changed"]["orders"]
    assert (changed["state"], changed["generation"], changed["failure_total"]) == ("open", 2, 1)
    assert 59 <= changed["retry_after"] <= 60
    assert changed["explanation"].startswith("Circuit breaker 'orders' is open for ")


async def test_an_open_breaker_is_explained_anew_while_its_countdown_is_left_to_the_page(
    registry: BreakerRegistry,
) -> None:
    await trip(registry.breaker("orders"))
    async with connected(app(registry)) as client:
        await client.wait_for_event()
        updates = [await client.wait_for_event() for _ in range(3)]
    assert [update.data["changed"]["orders"].keys() for update in updates] == [{"explanation"}] * 3
    assert len({update.data["changed"]["orders"]["explanation"] for update in updates}) == 3


async def test_a_countdown_that_jumps_is_told() -> None:
    clock = ManualClock()
    registry = BreakerRegistry()
    await trip(registry.add(CircuitBreaker("orders", clock=clock, failure_threshold=1)))
    async with connected(app(registry)) as client:
        await client.wait_for_event()
        clock.advance(30)
        update = await client.wait_for_event()
    changed = update.data["changed"]["orders"]
    assert (changed["retry_after"], changed["time_in_state_seconds"]) == (30.0, 30.0)


async def test_a_snapshot_has_the_times_of_its_own_moment(registry: BreakerRegistry) -> None:
    await trip(registry.breaker("orders"))
    application = app(registry, interval_seconds=10)
    async with connected(application) as first:
        await first.wait_for_event()
        await anyio.sleep(4)
        async with connected(application) as second:
            entry = (await second.wait_for_event()).data["breakers"]["orders"]
            expected = registry.breaker("orders").health()
    assert entry["retry_after"] == pytest.approx(expected["retry_after"])
    assert entry["time_in_state_seconds"] == pytest.approx(expected["time_in_state_seconds"])
    assert 4 <= entry["time_in_state_seconds"] < 10


async def test_a_closed_breaker_is_explained_anew_now_and_then(registry: BreakerRegistry) -> None:
    registry.breaker("idle")
    async with connected(app(registry)) as client:
        await client.wait_for_event()
        began = anyio.current_time()
        update = await client.wait_for_event()
        waited = anyio.current_time() - began
    assert update.data["changed"].keys() == {"idle"}
    assert update.data["changed"]["idle"].keys() == {"explanation"}
    assert 9 <= waited <= 12


async def test_at_most_a_hundred_sentences_are_renewed_at_once() -> None:
    async with connected(app(registry_of(220))) as client:
        await client.wait_for_event()
        updates = [(await client.wait_for_event()).data["changed"] for _ in range(3)]
    assert [len(changed) for changed in updates] == [100, 100, 20]
    assert len({name for changed in updates for name in changed}) == 220


async def test_breakers_come_and_go() -> None:
    registry = registry_of(3, max_breakers=3)
    async with connected(app(registry)) as client:
        await client.wait_for_event()
        registry.breaker("newcomer")
        update = await client.wait_for_event()
        assert update.data["removed"] == ["host-0"]
        assert update.data["changed"].keys() == {"newcomer"}
        assert update.data["changed"]["newcomer"]["explanation"].startswith("Circuit breaker 'newcomer' is closed")
        registry.breaker("host-0")
        update = await client.wait_for_event()
    assert update.data["removed"] == ["host-1"]
    assert {"state", "rule", "explanation"} <= update.data["changed"]["host-0"].keys()


async def test_a_breaker_that_is_evicted_and_made_again_is_told_as_it_is_now(registry: BreakerRegistry) -> None:
    registry = registry_of(1, max_breakers=1)
    await registry.breaker("host-0").call(work)
    async with connected(app(registry)) as client:
        await client.wait_for_event()
        registry.breaker("other")
        registry.breaker("host-0")
        update = await client.wait_for_event()
    assert update.data["removed"] == []
    assert update.data["changed"]["host-0"]["success_total"] == 0


async def test_there_is_one_update_per_interval_however_much_happens(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    async with connected(app(registry, interval_seconds=2)) as client:
        await client.wait_for_event()
        at = []
        for _ in range(4):
            for _ in range(50):
                await orders.call(work)
            await client.wait_for_event()
            at.append(anyio.current_time())
    assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(at))


async def test_all_clients_are_told_the_same_bytes(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    application = app(registry)
    async with connected(application) as one, connected(application) as other:
        await one.wait_for_event()
        await other.wait_for_event()
        await orders.call(work)
        assert await one.wait_for_block() == await other.wait_for_block()


async def test_while_nothing_happens_a_sign_of_life_keeps_the_connection(registry: BreakerRegistry) -> None:
    async with connected(app(registry)) as client:
        await client.wait_for_event()
        at = []
        for _ in range(3):
            assert await client.wait_for_block() == "event: alive\ndata: {}"
            at.append(anyio.current_time())
    assert all(later - earlier >= 15 for earlier, later in itertools.pairwise(at))


async def test_a_client_that_leaves_ends_its_stream(registry: BreakerRegistry) -> None:
    async with connected(app(registry)) as client:
        await client.wait_for_event()
        client.leave()
        await client.wait_for_end()
    assert client.ended


async def test_a_server_that_raises_once_the_client_is_gone_ends_the_stream(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    async with connected(app(registry)) as client:
        await client.wait_for_event()
        client.error_of_send = BrokenPipeError()
        await orders.call(work)
        await client.wait_for_end()
    assert client.ended


async def test_more_streams_than_allowed_are_asked_to_come_later(registry: BreakerRegistry) -> None:
    application = app(registry, max_streams=1)
    async with connected(application) as client:
        await client.wait_for_event()
        refused = await ask(application, "/events")
        assert (refused.status, refused.headers["retry-after"]) == (503, "10")
        assert refused.json()["detail"] == "All 1 streams are in use. Close another page, or try again later."
        assert (await ask(application, "/events", method="HEAD")).status == 200
    async with connected(application) as client:
        await client.wait_for_event()


# Resuming


async def resumed(application: object, known: str, **options: object) -> SentEvent:
    async with connected(application, headers={"last-event-id": known}, **options) as client:
        return await client.wait_for_event()


async def test_a_client_that_comes_back_is_told_what_it_missed_one_by_one(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    application = app(registry)
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
    application = app(registry)
    async with connected(application) as client:
        known = (await client.wait_for_event()).id
    await trip(orders)
    await anyio.sleep(5)
    event = await resumed(application, known)
    assert event.kind == "update"
    assert event.data["changed"]["orders"]["state"] == "open"
    assert [transition["new"] for transition in event.data["transitions"]] == ["open"]


async def test_after_a_long_absence_the_whole_state_is_told_again(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    application = app(registry)
    async with connected(application) as client:
        known = (await client.wait_for_event()).id
    await orders.call(work)
    await anyio.sleep(60)
    event = await resumed(application, known)
    assert (event.kind, event.data["dropped"]) == ("snapshot", 1)
    assert event.data["breakers"]["orders"]["success_total"] == 1


async def test_the_last_id_may_stand_in_the_query(registry: BreakerRegistry) -> None:
    application = app(registry)
    async with connected(application) as client:
        known = (await client.wait_for_event()).id
        await trip(registry.breaker("orders"))
        await client.wait_for_event()
        async with connected(application, query_string=f"last={known}".encode()) as back:
            assert (await back.wait_for_event()).kind == "update"


@pytest.mark.parametrize("known", ["{run}-999", "{run}-", "{run}-x", "{run}--1", "{run}-²", "other-1", "", "-", "1"])
async def test_an_id_that_is_none_of_its_own_begins_anew(registry: BreakerRegistry, known: str) -> None:
    application = app(registry)
    run = (await ask(application, "/status.json")).json()["dashboard"]["run"]
    event = await resumed(application, known.format(run=run))
    assert (event.kind, event.data["dropped"]) == ("snapshot", 0)


async def test_a_client_that_knows_the_latest_is_told_only_what_follows(registry: BreakerRegistry) -> None:
    application = app(registry)
    async with connected(application) as client:
        known = (await client.wait_for_event()).id
        await trip(registry.breaker("orders"))
        event = await resumed(application, known)
    assert event.kind == "update"


# Slow clients


@pytest.mark.usefixtures("patient")
async def test_a_client_that_falls_out_of_the_ring_is_told_the_state_and_how_much_it_missed(
    registry: BreakerRegistry,
) -> None:
    orders = registry.breaker("orders")
    application = app(registry)
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
    application = app(registry, interval_seconds=0.1)
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
    application = app(registry, max_streams=1)
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
    application = app(registry)
    stuck = Connection(application, "/events")
    stuck.takes = False
    async with anyio.create_task_group() as group:
        group.start_soon(stuck.run)
        await stuck.waits_to_send.wait()
        with anyio.CancelScope() as scope:
            scope.deadline = anyio.current_time()  # a call that yields to the event loop would not come back
            assert [await orders.call(work) for _ in range(100)] == ["done"] * 100
        stuck.leave()


async def test_a_time_that_has_no_end_any_more_is_told(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    await trip(orders)
    async with connected(app(registry)) as client:
        await client.wait_for_event()
        await orders.force_open("maintenance")
        update = await client.wait_for_event()
    assert update.data["changed"]["orders"]["retry_after"] is None


async def test_who_leaves_while_breakers_are_read_leaves_nothing_half_read() -> None:
    application = app(registry_of(1_000))
    async with connected(application):
        await anyio.lowlevel.checkpoint()
    async with connected(application) as client:
        snapshot = await client.wait_for_event()
    assert (snapshot.kind, len(snapshot.data["breakers"])) == ("snapshot", 1_000)


async def test_a_breaker_that_goes_while_others_are_read_is_passed_over() -> None:
    registry = registry_of(1, max_breakers=1)
    feed = UpdateFeed(registry, 1.0)
    await feed.advance()
    assert [name for name, _ in feed.entries(anyio.current_time())] == ["host-0"]
    registry.breaker("another")
    gc.collect()
    for _ in range(2):
        feed._step(deque(["host-0"]), anyio.current_time())
        assert list(feed.entries(anyio.current_time())) == []


async def test_a_snapshot_is_of_one_moment_however_long_it_takes_to_be_written() -> None:
    registry = registry_of(300, failure_threshold=1_000_000)
    feed = UpdateFeed(registry, 1.0)
    await feed.advance()
    entries = feed.entries(anyio.current_time())
    first = dict(islice(entries, 100))
    for breaker in registry:
        await breaker.call(work)
    await anyio.sleep(1)
    await feed.advance()
    assert {entry["success_total"] for entry in [*first.values(), *(entry for _, entry in entries)]} == {0}
    assert {entry["success_total"] for _, entry in feed.entries(anyio.current_time())} == {1}


async def test_a_breaker_that_can_not_be_read_is_left_out_and_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = CircuitBreaker.health
    unreadable = {"host-1"}

    def health(breaker: CircuitBreaker) -> dict[str, object]:
        if breaker.name in unreadable:
            raise OSError("no clock")
        return read(breaker)

    registry = registry_of(2)
    application = app(registry)
    async with connected(application) as client:
        assert set((await client.wait_for_event()).data["breakers"]) == {"host-0", "host-1"}
        monkeypatch.setattr(CircuitBreaker, "health", health)
        await trip(registry.breaker("host-0"))
        update = await client.wait_for_event()
        assert (update.data["removed"], list(update.data["changed"])) == (["host-1"], ["host-0"])
        await anyio.sleep(3)
        assert list((await ask(application, "/status.json")).json()["breakers"]) == ["host-0"]
        unreadable.clear()
        while "host-1" not in (await client.wait_for_event()).data["changed"]:
            pass
    said = [record.message for record in caplog.records if record.name == "recloser.dashboard"]
    assert said == ["Circuit breaker 'host-1' can't be shown"] * 2  # by the stream, and by the document


async def test_transitions_that_are_too_many_leave_a_gap_in_their_numbers() -> None:
    registry = registry_of(1)
    async with connected(app(registry)) as client:
        await client.wait_for_event()
        for _ in range(150):
            await trip(registry.breaker("host-0"))
            await registry.breaker("host-0").reset()
        told = (await client.wait_for_event()).data["transitions"]
    assert [each["seq"] for each in told] == list(range(101, 301))


def test_a_dashboard_that_nobody_has_any_more_is_told_of_nothing() -> None:
    def listeners() -> int:
        return sum(isinstance(each, _Notes) for each in gc.get_objects())

    gc.collect()
    registry, before = BreakerRegistry(), listeners()
    dashboards = [app(registry) for _ in range(5)]
    assert listeners() == before + 5
    dashboards.clear()
    gc.collect()
    assert listeners() == before


async def test_the_next_round_waits_for_its_time_however_sums_are_rounded() -> None:
    registry = registry_of(1)
    feed = UpdateFeed(registry, 0.1)
    await feed.advance()
    for _ in range(1_000):
        await anyio.sleep(0.1)
        await registry.breaker("host-0").call(work)
        await feed.advance()
        before = feed.ring.seq
        await feed.advance()
        assert feed.ring.seq == before
        assert feed.ring.has_all_after(before - 1)


@pytest.mark.parametrize("offset", [-1e6, 1e6])
async def test_a_dashboard_goes_on_in_another_event_loop_whose_clock_shows_something_else(offset: float) -> None:
    registry = registry_of(1)
    feed = UpdateFeed(registry, 1.0)
    await feed.advance()
    await registry.breaker("host-0").call(work)
    feed.due_at += offset
    before = feed.ring.seq
    await feed.advance()
    assert feed.ring.seq > before
    assert [entry["success_total"] for _, entry in feed.entries(anyio.current_time())] == [1]
