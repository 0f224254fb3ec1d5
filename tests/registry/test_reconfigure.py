"""`registry.reconfigure(...)`: new settings for one breaker, a group or all; the states stay."""

import threading
from collections.abc import Awaitable, Callable

import pytest

from recloser import BreakerRegistry, CircuitBreaker, CircuitState, CountWindow, FailureRate
from recloser.testing import ManualClock
from tests.registry.kit import fail

pytestmark = pytest.mark.anyio


async def test_new_defaults_reach_present_and_future_breakers() -> None:
    registry = BreakerRegistry()
    breaker = registry.breaker("payments")
    registry.reconfigure(failure_threshold=9, reset_timeout_seconds=30)
    assert (breaker.failure_threshold, breaker.reset_timeout_seconds) == (9, 30)
    assert registry.breaker("orders").failure_threshold == 9


async def test_new_defaults_keep_a_breakers_own_settings() -> None:
    registry = BreakerRegistry()
    breaker = registry.breaker("payments", failure_threshold=3)
    registry.reconfigure(failure_threshold=9, reset_timeout_seconds=30)
    assert (breaker.failure_threshold, breaker.reset_timeout_seconds) == (3, 30)


async def test_an_own_setting_that_was_the_default_stays_too() -> None:
    registry = BreakerRegistry()
    breaker = registry.breaker("payments", failure_threshold=5)
    registry.reconfigure(failure_threshold=9)
    assert breaker.failure_threshold == 5


async def test_none_as_an_override_is_no_setting_of_its_own() -> None:
    registry = BreakerRegistry()
    breaker = registry.breaker("payments", failure_threshold=None)
    registry.reconfigure(failure_threshold=9)
    assert breaker.failure_threshold == 9


async def test_states_generations_deadlines_and_windows_stay(clock: ManualClock) -> None:
    rule = FailureRate(0.5, window=CountWindow(10), minimum_calls=5)
    registry = BreakerRegistry(clock=clock, trip_when=rule)
    fail(registry, "open", times=5)
    fail(registry, "failing", times=3)
    registry.breaker("forced").force_open("maintenance")
    clock.advance(10)
    registry.reconfigure(reset_timeout_seconds=5, trip_when=FailureRate(0.9, window=CountWindow(20), minimum_calls=10))
    assert (registry.breaker("open").state, registry.breaker("open").retry_after) == (CircuitState.OPEN, 50)
    assert registry.breaker("failing").failure_count == 3
    assert registry.breaker("forced").state is CircuitState.FORCED_OPEN


async def test_one_breaker_can_be_changed_alone() -> None:
    registry = BreakerRegistry()
    one, other = registry.breaker("one"), registry.breaker("other")
    registry.reconfigure("one", failure_threshold=9)
    assert (one.failure_threshold, other.failure_threshold) == (9, 5)


async def test_what_was_changed_for_one_breaker_is_its_own_from_then_on() -> None:
    registry = BreakerRegistry()
    by_registry, by_itself = registry.breaker("by registry"), registry.breaker("by itself")
    registry.reconfigure("by registry", failure_threshold=6)
    by_itself.reconfigure(failure_threshold=7)
    registry.reconfigure(failure_threshold=9, max_probes=2)
    assert (by_registry.failure_threshold, by_itself.failure_threshold) == (6, 7)
    assert {breaker.engine.machine.settings.max_probes for breaker in registry} == {2}


async def test_what_a_breaker_was_given_directly_survives_a_change_through_the_registry() -> None:
    registry = BreakerRegistry()
    breaker = registry.breaker("payments")
    breaker.reconfigure(failure_threshold=7)
    registry.reconfigure("payments", max_probes=2)
    registry.reconfigure(failure_threshold=9)
    assert breaker.failure_threshold == 7


async def test_code_that_repeats_its_definition_keeps_working() -> None:
    registry = BreakerRegistry()
    breaker = registry.breaker("payments", failure_threshold=3)
    registry.reconfigure("payments", failure_threshold=9)
    assert registry.breaker("payments", failure_threshold=3) is breaker
    assert registry.breaker("payments", failure_threshold=9) is breaker
    assert breaker.failure_threshold == 9
    with pytest.raises(ValueError, match="failure_threshold is 9, not 4"):
        registry.breaker("payments", failure_threshold=4)


async def test_code_that_repeats_a_default_keeps_working_when_defaults_change() -> None:
    registry = BreakerRegistry(failure_threshold=5)
    breaker = registry.breaker("payments")
    registry.reconfigure(failure_threshold=9)
    assert registry.breaker("payments", failure_threshold=5) is breaker


