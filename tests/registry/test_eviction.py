"""`max_breakers`: which breakers are evicted, and that one in use is never lost."""

import logging

import anyio
import pytest

from recloser import BreakerRegistry, CircuitBreaker, CircuitState, ConsecutiveFailures, FailureCount, TimeWindow
from recloser.testing import ManualClock
from tests.effort import FULL
from tests.registry.kit import fail, names, succeed

HOSTS = 100_000 if FULL else 20_000


def make(clock: ManualClock, max_breakers: int = 2, **defaults: object) -> BreakerRegistry:
    return BreakerRegistry(
        max_breakers=max_breakers, clock=clock, **{"failure_threshold": 2, "reset_timeout_seconds": 60, **defaults}
    )


async def half_open(registry: BreakerRegistry, name: str, clock: ManualClock) -> None:
    """Opens a breaker and makes one of the two successful probes that close it."""
    fail(registry, name, times=2)
    clock.advance(60)
    (await registry.breaker(name).acquire()).succeed()


def test_a_hundred_thousand_hosts_that_fail_once_each_stay_at_the_bound(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1_000)
    for number in range(HOSTS):
        fail(registry, f"host-{number}")
    assert len(registry) == 1_000
    assert names(registry) == {f"host-{number}" for number in range(HOSTS - 1_000, HOSTS)}
    assert len(registry.queue.heap) < 3_000
    assert len(registry.queue.evicted.data) == 0


@pytest.mark.anyio
async def test_forced_disabled_and_probing_breakers_survive_any_number_of_hosts(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=10)
    registry.breaker("forced").force_open("maintenance")
    registry.breaker("disabled").disable()
    fail(registry, "on probe", times=2)
    clock.advance(60)
    permit = await registry.breaker("on probe").acquire()
    for number in range(1_000):
        fail(registry, f"host-{number}", times=number % 3)
    assert {"forced", "disabled", "on probe"} < names(registry)
    assert len(registry) == 10
    assert registry.breaker("forced").state is CircuitState.FORCED_OPEN
    permit.succeed()


def test_breakers_whose_time_of_being_forced_open_or_disabled_is_over_are_evicted(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=3)
    registry.breaker("forced").force_open("maintenance", for_seconds=60)
    registry.breaker("disabled").disable(for_seconds=60)
    clock.advance(59)
    for number in range(10):
        fail(registry, f"host-{number}", times=1)
    assert {"forced", "disabled"} < names(registry)
    clock.advance(1)
    registry.breaker("next")
    assert "disabled" not in names(registry)  # it would close at its next call
    for number in range(10):
        fail(registry, f"host-{number}", times=2)
    assert "forced" not in names(registry)  # it is the open one whose time ended first


def test_the_least_recently_used_breaker_is_evicted_first(clock: ManualClock) -> None:
    registry = make(clock)
    for name in ("a", "b", "a", "c"):
        registry.breaker(name)
    assert names(registry) == {"a", "c"}


def test_looking_at_a_breaker_does_not_count_as_a_use(clock: ManualClock) -> None:
    registry = make(clock)
    for name in ("a", "b"):
        registry.breaker(name)
    registry.get("a")
    assert "a" in registry
    registry.health()
    registry.breaker("c")
    assert names(registry) == {"b", "c"}


def test_a_breaker_with_failures_outlives_one_without_that_was_used_later(clock: ManualClock) -> None:
    registry = make(clock)
    fail(registry, "failing")
    succeed(registry, "clean")
    registry.breaker("new")
    assert names(registry) == {"failing", "new"}


def test_an_open_breaker_outlives_one_with_failures_that_was_used_later(clock: ManualClock) -> None:
    registry = make(clock)
    fail(registry, "open", times=2)
    fail(registry, "failing")
    registry.breaker("new")
    assert names(registry) == {"open", "new"}


def test_of_open_breakers_the_one_whose_reset_timeout_ends_first_is_evicted_first(clock: ManualClock) -> None:
    registry = make(clock)
    registry.breaker("later", failure_threshold=1, reset_timeout_seconds=90).try_acquire_nowait().fail()
    clock.advance(10)
    registry.breaker("sooner", failure_threshold=1, reset_timeout_seconds=60).try_acquire_nowait().fail()
    registry.breaker("new")
    assert names(registry) == {"later", "new"}


def test_of_open_breakers_with_equal_ends_the_least_recently_used_is_evicted_first(clock: ManualClock) -> None:
    registry = make(clock)
    for name in ("a", "b"):
        fail(registry, name, times=2)
    registry.breaker("a")
    registry.breaker("new")
    assert names(registry) == {"a", "new"}


