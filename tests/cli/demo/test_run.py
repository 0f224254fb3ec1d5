from dataclasses import replace

import anyio
import pytest

from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.lane import AnswerSource
from recloser.cli.demo.run import play
from recloser.cli.demo.summary import summarise
from recloser.cli.demo.upstream import HOST
from tests.cli.demo.stage import FAILING, HANGING, HEALTHY, OUTAGE, script

pytestmark = pytest.mark.anyio


class Notes:
    """A view that remembers what it was told; it can cancel the run when it is told a certain thing."""

    refresh_seconds = 0.05

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.texts: list[str] = []
        self.refreshed = 0
        self.scope = anyio.CancelScope()
        self.cancel_at: str | None = None

    def note(self, text: str) -> None:
        self.texts.append(text)
        if text == self.cancel_at:
            self.scope.cancel()

    def refresh(self) -> None:
        self.refreshed += 1

    @property
    def port(self) -> int:
        return int(self.texts[0].rpartition(":")[2])


@pytest.fixture(scope="module")
async def played(anyio_backend: object) -> Notes:
    """A whole run, as its view saw it."""
    assert anyio_backend
    view = Notes(Experiment(OUTAGE, seed=1))
    await play(view.experiment, view)
    return view


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
    assert played.refreshed > 5


@pytest.mark.parametrize(
    ("ttl_seconds", "source"), [(60.0, AnswerSource.MEMORY), (0.0001, AnswerSource.DEFAULT)], ids=["known", "too old"]
)
async def test_what_the_breaker_rejects_is_answered_from_memory_or_else_by_default(
    ttl_seconds: float, source: AnswerSource
) -> None:
    long = replace(HEALTHY, seconds=1.5)  # so that a busy machine has remembered an answer by its end
    plan = replace(script(long, FAILING, HEALTHY), orders=1, memory_ttl_seconds=ttl_seconds)
    experiment = Experiment(plan, seed=1)
    await play(experiment, Notes(experiment))
    summary = summarise(experiment)
    assert summary.protected.counts[source] == experiment.breaker.health()["rejected_total"] > 0
    assert (summary.protected.oldest_seconds is None) == (source is AnswerSource.DEFAULT)
    assert set(summary.bare.counts) == {AnswerSource.SERVICE, AnswerSource.FAILURE}


async def test_a_breaker_that_lets_two_probes_through_is_found_out() -> None:
    experiment = Experiment(script(FAILING, HANGING, HEALTHY), seed=1)
    await experiment.breaker.reconfigure(max_probes=2)
    await play(experiment, Notes(experiment))
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
    experiment = Experiment(script(HEALTHY, HANGING), seed=1)
    await play(experiment, Notes(experiment))
    bare = experiment.bare
    assert (
        bare.counts[AnswerSource.SERVICE] + bare.counts[AnswerSource.FAILURE] == experiment.upstream.counts[bare.name]
    )