async def test_a_breaker_that_was_made_after_a_change_of_the_defaults_is_defined_by_these() -> None:
    registry = BreakerRegistry()
    registry.reconfigure(failure_threshold=20)
    breaker = registry.breaker("payments")
    assert registry.breaker("payments", failure_threshold=20) is breaker
    with pytest.raises(ValueError, match="failure_threshold is 20, not 5"):
        registry.breaker("payments", failure_threshold=5)
    registry.reconfigure(failure_threshold=30)
    assert registry.breaker("payments", failure_threshold=20).failure_threshold == 30


async def test_breakers_that_were_changed_together_share_their_settings() -> None:
    registry = BreakerRegistry()
    plain = [registry.breaker(name) for name in "ab"]
    own = [registry.breaker(name, failure_threshold=3) for name in "cd"]
    registry.reconfigure(reset_timeout_seconds=30)
    assert len({id(breaker.engine.machine.settings) for breaker in plain}) == 1
    assert len({id(breaker.engine.machine.settings) for breaker in own}) == 1


async def test_an_added_breaker_keeps_its_settings_when_defaults_change() -> None:
    registry, other = BreakerRegistry(), BreakerRegistry()
    added = registry.add(CircuitBreaker("added"))
    borrowed = registry.add(other.breaker("borrowed"))
    registry.reconfigure(failure_threshold=9)
    assert (added.failure_threshold, borrowed.failure_threshold) == (5, 5)
    registry.reconfigure("added", failure_threshold=8)
    assert added.failure_threshold == 8


async def test_an_evicted_breaker_in_use_is_changed_too() -> None:
    registry = BreakerRegistry(max_breakers=1)
    held = registry.breaker("held")
    registry.breaker("other")
    registry.reconfigure(failure_threshold=9)
    assert held.failure_threshold == 9


async def test_a_bad_setting_changes_nothing() -> None:
    registry = BreakerRegistry()
    breaker = registry.breaker("payments")
    for name in (None, "payments"):
        with pytest.raises(ValueError, match="max_probes must be an integer >= 1, not 0"):
            registry.reconfigure(name, failure_threshold=9, max_probes=0)
    with pytest.raises(TypeError, match="unknown setting failure_treshold"):
        registry.reconfigure(failure_treshold=9)
    assert breaker.failure_threshold == registry.breaker("orders").failure_threshold == 5


@pytest.mark.parametrize("name", [None, "payments", "web"])
def test_settings_change_in_any_thread_and_without_an_event_loop(name: str | None) -> None:
    registry = BreakerRegistry()
    registry.per_key("web", key=str)
    breakers = [registry.breaker(each) for each in ("payments", "web[a]", "orders")]
    thread = threading.Thread(target=registry.reconfigure, args=(name,), kwargs={"failure_threshold": 9})
    thread.start()
    thread.join(10)
    changed = {breaker.name for breaker in breakers if breaker.failure_threshold == 9}
    assert changed == {None: {"payments", "web[a]", "orders"}, "payments": {"payments"}, "web": {"web[a]"}}[name]


async def test_an_unknown_name_is_refused_and_the_known_ones_are_listed() -> None:
    registry = BreakerRegistry()
    registry.per_key("web", key=str)
    for number in range(12):
        registry.breaker(f"b{number:02}")
    with pytest.raises(ValueError, match="name must be that of a circuit breaker") as caught:
        registry.reconfigure("payments", failure_threshold=9)
    assert str(caught.value) == (
        "name must be that of a circuit breaker of this registry (b00, b01, b02, b03, b04, b05, b06, b07, b08, b09 and "
        "2 more) or of a per-key group (web), not 'payments'"
    )
    with pytest.raises(ValueError, match=r"of this registry \(there are none\) or of a per-key group \(there are none"):
        BreakerRegistry().reconfigure("web[...]", failure_threshold=9)
    with pytest.raises(TypeError, match="name must be a string, not 5"):
        registry.reconfigure(5, failure_threshold=9)


async def test_a_per_key_group_follows_the_defaults_and_keeps_its_own_settings() -> None:
    registry = BreakerRegistry()

    @registry.per_key("hosts", key=str, failure_threshold=3)
    async def fetch(host: str) -> str:
        return host

    await fetch("a")
    registry.reconfigure(failure_threshold=9, reset_timeout_seconds=30)
    await fetch("b")
    settings = {(breaker.failure_threshold, breaker.reset_timeout_seconds) for breaker in registry}
    assert settings == {(3, 30)}


async def test_a_definition_with_a_predicate_that_cannot_be_hashed_follows_the_defaults() -> None:
    class Predicate:
        __hash__ = None

        def __call__(self, _: BaseException) -> bool:
            return True

    registry = BreakerRegistry()
    breaker = registry.breaker("payments", expected_exception=Predicate())
    registry.reconfigure(failure_threshold=9)
    assert breaker.failure_threshold == 9
    assert isinstance(breaker.expected_exception, Predicate)


