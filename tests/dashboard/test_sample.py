"""What is sent about one breaker."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from recloser import CircuitBreaker
from recloser.dashboard._sample import BreakerEntry, dated, read
from recloser.events import Snapshot
from recloser.testing import ManualClock
from tests.dashboard.kit import trip

pytestmark = pytest.mark.anyio


class Changing:
    """A breaker whose state another thread changes between two calls.

    Args:
        before: The breaker as it is when it is read first.
        after: The breaker as it is from then on.
    """

    def __init__(self, before: CircuitBreaker, after: CircuitBreaker) -> None:
        self._healths = [before, after]
        self._after = after

    def snapshot(self) -> Snapshot:
        return self._after.snapshot()

    def health(self) -> BreakerEntry:
        return self._healths.pop(0).health()


async def test_the_fields_are_of_one_state_though_another_thread_changes_it_meanwhile() -> None:
    clock = ManualClock()
    closed, opened = (CircuitBreaker("orders", clock=clock, failure_threshold=1) for _ in range(2))
    await trip(opened)
    entry = read(Changing(closed, opened))
    assert (entry["state"], entry["generation"], entry["cause"]["trigger"]) == ("open", 2, "tripped")


async def test_an_earlier_entry_saves_nothing_that_may_have_changed() -> None:
    clock = ManualClock()
    breaker = CircuitBreaker("orders", clock=clock, failure_threshold=1)
    known = read(breaker)
    for change in (
        partial(trip, breaker),
        partial(breaker.disable, "a false alarm"),
        breaker.reset,
        partial(trip, breaker),
    ):
        if (waiting := change()) is not None:
            await waiting
        entry = read(breaker, known)
        assert entry == read(breaker)
        known = read(breaker, entry)
        assert known == entry
    clock.advance(60)
    permit = await breaker.acquire()
    assert read(breaker, known)["success_threshold"] == 1
    permit.succeed()
    assert read(breaker, known) == read(breaker)


async def test_the_begin_of_a_state_is_a_time_of_day() -> None:
    clock = ManualClock()
    breaker = CircuitBreaker("orders", clock=clock)
    clock.advance(90)
    began = datetime.fromisoformat(dated(read(breaker))["since"])
    assert datetime.now(UTC) - began == pytest.approx(timedelta(seconds=90), abs=timedelta(seconds=5))


@pytest.mark.parametrize("seconds", [1e300, None])
def test_a_begin_that_no_calendar_has_is_null(seconds: float | None) -> None:
    assert dated({"time_in_state_seconds": seconds})["since"] is None


def test_an_entry_that_says_nothing_of_the_time_has_no_begin() -> None:
    assert dated({"success_total": 1}) == {"success_total": 1}
