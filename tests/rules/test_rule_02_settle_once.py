"""Rule 2: a permit is settled once."""

import pytest

from recloser import Event
from recloser.events import CallSucceeded
from recloser.testing import ManualClock
from tests.breaker.kit import (
    Dependency,
    admits_a_probe,
    answer,
    drop,
    drop_in_threads,
    make,
    make_probing,
    make_ready,
    totals,
)
from tests.rules.kit import by_call, by_decorator, by_guard

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("second", ["succeed", "fail", "ignore", "with"])
@pytest.mark.parametrize("first", ["succeed", "fail", "ignore"])
async def test_rule_2_a_permit_settled_twice_raises_nothing_and_changes_nothing_the_second_time(
    clock: ManualClock, first: str, second: str
) -> None:
    breaker = make(clock)
    permit = await breaker.acquire()
    getattr(permit, first)()
    before = breaker.snapshot()
    if second == "with":
        with permit:
            pass
    else:
        getattr(permit, second)()
    assert breaker.snapshot() == before


@pytest.mark.parametrize("second", ["succeed", "fail", "ignore"])
async def test_rule_2_a_probe_permit_settled_twice_frees_one_permit(clock: ManualClock, second: str) -> None:
    breaker, first = await make_probing(clock, max_probes=2, success_threshold=9)
    other = await breaker.acquire()
    first.succeed()
    getattr(first, second)()
    replacement = await breaker.acquire()
    assert await breaker.try_acquire() is None
    assert breaker.health()["probes_in_flight"] == 2
    other.ignore()
    replacement.ignore()


async def test_rule_2_a_permit_dropped_unsettled_is_released_and_counted_as_leaked_with_a_warning(
    clock: ManualClock,
) -> None:
    breaker, permit = await make_probing(clock)
    with pytest.warns(ResourceWarning, match="'payments' was dropped"):
        del permit
    assert admits_a_probe(breaker)
    assert totals(breaker) == {"failure": 1, "leaked": 1, "probe": 2, "ignored": 1}


async def test_rule_2_a_permit_dropped_in_another_thread_is_released(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    box = [permit]
    del permit
    with pytest.warns(ResourceWarning):
        drop_in_threads(box)
    assert admits_a_probe(breaker)


async def test_rule_2_a_permit_dropped_in_the_middle_of_a_step_is_released(clock: ManualClock) -> None:
    breaker = await make_ready(clock, max_probes=2, success_threshold=9)
    box = [await breaker.acquire()]

    def drop(event: Event) -> None:
        if isinstance(event, CallSucceeded):
            box.clear()

    breaker.subscribe(drop)
    with pytest.warns(ResourceWarning):
        await breaker.call(answer)
    assert breaker.health()["probes_in_flight"] == 0
    permits = [await breaker.acquire() for _ in range(2)]
    assert breaker.health()["leaked_total"] == 1
    for permit in permits:
        permit.ignore()


async def test_rule_2_a_permit_in_a_reference_cycle_is_released_when_the_cycle_is_collected(clock: ManualClock) -> None:
    breaker, permit = await make_probing(clock)
    cycle: list[object] = [permit]
    cycle.append(cycle)
    box = [cycle]
    del permit, cycle
    with pytest.warns(ResourceWarning):
        drop(box)
    assert admits_a_probe(breaker)


async def test_rule_2_a_probe_whose_coroutine_is_dropped_gives_its_permit_back(clock: ManualClock) -> None:
    breaker = await make_ready(clock)
    for style in (by_call, by_decorator, by_guard):
        coroutine = style(breaker, Dependency().call)
        coroutine.send(None)
        assert breaker.health()["probes_in_flight"] == 1
        coroutine.close()
        assert breaker.health()["probes_in_flight"] == 0
    assert breaker.health()["ignored_total"] == 3
