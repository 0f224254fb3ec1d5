from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import anyio
import pytest

from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.lane import AnswerSource
from recloser.cli.demo.plan import Plan
from recloser.cli.demo.run import play
from recloser.cli.demo.summary import summarise
from recloser.cli.demo.upstream import HOST
from tests.cli.demo.stage import FAILING, HANGING, HEALTHY, OUTAGE, script

pytestmark = pytest.mark.anyio


PACES = (1, 2, 4, 8)
MOST_GAP_SECONDS = 0.1
"""A view that was refreshed less often than this, at the first pace, has seen a run of a machine that was too busy."""


class Notes:
    """A view that remembers what it was told; it can cancel the run when it is told a certain thing."""

    refresh_seconds = 0.05

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.texts: list[str] = []
        self.refreshed_at: list[float] = []
        self.scope = anyio.CancelScope()
        self.cancel_at: str | None = None

    def note(self, text: str) -> None:
        self.texts.append(text)
        if text == self.cancel_at:
            self.scope.cancel()

    def refresh(self) -> None:
        self.refreshed_at.append(self.experiment.clock())

    @property
    def port(self) -> int:
        return int(self.texts[0].rpartition(":")[2])

    @property
    def longest_gap(self) -> float:
        """The longest time between two refreshes, in seconds."""
        return max(later - earlier for earlier, later in pairwise(self.refreshed_at))


def slowed(plan: Plan, factor: float) -> Plan:
    """Returns a plan whose times are all longer by a factor."""
    names = [field.name for field in fields(plan) if field.name.endswith("_seconds")]
    phases = tuple(
        replace(phase, seconds=factor * phase.seconds, latency_seconds=factor * phase.latency_seconds)
        for phase in plan.phases
    )
    return replace(plan, phases=phases, **{name: factor * getattr(plan, name) for name in names})


async def run_of(plan: Plan, **settings: Any) -> Notes:  # noqa: ANN401 - of a breaker
    """Plays a plan: again, and slower, if the machine was too busy to keep its times."""
    for pace in PACES:
        view = Notes(Experiment(slowed(plan, pace), seed=1))
        view.experiment.breaker.reconfigure(**settings)
        await play(view.experiment, view)
        if view.longest_gap <= pace * MOST_GAP_SECONDS:
            break
    return view


@pytest.fixture(scope="module")
async def played(anyio_backend: object) -> Notes:
    """A whole run, as its view saw it."""
    assert anyio_backend
    return await run_of(OUTAGE)


def test_a_run_sees_the_outage_through_and_all_records_agree(played: Notes) -> None:
    experiment = played.experiment
    summary = summarise(experiment)
    health = experiment.breaker.health()
    assert summary.problems == []
    assert set(summary.probes) == {1}
    assert len(summary.probes) == health["probe_total"]
    assert summary.protected.rejections == health["rejected_total"]
    for lane in (summary.protected, summary.bare):
        assert lane.hits == lane.counts[AnswerSource.SERVICE] + lane.counts[AnswerSource.FAILURE]
    assert summary.bare.hits_while_down > summary.protected.hits_while_down
    assert summary.bare.lost_seconds > summary.protected.lost_seconds


def test_the_view_is_told_of_phases_and_transitions_and_refreshed_meanwhile(played: Notes) -> None:
    assert played.texts[0].startswith(f"upstream: listening on http://{HOST}:")
    phases = [text for text in played.texts[1:] if text.startswith("upstream")]
    assert phases == [f"upstream: {phase.name}" for phase in OUTAGE.phases]
    transitions = [text for text in played.texts if text.startswith("breaker")]
    assert len(transitions) == len(played.experiment.history.changes)
    assert transitions[0].startswith("breaker: closed -> open: 5 consecutive failures")
    assert len(played.refreshed_at) > 5


@pytest.mark.parametrize(
    ("ttl_seconds", "source"), [(60.0, AnswerSource.MEMORY), (0.0001, AnswerSource.DEFAULT)], ids=["known", "too old"]
)
async def test_what_the_breaker_rejects_is_answered_from_memory_or_else_by_default(
    ttl_seconds: float, source: AnswerSource
) -> None:
    plan = replace(script(HEALTHY, FAILING, HEALTHY), orders=1, memory_ttl_seconds=ttl_seconds)
    experiment = (await run_of(plan)).experiment
    summary = summarise(experiment)
    assert summary.protected.counts[source] == experiment.breaker.health()["rejected_total"] > 0
    assert (summary.protected.oldest_seconds is None) == (source is AnswerSource.DEFAULT)
    assert set(summary.bare.counts) == {AnswerSource.SERVICE, AnswerSource.FAILURE}


async def test_a_breaker_that_lets_two_probes_through_is_found_out() -> None:
    experiment = (await run_of(script(FAILING, HANGING, HEALTHY), max_probes=2)).experiment
    assert 2 in summarise(experiment).probes


async def test_cancelling_a_run_ends_its_tasks_and_closes_its_sockets() -> None:
    experiment = Experiment(OUTAGE, seed=1)
    view = Notes(experiment)
    view.cancel_at = "upstream: hanging"
    with view.scope:
        await play(experiment, view)
    assert view.scope.cancelled_caught
    with pytest.raises(OSError, match="connect"):
        await anyio.connect_tcp(HOST, view.port)


async def test_calls_in_flight_end_by_themselves_when_the_script_does() -> None:
    experiment = (await run_of(script(HEALTHY, HANGING))).experiment
    bare = experiment.bare
    assert (
        bare.counts[AnswerSource.SERVICE] + bare.counts[AnswerSource.FAILURE] == experiment.upstream.counts[bare.name]
    )
