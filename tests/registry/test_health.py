"""`registry.health()`: the health of all breakers, as JSON."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from recloser import BreakerRegistry, CountWindow, FailureRate, SlowCallRate
from recloser.registry import RegistryHealth
from recloser.testing import ManualClock
from tests.registry.kit import fail, succeed


def as_json(registry: BreakerRegistry) -> dict[str, object]:
    return json.loads(json.dumps(registry.health(), allow_nan=False))


def test_health_has_the_documented_shape(clock: ManualClock) -> None:
    registry = BreakerRegistry(clock=clock)
    fail(registry, "payments", times=2)
    health = as_json(registry)
    assert set(health) == {"version", "timestamp", "event_loops", "breakers"} == RegistryHealth.__annotations__.keys()
    assert health["version"] == 1
    assert {key: health["breakers"]["payments"][key] for key in ("state", "failure_count", "threshold")} == {
        "state": "closed",
        "failure_count": 2,
        "threshold": 5,
    }
    assert health["breakers"]["payments"] == registry.breaker("payments").health()


def test_the_timestamp_is_the_time_in_utc() -> None:
    taken = datetime.fromisoformat(BreakerRegistry().health()["timestamp"])
    assert taken.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - taken) < timedelta(minutes=1)


def test_an_empty_registry_is_healthy_json() -> None:
    assert as_json(BreakerRegistry())["breakers"] == {}


@pytest.mark.anyio
async def test_every_state_is_json(clock: ManualClock) -> None:
    registry = BreakerRegistry(
        clock=clock,
        trip_when=FailureRate(0.5, minimum_calls=2) | SlowCallRate(slow_call_seconds=1, window=CountWindow(20)),
    )
    succeed(registry, "closed")
    fail(registry, "open", times=2)
    fail(registry, "half-open", times=2)
    registry.breaker("forced").force_open("maintenance \ud800 \x00")
    registry.breaker("forced for ever").force_open("maintenance", for_seconds=1e308)
    registry.breaker("disabled").disable()
    clock.advance(60)
    permit = await registry.breaker("half-open").acquire()
    breakers = as_json(registry)["breakers"]
    assert {name: health["state"] for name, health in breakers.items()} == {
        "closed": "closed",
        "open": "open",
        "half-open": "half_open",
        "forced": "forced_open",
        "forced for ever": "forced_open",
        "disabled": "disabled",
    }
    assert breakers["forced"]["retry_after"] is None
    permit.ignore()


def test_health_is_json_although_a_clock_returns_extreme_numbers(clock: ManualClock) -> None:
    clock.set(-1e308)
    registry = BreakerRegistry(clock=clock)
    registry.breaker("payments")
    clock.set(1e308)
    assert as_json(registry)["breakers"]["payments"]["time_in_state_seconds"] is None


def test_an_evicted_breaker_in_use_is_listed(clock: ManualClock) -> None:
    registry = BreakerRegistry(clock=clock, max_breakers=1)
    held = registry.breaker("held")
    registry.breaker("other")
    assert set(registry.health()["breakers"]) == {held.name, "other"}
