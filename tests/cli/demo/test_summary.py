from collections import Counter
from dataclasses import replace

import httpx
import pytest

from recloser.cli.demo.lane import AnswerSource
from recloser.cli.demo.summary import LaneSummary, Summary, summarise
from tests.cli.demo.stage import FAILING, HEALTHY, Rehearsal, script

pytestmark = pytest.mark.anyio

REFUSED = httpx.ConnectError("refused")
NOTHING = LaneSummary(
    calls=0,
    counts=Counter(),
    counts_while_down=Counter(),
    oldest_seconds=None,
    hits=0,
    hits_while_down=0,
    lost_seconds=0.0,
    latency_seconds=None,
)
GOOD = Summary(protected=NOTHING, bare=NOTHING, detect_seconds=0.1, recover_seconds=0.2, probes=(1, 1))


@pytest.fixture
def rehearsal() -> Rehearsal:
    return Rehearsal(script(HEALTHY, FAILING, HEALTHY, failure_threshold=2))


async def outage(rehearsal: Rehearsal) -> None:
    """Two failures of 0.25 s each open the breaker 0.5 s after the outage began; the test goes on from there."""
    rehearsal.clock.set(10.0)
    rehearsal.experiment.enter(HEALTHY)
    await rehearsal.call(protected=True, seconds=0.02)
    await rehearsal.call(protected=False, seconds=0.04)
    rehearsal.clock.set(20.0)
    rehearsal.experiment.enter(FAILING)
    for _ in range(2):
        await rehearsal.call(protected=True, error=REFUSED, seconds=0.25)


async def test_both_lanes_are_summed_up_apart(rehearsal: Rehearsal) -> None:
    await outage(rehearsal)
    await rehearsal.call(protected=True, error=REFUSED, seconds=0.25)
    for _ in range(3):
        await rehearsal.call(protected=False, error=REFUSED, seconds=1.0)
    rehearsal.clock.set(30.0)
    rehearsal.experiment.enter(HEALTHY)
    await rehearsal.call(protected=False, seconds=0.06)
    await rehearsal.call(protected=True, seconds=0.03)
    summary = summarise(rehearsal.experiment)
    assert summary.protected == LaneSummary(
        calls=5,
        counts=Counter({AnswerSource.SERVICE: 2, AnswerSource.FAILURE: 2, AnswerSource.DEFAULT: 1}),
        counts_while_down=Counter({AnswerSource.FAILURE: 2, AnswerSource.DEFAULT: 1}),
        oldest_seconds=None,
        hits=4,
        hits_while_down=2,
        lost_seconds=0.5,
        latency_seconds=pytest.approx(0.025),
    )
    assert summary.bare == LaneSummary(
        calls=5,
        counts=Counter({AnswerSource.SERVICE: 2, AnswerSource.FAILURE: 3}),
        counts_while_down=Counter({AnswerSource.FAILURE: 3}),
        oldest_seconds=None,
        hits=5,
        hits_while_down=3,
        lost_seconds=3.0,
        latency_seconds=pytest.approx(0.05),
    )


async def test_calls_belong_to_the_outage_by_when_they_ended(rehearsal: Rehearsal) -> None:
    await outage(rehearsal)
    await rehearsal.call(protected=False, seconds=0.5)
    rehearsal.clock.set(29.5)
    await rehearsal.call(protected=False, error=REFUSED, seconds=0.25)
    await rehearsal.call(protected=False, error=REFUSED, seconds=0.25)
    rehearsal.experiment.enter(HEALTHY)
    summary = summarise(rehearsal.experiment)
    assert summary.bare.counts == {AnswerSource.SERVICE: 2, AnswerSource.FAILURE: 2}
    assert summary.bare.counts_while_down == {AnswerSource.SERVICE: 1, AnswerSource.FAILURE: 1}


async def test_rejections_are_the_answers_from_memory_and_by_default(rehearsal: Rehearsal) -> None:
    await outage(rehearsal)
    rehearsal.experiment.enter(HEALTHY)
    await rehearsal.call(protected=True)
    rehearsal.clock.set(30.0)
    await rehearsal.call(protected=True)
    rehearsal.experiment.breaker.force_open("maintenance")
    for seconds in (0.125, 0.125, 0.25):
        rehearsal.clock.advance(seconds)
        await rehearsal.call(protected=True)
    summary = summarise(rehearsal.experiment)
    assert summary.protected.counts[AnswerSource.MEMORY] == 2
    assert summary.protected.oldest_seconds == 0.25
    assert summary.protected.rejections == rehearsal.experiment.breaker.health()["rejected_total"] == 4


async def test_detection_and_recovery_are_timed_from_the_phases(rehearsal: Rehearsal) -> None:
    await outage(rehearsal)
    rehearsal.clock.set(30.0)
    rehearsal.experiment.enter(HEALTHY)
    rehearsal.clock.set(30.5)
    await rehearsal.call(protected=True, seconds=0.5)
    summary = summarise(rehearsal.experiment)
    assert summary.detect_seconds == pytest.approx(0.5)
    assert summary.recover_seconds == pytest.approx(1.0)
    assert summary.probes == (1,)
    assert summary.problems == []


async def test_a_call_of_the_closed_breaker_that_arrives_in_half_open_is_no_probe(rehearsal: Rehearsal) -> None:
    await outage(rehearsal)
    generation = str(rehearsal.experiment.breaker.generation - 1)
    rehearsal.clock.set(30.0)
    rehearsal.experiment.enter(HEALTHY)
    permit = await rehearsal.experiment.breaker.acquire()
    rehearsal.experiment.upstream.record("with-breaker", generation)
    assert summarise(rehearsal.experiment).probes == (None,)
    permit.fail()
    assert summarise(rehearsal.experiment).probes == (0,)


async def test_a_breaker_that_never_opened_is_a_problem(rehearsal: Rehearsal) -> None:
    for at, phase in ((10.0, HEALTHY), (20.0, FAILING), (30.0, HEALTHY)):
        rehearsal.clock.set(at)
        rehearsal.experiment.enter(phase)
    summary = summarise(rehearsal.experiment)
    assert summary.detect_seconds is None
    assert summary.problems == ["The breaker did not open while the upstream was down."]


async def test_opening_after_the_outage_is_no_detection(rehearsal: Rehearsal) -> None:
    for at, phase in ((10.0, HEALTHY), (20.0, FAILING), (30.0, HEALTHY)):
        rehearsal.clock.set(at)
        rehearsal.experiment.enter(phase)
    for _ in range(2):
        await rehearsal.call(protected=True, error=REFUSED, seconds=1.0)
    assert summarise(rehearsal.experiment).detect_seconds is None


async def test_a_breaker_that_stays_open_is_a_problem(rehearsal: Rehearsal) -> None:
    await outage(rehearsal)
    rehearsal.clock.set(30.0)
    rehearsal.experiment.enter(HEALTHY)
    summary = summarise(rehearsal.experiment)
    assert summary.recover_seconds is None
    assert summary.problems == ["The breaker did not close after the upstream had come back."]


@pytest.mark.parametrize(
    ("probes", "problem"),
    [
        (0, "Half-open episode 2 let 0 requests reach the upstream, not exactly one."),
        (2, "Half-open episode 2 let 2 requests reach the upstream, not exactly one."),
        (None, "Half-open episode 2 had not ended."),
    ],
)
def test_more_or_less_than_one_probe_is_a_problem(probes: int | None, problem: str) -> None:
    assert GOOD.problems == []
    assert replace(GOOD, probes=(1, probes, 1)).problems == [problem]
