"""The figures at the end of a run, computed from its records."""

from collections import Counter
from dataclasses import dataclass
from statistics import median

from recloser import CircuitState
from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.history import HalfOpenPeriod
from recloser.cli.demo.lane import AnswerSource, Lane

__all__ = ["LaneSummary", "Summary", "summarise"]


@dataclass(frozen=True, slots=True)
class LaneSummary:
    """What one lane's callers saw, and what reached the upstream from them.

    Attributes:
        calls: Finished calls.
        counts: How many of them had each outcome.
        counts_while_down: The same for the calls that ended while no request could succeed.
        oldest_seconds: The age of the oldest answer from memory; None without such an answer.
        hits: Requests that reached the upstream.
        hits_while_down: The requests that arrived while no request could succeed.
        lost_seconds: The time that callers waited for calls that failed.
        latency_seconds: The median time of calls that the upstream answered; None without such calls.
    """

    calls: int
    counts: Counter[AnswerSource]
    counts_while_down: Counter[AnswerSource]
    oldest_seconds: float | None
    hits: int
    hits_while_down: int
    lost_seconds: float
    latency_seconds: float | None

    @property
    def rejections(self) -> int:
        """Calls that the breaker rejected: only these fall back."""
        return self.counts[AnswerSource.MEMORY] + self.counts[AnswerSource.DEFAULT]


@dataclass(frozen=True, slots=True)
class Summary:
    """The whole run.

    Attributes:
        protected: The lane with the breaker.
        bare: The lane without.
        detect_seconds: From the start of the outage until the breaker opened; None if it never did.
        recover_seconds: From the end of the outage until the breaker closed; None if it never did.
        probes: For each half-open episode, how many of its requests reached the upstream; None if it had not ended.
    """

    protected: LaneSummary
    bare: LaneSummary
    detect_seconds: float | None
    recover_seconds: float | None
    probes: tuple[int | None, ...]

    @property
    def problems(self) -> list[str]:
        """The ways in which the breaker did not behave as it should, as sentences."""
        found: list[str] = []
        if self.detect_seconds is None:
            found.append("The breaker did not open while the upstream was down.")
        if self.recover_seconds is None:
            found.append("The breaker did not close after the upstream had come back.")
        found.extend(
            f"Half-open episode {number} had not ended."
            if probes is None
            else f"Half-open episode {number} let {probes} requests reach the upstream, not exactly one."
            for number, probes in enumerate(self.probes, start=1)
            if probes != 1
        )
        return found


def summarise(experiment: Experiment) -> Summary:
    """Return the summary of a finished run."""
    down, up = experiment.outage
    opened = experiment.history.first(CircuitState.OPEN, since=down)
    closed = experiment.history.first(CircuitState.CLOSED, since=up)
    return Summary(
        protected=_lane(experiment, experiment.protected),
        bare=_lane(experiment, experiment.bare),
        detect_seconds=None if opened is None or opened >= up else opened - down,
        recover_seconds=None if closed is None else closed - up,
        probes=tuple(_probes(experiment, episode) for episode in experiment.history.episodes),
    )


def _probes(experiment: Experiment, episode: HalfOpenPeriod) -> int | None:
    """Count by generation, because a call from before the opening can be so slow that it arrives during half-open."""
    if episode.generation is None:
        return None
    hits = (hit for hit in experiment.upstream.hits if hit.lane == experiment.protected.name)
    return sum(hit.generation == str(episode.generation) for hit in hits)


def _lane(experiment: Experiment, lane: Lane) -> LaneSummary:
    hits = [hit for hit in experiment.upstream.hits if hit.lane == lane.name]
    down, up = experiment.outage
    answered = [call.seconds for call in lane.calls if call.outcome is AnswerSource.SERVICE]
    ages = [call.age_seconds for call in lane.calls if call.age_seconds is not None]
    return LaneSummary(
        calls=len(lane.calls),
        counts=lane.counts.copy(),
        counts_while_down=Counter(call.outcome for call in lane.calls if down <= call.at < up),
        oldest_seconds=max(ages, default=None),
        hits=len(hits),
        hits_while_down=sum(hit.phase.down for hit in hits),
        lost_seconds=lane.lost_seconds,
        latency_seconds=median(answered) if answered else None,
    )
