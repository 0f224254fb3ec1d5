from random import Random

import anyio
import httpx
import pytest

from recloser import CircuitBreaker
from recloser.cli.demo.load import FAULTS, Call, Fetch, Lane, Outcome, drive
from recloser.cli.demo.plan import Phase
from recloser.testing import ManualClock
from tests.cli.demo.stage import FAILING, HEALTHY, RESETTING, script, serving

pytestmark = pytest.mark.anyio


async def nothing() -> None:
    pass


async def refused() -> None:
    raise httpx.ConnectError("refused")


def breaker() -> CircuitBreaker:
    return CircuitBreaker(failure_threshold=1, expected_exception=FAULTS)


async def test_a_caller_s_record_says_what_it_got_when_and_how_long_it_waited() -> None:
    clock = ManualClock(10.0)
    lane = Lane("bare", clock=clock)

    async def slow() -> None:
        clock.advance(2.0)
        raise httpx.ReadTimeout("too slow")

    await lane.attempt(nothing)
    await lane.attempt(slow)
    assert lane.calls == [Call(10.0, Outcome.SUCCESS, 0.0), Call(12.0, Outcome.FAILURE, 2.0)]
    assert lane.counts == {Outcome.SUCCESS: 1, Outcome.FAILURE: 1}
    assert lane.lost_seconds == 2.0


async def test_a_breaker_s_rejection_is_neither_success_nor_failure() -> None:
    lane = Lane("protected", clock=ManualClock(), breaker=breaker())
    await lane.attempt(refused)
    await lane.attempt(nothing)
    assert [call.outcome for call in lane.calls] == [Outcome.FAILURE, Outcome.REJECTED]


async def test_an_error_that_is_not_the_upstream_s_is_not_swallowed() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Lane("bare", clock=ManualClock()).attempt(broken)


class PatientLane(Lane):
    """Says stop once each caller has called twice on average."""

    stop: anyio.Event

    async def attempt(self, fetch: Fetch) -> None:
        await super().attempt(fetch)
        if len(self.calls) >= 2 * PLAN.callers:
            self.stop.set()


PLAN = script(HEALTHY, callers=5)


@pytest.mark.parametrize(
    ("phase", "outcome"),
    [(HEALTHY, Outcome.SUCCESS), (FAILING, Outcome.FAILURE), (RESETTING, Outcome.FAILURE)],
    ids=["healthy", "statuses", "resets"],
)
async def test_callers_go_on_until_they_are_told_to_stop(phase: Phase, outcome: Outcome) -> None:
    async with serving(phase) as (upstream, client):
        lane = PatientLane("lane", clock=ManualClock())
        lane.stop = anyio.Event()
        await drive(lane, client, PLAN, Random(1), lane.stop)
    assert len(lane.calls) >= 2 * PLAN.callers
    assert set(lane.counts) == {outcome}
    assert upstream.counts["lane"] == len(lane.calls)


async def test_rejected_callers_send_nothing() -> None:
    async with serving(FAILING) as (upstream, client):
        lane = PatientLane("lane", clock=ManualClock(), breaker=breaker())
        lane.stop = anyio.Event()
        await drive(lane, client, PLAN, Random(1), lane.stop)
    assert lane.counts[Outcome.REJECTED] > 0
    assert upstream.counts["lane"] == lane.counts[Outcome.FAILURE] == len(lane.calls) - lane.counts[Outcome.REJECTED]