@pytest.mark.anyio
async def test_a_half_open_breaker_without_a_probe_outlives_an_open_one_that_was_used_later(
    clock: ManualClock,
) -> None:
    registry = make(clock, success_threshold=2)
    await half_open(registry, "half-open", clock)
    fail(registry, "open", times=2)
    registry.breaker("new")
    assert names(registry) == {"half-open", "new"}


@pytest.mark.anyio
async def test_of_half_open_breakers_the_least_recently_used_is_evicted_first(clock: ManualClock) -> None:
    registry = make(clock, success_threshold=2)
    for name in ("a", "b"):
        await half_open(registry, name, clock)
    registry.breaker("a")
    registry.breaker("new")
    assert names(registry) == {"a", "new"}


@pytest.mark.anyio
async def test_any_number_of_half_open_hosts_stay_at_the_bound(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    registry = make(clock, max_breakers=100, success_threshold=2)
    for number in range(2_000):
        await half_open(registry, f"host-{number}", clock)
    assert names(registry) == {f"host-{number}" for number in range(1_900, 2_000)}
    assert len(registry.queue.heap) < 300
    assert not [record for record in caplog.records if "max_breakers" in record.getMessage()]


@pytest.mark.anyio
async def test_a_half_open_breaker_can_be_evicted_once_its_probe_has_ended(clock: ManualClock) -> None:
    registry = make(clock, success_threshold=2)
    fail(registry, "recovering", times=2)
    clock.advance(60)
    permit = await registry.breaker("recovering").acquire()
    fail(registry, "open", times=2)
    registry.breaker("a")
    assert names(registry) == {"recovering", "a"}
    permit.succeed()
    del permit
    registry.breaker("a").force_open("maintenance")
    registry.breaker("b")
    assert names(registry) == {"a", "b"}


@pytest.mark.anyio
async def test_the_result_of_a_running_probe_is_kept_even_if_nothing_else_can_be_evicted(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=1)
    fail(registry, "recovering", times=2)
    clock.advance(60)
    permit = await registry.breaker("recovering").acquire()
    registry.breaker("new")
    permit.fail()
    del permit
    assert registry.get("recovering").state is CircuitState.OPEN


def test_failures_in_the_window_of_any_rule_count(clock: ManualClock) -> None:
    registry = make(clock, failure_threshold=None, trip_when=ConsecutiveFailures(5) | FailureCount(3))
    fail(registry, "failed and recovered")
    succeed(registry, "failed and recovered")
    registry.breaker("clean")
    registry.breaker("new")
    assert names(registry) == {"failed and recovered", "new"}


def test_failures_that_have_left_the_window_do_not_count(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=3, failure_threshold=None, trip_when=FailureCount(3, window=TimeWindow(60)))
    fail(registry, "old failure")
    registry.breaker("a")
    registry.breaker("b")
    registry.breaker("c")
    assert names(registry) == {"old failure", "b", "c"}
    clock.advance(61)
    registry.breaker("d")
    assert names(registry) == {"b", "c", "d"}


def test_a_breaker_is_ranked_again_before_it_is_evicted(clock: ManualClock) -> None:
    """Breakers change without notifying the registry: callers use them directly."""
    registry = make(clock, max_breakers=3)
    held = registry.breaker("held")
    held.try_acquire_nowait().fail()
    fail(registry, "failing")
    registry.breaker("clean")
    fail(registry, "new")
    assert names(registry) == {"held", "failing", "new"}
    held.try_acquire_nowait().fail()
    del held
    registry.breaker("newer")
    assert names(registry) == {"held", "new", "newer"}


def test_a_breaker_that_has_recovered_since_it_was_ranked_is_evicted_first(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=3)
    held = registry.breaker("held")
    held.try_acquire_nowait().fail()
    for name in ("a", "b", "c"):
        registry.breaker(name)
    assert names(registry) == {"held", "b", "c"}
    held.try_acquire_nowait().succeed()
    del held
    registry.breaker("d")
    assert names(registry) == {"b", "c", "d"}


@pytest.mark.anyio
async def test_a_breaker_that_was_forced_open_since_it_was_ranked_stays(clock: ManualClock) -> None:
    registry = make(clock)
    held = registry.breaker("held")
    held.try_acquire_nowait().fail()
    for name in ("a", "b"):
        registry.breaker(name)
    held.force_open("maintenance")
    del held
    fail(registry, "b")
    registry.breaker("c")
    assert names(registry) == {"held", "c"}


@pytest.mark.anyio
async def test_a_breaker_that_was_half_open_can_be_evicted_once_it_has_closed(clock: ManualClock) -> None:
    registry = make(clock)
    fail(registry, "recovering", times=2)
    clock.advance(60)
    permit = await registry.breaker("recovering").acquire()
    registry.breaker("a")
    registry.breaker("b")
    assert names(registry) == {"recovering", "b"}
    permit.succeed()
    del permit
    registry.breaker("c")
    assert names(registry) == {"b", "c"}


@pytest.mark.anyio
async def test_a_breaker_that_was_half_open_keeps_its_place_if_its_probe_fails(clock: ManualClock) -> None:
    registry = make(clock)
    fail(registry, "recovering", times=2)
    clock.advance(60)
    permit = await registry.breaker("recovering").acquire()
    registry.breaker("a")
    registry.breaker("b")
    permit.fail()
    del permit
    for name in ("c", "d"):
        registry.breaker(name)
    assert names(registry) == {"recovering", "d"}
    fail(registry, "d", times=2)
    registry.breaker("e")
    assert names(registry) == {"d", "e"}


@pytest.mark.anyio
async def test_if_no_breaker_can_be_evicted_the_registry_grows_and_logs_that_once(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    registry = make(clock)
    for name in ("a", "b", "c", "d"):
        registry.breaker(name).force_open("maintenance")
    assert names(registry) == {"a", "b", "c", "d"}
    warnings = [record for record in caplog.records if "max_breakers=2" in record.getMessage()]
    assert [record.levelno for record in warnings] == [logging.WARNING]


@pytest.mark.anyio
async def test_a_registry_that_has_grown_shrinks_again_when_breakers_can_be_evicted(clock: ManualClock) -> None:
    registry = make(clock)
    for name in ("a", "b", "c", "d"):
        registry.breaker(name).disable()
    for name in ("a", "b", "c", "d"):
        registry.breaker(name).reset()
    registry.breaker("e")
    assert names(registry) == {"d", "e"}


def test_an_evicted_breaker_in_use_is_the_same_object_on_get(clock: ManualClock) -> None:
    registry = make(clock)
    held = registry.breaker("held")
    for name in ("a", "b", "c"):
        registry.breaker(name)
    assert registry.get("held") is held
    assert names(registry) == {"b", "c", "held"}
    assert len(registry) == 3
    assert registry.breaker("held") is held
    assert names(registry) == {"c", "held"}


def test_an_evicted_breaker_that_is_not_in_use_is_forgotten(clock: ManualClock) -> None:
    registry = make(clock)
    fail(registry, "forgotten")
    for name in ("a", "b", "c"):
        fail(registry, name)
    assert "forgotten" not in registry
    assert registry.breaker("forgotten").failure_count == 0


def test_a_name_whose_evicted_breaker_is_in_use_is_taken(clock: ManualClock) -> None:
    registry = make(clock)
    held = registry.breaker("held")
    for name in ("a", "b"):
        registry.breaker(name)
    with pytest.raises(ValueError, match="taken"):
        registry.add(CircuitBreaker("held"))
    assert registry.breaker("held") is held


@pytest.mark.anyio
async def test_a_running_call_keeps_its_breaker_under_its_name(clock: ManualClock) -> None:
    registry = make(clock)
    called, may_end = anyio.Event(), anyio.Event()

    async def slow() -> None:
        called.set()
        await may_end.wait()

    async def call() -> None:
        await registry.breaker("slow").call(slow)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await called.wait()
        for name in ("a", "b", "c"):
            registry.breaker(name)
        running = registry.breaker("slow")
        may_end.set()
    assert running.health()["success_total"] == 1


def test_a_clock_is_read_only_where_a_window_depends_on_it(clock: ManualClock) -> None:
    readings: list[None] = []
    registry = BreakerRegistry(max_breakers=1, clock=lambda: readings.append(None) or clock())
    registry.breaker("a")
    readings.clear()
    registry.breaker("b")
    assert len(readings) == 1


def test_heap_entries_of_breakers_that_were_used_again_do_not_pile_up(clock: ManualClock) -> None:
    registry = make(clock, max_breakers=4)
    fail(registry, "at the top")
    for number in range(1_000):
        for name in ("a", "b"):
            succeed(registry, name)
            fail(registry, name)
        for latest in (number, number + 1):
            registry.breaker(f"{latest}")
        assert len(registry.queue.heap) <= 2 * 4 + 16
    assert names(registry) == {"at the top", "a", "b", "1000"}
    for name in ("c", "d"):
        fail(registry, name)
    assert names(registry) == {"a", "b", "c", "d"}


def test_a_get_with_overrides_is_a_use_too(clock: ManualClock) -> None:
    registry = make(clock)
    for name in ("a", "b"):
        registry.breaker(name)
    registry.breaker("a", failure_threshold=2)
    registry.breaker("c")
    assert names(registry) == {"a", "c"}