# Groups


@pytest.mark.parametrize("name", ["web", "web[...]"])
async def test_a_group_can_be_changed_with_all_of_its_keys(name: str) -> None:
    registry = BreakerRegistry()
    fetch = fetcher(registry, failure_threshold=3)
    await fetch("a")
    registry.breaker("other[a]")
    registry.reconfigure(name, failure_threshold=8, max_probes=2)
    await fetch("b")
    assert [registry.get(f"web[{key}]").failure_threshold for key in "ab"] == [8, 8]
    assert registry.get("web[a]").engine.machine.settings is registry.get("web[b]").engine.machine.settings
    assert registry.get("other[a]").failure_threshold == 5
    registry.reconfigure(failure_threshold=9, max_probes=3, reset_timeout_seconds=30)
    settings = {breaker.engine.machine.settings for breaker in registry if breaker.name.startswith("web")}
    assert {(each.trip_when.threshold, each.max_probes, each.backoff.seconds) for each in settings} == {(8, 2, 30)}


async def test_code_that_repeats_the_definition_of_a_group_keeps_working() -> None:
    registry = BreakerRegistry()
    await fetcher(registry, failure_threshold=3)("a")
    registry.reconfigure("web", failure_threshold=8)
    for threshold in (3, 8):
        await fetcher(registry, failure_threshold=threshold)("b")
        assert registry.breaker("web[a]", failure_threshold=threshold).failure_threshold == 8
    with pytest.raises(ValueError, match="failure_threshold is 8, not 4"):
        fetcher(registry, failure_threshold=4)


async def test_a_change_of_a_group_keeps_a_keys_own_settings() -> None:
    registry = BreakerRegistry.from_config({"breakers": {"web[configured]": {"failure_threshold": 4}}})
    registry.add(CircuitBreaker("web[added]", failure_threshold=7))
    fetch = fetcher(registry)
    await fetch("own")
    registry.reconfigure("web[own]", failure_threshold=6)
    registry.reconfigure("web", failure_threshold=8, max_probes=2)
    thresholds = {breaker.name: breaker.failure_threshold for breaker in registry}
    assert thresholds == {"web[configured]": 4, "web[added]": 7, "web[own]": 6}
    assert registry.breaker("web[own]").engine.machine.settings.max_probes == 2
    registry.reconfigure(failure_threshold=9, success_threshold=3)
    own = registry.breaker("web[own]").engine.machine.settings
    assert (own.trip_when.threshold, own.max_probes, own.success_threshold) == (6, 2, 3)


async def test_a_change_of_a_group_does_not_change_a_keys_own_setting() -> None:
    registry = BreakerRegistry()
    fetch = fetcher(registry)
    await fetch("own")
    registry.reconfigure("web[own]", failure_threshold=6)
    before = registry.breaker("web[own]").engine.machine.settings
    registry.reconfigure("web", failure_threshold=8)
    assert registry.breaker("web[own]").engine.machine.settings is before


async def test_a_configured_group_can_be_changed_before_any_code_uses_it() -> None:
    registry = BreakerRegistry.from_config({"per_key": {"web": {"failure_threshold": 4}}})
    registry.reconfigure("web", failure_threshold=8)
    await fetcher(registry, failure_threshold=4)("a")
    assert registry.breaker("web[a]").failure_threshold == 8


async def test_a_bad_setting_changes_nothing_of_a_group() -> None:
    registry = BreakerRegistry()
    await fetcher(registry)("a")
    with pytest.raises(ValueError, match="max_probes must be an integer >= 1, not 0"):
        registry.reconfigure("web", failure_threshold=9, max_probes=0)
    assert registry.breaker("web[a]").failure_threshold == registry.breaker("web[b]").failure_threshold == 5


@pytest.mark.parametrize(("taken", "clear"), [("web", "web[...]"), ("web[...]", "web")])
async def test_a_name_of_both_a_breaker_and_a_group_is_refused_with_the_one_to_use(taken: str, clear: str) -> None:
    registry = BreakerRegistry()
    fetcher(registry)
    breaker = registry.breaker(taken)
    with pytest.raises(ValueError, match="is both: use") as caught:
        registry.reconfigure(taken, failure_threshold=9)
    assert f"use {clear!r} for the group, or reconfigure() the breaker itself" in str(caught.value)
    assert breaker.failure_threshold == 5
    registry.reconfigure(clear, failure_threshold=9)
    assert registry.breaker("web[a]").failure_threshold == 9


def fetcher(registry: BreakerRegistry, **overrides: object) -> Callable[[str], Awaitable[str]]:
    @registry.per_key("web", key=str, **overrides)
    async def fetch(host: str) -> str:
        return host

    return fetch
