"""The stream of events: a snapshot, then what changes, on virtual time."""

import itertools

import anyio
import pytest

from recloser import BreakerRegistry, CircuitBreaker
from recloser.dashboard import Dashboard
from recloser.testing import ManualClock
from tests.dashboard.kit import SentEvent, ask, connected, registry_of, trip, work

pytestmark = pytest.mark.anyio


def number(event: SentEvent) -> int:
    return int(event.id.rpartition("-")[2])


async def test_it_begins_with_the_whole_state(registry: BreakerRegistry) -> None:
    application = Dashboard(registry)
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
    assert event.data.pop("history")["breakers"] == {"orders": [[None, 119], ["open", 1]]}
    assert status.pop("outages") == []
    sent, known = event.data["breakers"].pop("orders"), status["breakers"].pop("orders")
    assert known.keys() - sent.keys() == {"explanation"}  # the stream has no sentences
    assert known["cause"].pop("text") == "1 consecutive failure (threshold 1)"
    assert known["outage"]["cause"].pop("text") == "1 consecutive failure (threshold 1)"
    assert known["outage"].items() >= sent.pop("outage").items()  # a client computes how long it has lasted
    running = {"since", "time_in_state_seconds", "retry_after"}
    assert {key: known[key] for key in sent.keys() - running} == {key: sent[key] for key in sent.keys() - running}
    assert event.data | {"timestamp": ""} == status | {"timestamp": ""}
    assert event.id.rpartition("-")[0] == status["dashboard"]["run"]


