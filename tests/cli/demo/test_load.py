from random import Random

import anyio
import pytest

from recloser import CircuitBreaker
from recloser.cli.demo.lane import FAULTS, AnswerSource, Fetch, Lane, Order, ProtectedLane
from recloser.cli.demo.load import drive
from recloser.cli.demo.plan import Phase
from recloser.testing import ManualClock
from tests.cli.demo.stage import FAILING, HEALTHY, RESETTING, script, serving

pytestmark = pytest.mark.anyio

PLAN = script(HEALTHY, callers=5)


class PatientLane(Lane):
    """Says stop once each caller has called twice on average, and keeps what the callers were sent."""

    def __init__(self) -> None:
        super().__init__("lane", clock=ManualClock())
        self.stop = anyio.Event()
        self.orders: list[tuple[int, Order]] = []

    async def attempt(self, fetch: Fetch, number: int) -> None:
        async def kept(number: int) -> Order:
            order = await fetch(number)
            self.orders.append((number, order))
            return order

        await super().attempt(kept, number)
        if len(self.calls) >= 2 * PLAN.callers:
            self.stop.set()


@pytest.mark.parametrize(
    ("phase", "outcome"),
    [(HEALTHY, AnswerSource.SERVICE), (FAILING, AnswerSource.FAILURE), (RESETTING, AnswerSource.FAILURE)],
    ids=["healthy", "statuses", "resets"],
)
async def test_callers_go_on_until_they_are_told_to_stop(phase: Phase, outcome: AnswerSource) -> None:
    async with serving(phase) as (upstream, client):
        lane = PatientLane()
        await drive(lane, client, PLAN, Random(1), lane.stop)
    assert len(lane.calls) >= 2 * PLAN.callers
    assert set(lane.counts) == {outcome}
    assert upstream.counts["lane"] == len(lane.calls)


async def test_callers_get_the_orders_that_they_ask_for() -> None:
    async with serving(HEALTHY) as (_, client):
        lane = PatientLane()
        await drive(lane, client, PLAN, Random(1), lane.stop)
    assert all(order["order"] == str(number) for number, order in lane.orders)
    asked = {number for number, _ in lane.orders}
    assert len(asked) > 1
    assert asked <= set(range(1, PLAN.orders + 1))


class ImpatientLane(ProtectedLane):
    """Says stop once as many calls as there are callers were rejected."""

    def __init__(self) -> None:
        breaker = CircuitBreaker(failure_threshold=1, expected_exception=FAULTS)
        super().__init__("lane", clock=ManualClock(), breaker=breaker, plan=PLAN)
        self.stop = anyio.Event()

    async def attempt(self, fetch: Fetch, number: int) -> None:
        await super().attempt(fetch, number)
        if self.counts[AnswerSource.DEFAULT] >= PLAN.callers:
            self.stop.set()


async def test_callers_that_are_answered_by_default_send_nothing() -> None:
    async with serving(FAILING) as (upstream, client):
        lane = ImpatientLane()
        await drive(lane, client, PLAN, Random(1), lane.stop)
    assert set(lane.counts) == {AnswerSource.FAILURE, AnswerSource.DEFAULT}
    assert upstream.counts["lane"] == lane.counts[AnswerSource.FAILURE]
