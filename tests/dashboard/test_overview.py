"""What is wrong with all breakers together, by its causes."""

from contextlib import suppress
from typing import Any

import pytest

from recloser import BreakerRegistry
from recloser.dashboard import Dashboard, _ended, _overview
from recloser.testing import ManualClock
from tests.dashboard.kit import ask

pytestmark = pytest.mark.anyio


class RefusedError(Exception):
    """What a client raises that nobody listens to."""


class SlowError(Exception):
    """What a client raises that waits in vain."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def shop(clock: ManualClock) -> BreakerRegistry:
    return BreakerRegistry(clock=clock, failure_threshold=1, reset_timeout_seconds=60)


async def fail(registry: BreakerRegistry, name: str, error: type[Exception] = RefusedError) -> None:
    async def call() -> None:
        raise error

    with suppress(RefusedError, SlowError):
        await registry.breaker(name).call(call)


async def probe(registry: BreakerRegistry, clock: ManualClock, *names: str) -> None:
    """Closes breakers by a probe."""

    async def call() -> None:
        pass

    clock.advance(60)
    for name in names:
        await registry.breaker(name).call(call)


async def overview_of(application: Dashboard) -> dict[str, Any]:
    overview: dict[str, Any] = (await ask(application, "/status.json")).json()["overview"]
    return overview


async def test_without_breakers_there_is_nothing(shop: BreakerRegistry) -> None:
    overview = await overview_of(Dashboard(shop))
    assert overview.pop("instance") == _overview.instance_name()
    assert overview == {
        "total": 0,
        "counts": {},
        "groups": [],
        "other_causes": 0,
        "last_outage": None,
        "forgotten": [],
    }


async def test_breakers_with_one_error_are_one_cause_and_the_largest_comes_first(shop: BreakerRegistry) -> None:
    application = Dashboard(shop)
    await fail(shop, "a", SlowError)
    for name in "bcd":
        await fail(shop, name)
    shop.breaker("e")
    overview = await overview_of(application)
    assert overview["counts"] == {"open": 4, "closed": 1}
    assert overview["total"] == 5
    first, second = overview["groups"]
    assert (first["count"], second["count"]) == (3, 1)
    assert first["trip"]["error_type"].endswith("RefusedError")
    assert first["trip"]["kind"] == "consecutive_failures"
    status = (await ask(application, "/status.json")).json()
    assert {status["breakers"][name]["group"] for name in "bcd"} == {first["id"]}


async def test_shadow_mode_and_states_set_by_hand_are_no_causes(shop: BreakerRegistry) -> None:
    shop.breaker("a", shadow=True)
    await fail(shop, "a")
    shop.breaker("b", shadow=True)
    shop.breaker("c").force_open("a test")
    shop.breaker("d").disable()
    overview = await overview_of(Dashboard(shop))
    assert overview["groups"] == []
    assert overview["total"] == 2
    assert overview["counts"] == {"shadow_open": 1, "in_shadow": 1, "forced_open": 1, "disabled": 1}


async def test_a_probe_that_fails_otherwise_does_not_move_a_breaker(shop: BreakerRegistry, clock: ManualClock) -> None:
    await fail(shop, "a")
    clock.advance(60)
    await fail(shop, "a", SlowError)
    (group,) = (await overview_of(Dashboard(shop)))["groups"]
    assert group["trip"]["error_type"].endswith("RefusedError")


async def test_a_cause_tells_how_many_of_its_breakers_have_closed(shop: BreakerRegistry, clock: ManualClock) -> None:
    application = Dashboard(shop)
    for name in "abc":
        await fail(shop, name)
    await probe(shop, clock, "a", "b")
    (group,) = (await overview_of(application))["groups"]
    assert (group["count"], group["closed"], group["ended_at"]) == (1, 2, None)
    assert group["closing_since"] is not None
    await fail(shop, "b")
    (group,) = (await overview_of(application))["groups"]
    assert (group["count"], group["closed"]) == (2, 1)


async def test_a_cause_is_shown_for_a_while_after_it_is_over(
    shop: BreakerRegistry, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = Dashboard(shop)
    for name in "ab":
        await fail(shop, name)
    await probe(shop, clock, "a", "b")
    overview = await overview_of(application)
    (group,) = overview["groups"]
    assert (group["count"], group["closed"]) == (0, 2)
    assert group["ended_at"] is not None
    assert overview["last_outage"]["count"] == 2
    monkeypatch.setattr(_overview, "LINGERS", -_overview.LINGERS)
    overview = await overview_of(application)
    assert overview["groups"] == []
    assert overview["last_outage"]["trip"]["error_type"].endswith("RefusedError")


async def test_what_was_set_by_hand_without_an_end_is_reminded_of_after_an_hour(
    shop: BreakerRegistry, clock: ManualClock
) -> None:
    application = Dashboard(shop)
    shop.breaker("a").force_open("migration", author="ann")
    shop.breaker("b").force_open("a test", for_seconds=90_000)
    shop.breaker("c").disable()
    clock.advance(3_599)
    assert (await overview_of(application))["forgotten"] == []
    clock.advance(2)
    forgotten = (await overview_of(application))["forgotten"]
    assert [(each["breaker"], each["state"], each["author"]) for each in forgotten] == [
        ("a", "forced_open", "ann"),
        ("c", "disabled", None),
    ]


async def test_there_are_eight_causes_at_most(shop: BreakerRegistry) -> None:
    for number in range(10):
        await fail(shop, f"host-{number}", type(f"Error{number}", (RefusedError,), {}))
    overview = await overview_of(Dashboard(shop))
    assert len(overview["groups"]) == _overview.MOST_CAUSES
    assert overview["other_causes"] == 2


async def test_the_outages_that_are_over_are_kept_in_bounded_number(
    shop: BreakerRegistry, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ended, "MOST_PER_BREAKER", 3)
    application = Dashboard(shop)
    for name in "abbbbb":
        await fail(shop, name)
        await probe(shop, clock, name)
    shop.breaker("c", shadow=True)
    await fail(shop, "c")
    await probe(shop, clock, "c")
    outages = (await ask(application, "/status.json")).json()["outages"]
    assert [each["breaker"] for each in outages] == ["a", "b", "b", "b"]
    assert outages[0]["ended_by"] == "probes_passed"
    assert outages[0]["seconds"] == 60
    assert outages[0]["cause"]["last_error"].endswith("RefusedError")


async def test_what_was_open_by_hand_is_no_outage_of_a_cause(shop: BreakerRegistry) -> None:
    application = Dashboard(shop)
    shop.breaker("a").force_open("a test")
    shop.breaker("a").reset()
    document = (await ask(application, "/status.json")).json()
    assert [each["group"] for each in document["outages"]] == ["manual"]
    assert document["overview"]["groups"] == []
    assert document["overview"]["last_outage"] is None