async def test_an_update_has_only_what_has_changed(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    registry.breaker("idle")
    async with connected(Dashboard(registry)) as client:
        snapshot = await client.wait_for_event()
        await orders.call(work)
        update = await client.wait_for_event()
    assert update.kind == "update"
    assert number(update) == number(snapshot) + 1
    assert update.data["changed"] == {"orders": {"success_total": 1}}
    assert update.data.keys() == {"timestamp", "changed", "removed", "transitions", "fleet", "overview", "dropped"}
    assert (update.data["removed"], update.data["fleet"], update.data["dropped"]) == ([], None, 0)


async def test_a_transition_is_sent_with_the_fields_of_its_cause(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    async with connected(Dashboard(registry)) as client:
        await client.wait_for_event()
        await trip(orders, "</b>")
        update = await client.wait_for_event()
    [transition] = update.data["transitions"]
    assert transition.pop("at").endswith("+00:00")
    cause = {
        "trigger": "tripped",
        "kind": "consecutive_failures",
        "rule": "1 consecutive failure",
        "observed": 1,
        "threshold": 1,
        "calls": None,
        "counted": None,
        "window": None,
        "slow_call_seconds": None,
        "last_error": "DownError",
        "error_type": "DownError",
        "error_status": None,
        "peer": None,
        "reason": None,
        "author": None,
        "for_seconds": None,
    }
    assert transition == {
        "seq": 1,
        "breaker": "orders",
        "old": "closed",
        "new": "open",
        "cause": cause,
        "retry_after": pytest.approx(60, abs=0.1),
    }
    changed = update.data["changed"]["orders"]
    assert changed["cause"] == cause
    assert (changed["state"], changed["generation"], changed["failure_total"]) == ("open", 2, 1)
    assert 59 <= changed["retry_after"] <= 60
    assert (changed["attempt"], changed["last_error"]) == (1, "DownError")


async def test_a_countdown_that_jumps_is_sent() -> None:
    clock = ManualClock()
    registry = BreakerRegistry()
    await trip(registry.add(CircuitBreaker("orders", clock=clock, failure_threshold=1)))
    async with connected(Dashboard(registry)) as client:
        await client.wait_for_event()
        clock.advance(30)
        update = await client.wait_for_event()
    changed = update.data["changed"]["orders"]
    assert changed.keys() == {"retry_after", "since", "time_in_state_seconds"}
    assert (changed["retry_after"], changed["time_in_state_seconds"]) == (30.0, 30.0)


async def test_a_snapshot_has_the_times_of_its_own_moment(registry: BreakerRegistry) -> None:
    await trip(registry.breaker("orders"))
    application = Dashboard(registry, interval_seconds=10)
    async with connected(application) as first:
        await first.wait_for_event()
        await anyio.sleep(4)
        async with connected(application) as second:
            entry = (await second.wait_for_event()).data["breakers"]["orders"]
            expected = registry.breaker("orders").health()
    assert entry["retry_after"] == pytest.approx(expected["retry_after"])
    assert entry["time_in_state_seconds"] == pytest.approx(expected["time_in_state_seconds"])
    assert 4 <= entry["time_in_state_seconds"] < 10


async def test_a_time_without_an_end_is_sent_as_null(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    await trip(orders)
    async with connected(Dashboard(registry)) as client:
        await client.wait_for_event()
        orders.force_open("maintenance")
        update = await client.wait_for_event()
    assert update.data["changed"]["orders"]["retry_after"] is None


async def test_breakers_come_and_go() -> None:
    registry = registry_of(3, max_breakers=3)
    async with connected(Dashboard(registry)) as client:
        await client.wait_for_event()
        registry.breaker("newcomer")
        update = await client.wait_for_event()
        assert update.data["removed"] == ["host-0"]
        assert update.data["changed"].keys() == {"newcomer"}
        assert update.data["changed"]["newcomer"]["state"] == "closed"
        registry.breaker("host-0")
        update = await client.wait_for_event()
    assert update.data["removed"] == ["host-1"]
    assert {"state", "rule", "cause", "since"} <= update.data["changed"]["host-0"].keys()


async def test_a_breaker_that_is_evicted_and_made_again_is_sent_as_it_is_now(registry: BreakerRegistry) -> None:
    registry = registry_of(1, max_breakers=1)
    await registry.breaker("host-0").call(work)
    async with connected(Dashboard(registry)) as client:
        await client.wait_for_event()
        registry.breaker("other")
        registry.breaker("host-0")
        update = await client.wait_for_event()
    assert update.data["removed"] == []
    assert update.data["changed"]["host-0"]["success_total"] == 0


async def test_there_is_one_update_per_interval_however_much_happens(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    async with connected(Dashboard(registry, interval_seconds=2)) as client:
        await client.wait_for_event()
        at = []
        for _ in range(4):
            for _ in range(50):
                await orders.call(work)
            await client.wait_for_event()
            at.append(anyio.current_time())
    assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(at))


async def test_all_clients_are_sent_the_same_bytes(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    application = Dashboard(registry)
    async with connected(application) as one, connected(application) as other:
        await one.wait_for_event()
        await other.wait_for_event()
        await orders.call(work)
        assert await one.wait_for_block() == await other.wait_for_block()


async def test_while_nothing_happens_a_sign_of_life_keeps_the_connection(registry: BreakerRegistry) -> None:
    registry.breaker("idle")
    await trip(registry.breaker("orders"))  # whose countdown the client runs by itself
    async with connected(Dashboard(registry)) as client:
        await client.wait_for_event()
        at = []
        for _ in range(3):
            assert await client.wait_for_block() == "event: alive\ndata: {}"
            at.append(anyio.current_time())
    assert all(later - earlier >= 15 for earlier, later in itertools.pairwise(at))


async def test_transitions_that_are_too_many_leave_a_gap_in_their_numbers() -> None:
    registry = registry_of(1)
    async with connected(Dashboard(registry)) as client:
        await client.wait_for_event()
        for _ in range(150):
            await trip(registry.breaker("host-0"))
            registry.breaker("host-0").reset()
        transitions = (await client.wait_for_event()).data["transitions"]
    assert [each["seq"] for each in transitions] == list(range(101, 301))


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
    application = Dashboard(registry)
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


async def test_a_client_that_leaves_ends_its_stream(registry: BreakerRegistry) -> None:
    async with connected(Dashboard(registry)) as client:
        await client.wait_for_event()
        client.leave()
        await client.wait_for_end()
    assert client.ended


async def test_a_server_that_raises_once_the_client_is_gone_ends_the_stream(registry: BreakerRegistry) -> None:
    orders = registry.breaker("orders")
    async with connected(Dashboard(registry)) as client:
        await client.wait_for_event()
        client.error_of_send = BrokenPipeError()
        await orders.call(work)
        await client.wait_for_end()
    assert client.ended


async def test_more_streams_than_allowed_are_asked_to_come_later(registry: BreakerRegistry) -> None:
    application = Dashboard(registry, max_streams=1)
    async with connected(application) as client:
        await client.wait_for_event()
        refused = await ask(application, "/events")
        assert (refused.status, refused.headers["retry-after"]) == (503, "10")
        assert refused.json()["detail"] == "All 1 streams are in use. Close another page, or try again later."
        assert (await ask(application, "/events", method="HEAD")).status == 200
    async with connected(application) as client:
        await client.wait_for_event()
