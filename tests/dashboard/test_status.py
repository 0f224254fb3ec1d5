"""The state as JSON: the health of the registry, the causes as fields, and a sentence for people."""

import json
import math
from datetime import datetime, timedelta

import anyio
import pytest

from recloser import BreakerRegistry, CircuitBreaker
from recloser.dashboard import Dashboard
from recloser.testing import ManualClock
from tests.dashboard.kit import Connection, ask, registry_of, trip, work

pytestmark = pytest.mark.anyio


ADDED = ["attempt", "explanation", "group", "last_error", "probes_passed", "since", "success_threshold"]


async def test_it_is_the_registry_s_health_with_causes_and_explanations(registry: BreakerRegistry) -> None:
    await registry.breaker("orders").call(work)
    await trip(registry.breaker("payments"))
    document = (await ask(Dashboard(registry, error_messages=True), "/status.json")).json()
    added = {name: [entry.pop(key) for key in ADDED] for name, entry in document["breakers"].items()}
    causes = {name: entry.pop("cause") for name, entry in document["breakers"].items()}
    outages = {name: entry.pop("outage") for name, entry in document["breakers"].items()}
    health = registry.health()["breakers"]
    assert document["breakers"] == {
        name: {key: value for key, value in entry.items() if key not in {"cause", "outage"}}
        for name, entry in health.items()
    }
    assert outages["orders"] is None
    assert outages["payments"]["cause"] == causes["payments"]
    assert outages["payments"].keys() == health["payments"]["outage"].keys()
    for breaker in registry:
        attempt, explanation, _, last_error, passed, since, threshold = added[breaker.name]
        snapshot = breaker.snapshot()
        assert (attempt, last_error) == (snapshot.attempt, snapshot.last_error)
        cause = causes[breaker.name]
        assert cause == (None if snapshot.cause is None else health[breaker.name]["cause"] | snapshot.cause.fields())
        assert explanation == breaker.explain()
        at = datetime.fromisoformat(document["timestamp"])
        assert at - datetime.fromisoformat(since) < timedelta(seconds=5)
        assert passed is threshold is None
    assert "1 consecutive failure" in added["payments"][ADDED.index("explanation")]
    assert datetime.fromisoformat(document["timestamp"]).tzinfo is not None
    assert document["fleet"] is None


async def test_it_is_not_to_be_kept(registry: BreakerRegistry) -> None:
    headers = (await ask(Dashboard(registry), "/status.json")).headers
    assert (headers["content-type"], headers["cache-control"]) == ("application/json", "no-store")


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
async def test_it_lists_any_number_of_breakers(count: int) -> None:
    document = (await ask(Dashboard(registry_of(count)), "/status.json")).json()
    assert sorted(document["breakers"]) == sorted(f"host-{number}" for number in range(count))


async def test_a_thousand_breakers_let_other_tasks_run_in_between() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        await ask(Dashboard(registry_of(1_000)), "/status.json")
        group.cancel_scope.cancel()
    assert turns >= 5


async def test_a_breaker_that_is_evicted_while_the_client_waits_is_passed_over() -> None:
    registry = registry_of(150, max_breakers=150)
    connection = Connection(Dashboard(registry), "/status.json")
    connection.takes = False
    async with anyio.create_task_group() as group:
        group.start_soon(connection.run)
        await connection.waits_to_send.wait()
        registry.breaker("newcomer")
        connection.take_again()
    names = set(connection.json()["breakers"])
    assert len(names) == 150  # read when the client takes them, so the newcomer is there and the evicted one is not
    assert "host-0" not in names


async def test_names_of_breakers_that_go_while_the_list_is_sent_are_passed_over() -> None:
    registry = registry_of(250, max_breakers=250)
    connection = Connection(Dashboard(registry), "/status.json")
    async with anyio.create_task_group() as group:
        group.start_soon(connection.run)
        while not connection.body:
            await anyio.lowlevel.checkpoint()
        connection.takes = False
        await connection.waits_to_send.wait()
        names = [f"newcomer-{number}" for number in range(250)]
        for name in names:
            registry.breaker(name)
        connection.take_again()
    breakers = json.loads(bytes(connection.body))["breakers"]
    assert not set(breakers) & set(names)
    assert len(breakers) < 250


async def test_numbers_that_json_lacks_are_null() -> None:
    clock = ManualClock(-1.7e308)
    registry = BreakerRegistry()
    breaker = registry.add(CircuitBreaker("orders", clock=clock))
    clock.advance(1.7e308)
    clock.advance(1.7e308)
    assert breaker.health()["time_in_state_seconds"] == math.inf
    entry = (await ask(Dashboard(registry), "/status.json")).json()["breakers"]["orders"]
    assert entry["time_in_state_seconds"] is None
