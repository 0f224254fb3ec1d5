"""The interface of all views of a running demo, and the figures that they show."""

from collections import Counter
from dataclasses import dataclass
from itertools import takewhile
from statistics import median
from typing import Protocol

from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.lane import AnswerSource, Lane

__all__ = ["SOURCES", "LaneStatus", "View", "lane_status", "milliseconds"]

SOURCES = {AnswerSource.SERVICE: "service", AnswerSource.MEMORY: "memory", AnswerSource.DEFAULT: "default"}
_RECENT_SECONDS = 1.0


class View(Protocol):
    """Shows a run while it is in progress.

    Attributes:
        refresh_seconds: The time between two calls of `refresh`.
    """

    refresh_seconds: float

    def note(self, text: str) -> None:
        """Show an event that has just happened."""

    def refresh(self) -> None:
        """Show the current figures."""


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """A lane's figures so far.

    Attributes:
        calls: Finished calls.
        counts: How many of them had each outcome.
        hits: Requests that reached the upstream.
        lost_seconds: The time that callers waited for calls that failed.
        latency_seconds: The median time of the calls that ended within the last second; None if there were none.
    """

    calls: int
    counts: Counter[AnswerSource]
    hits: int
    lost_seconds: float
    latency_seconds: float | None


def lane_status(experiment: Experiment, lane: Lane) -> LaneStatus:
    """Return a lane's current figures."""
    since = experiment.clock() - _RECENT_SECONDS
    recent = [call.seconds for call in takewhile(lambda call: call.at >= since, reversed(lane.calls))]
    return LaneStatus(
        calls=len(lane.calls),
        counts=lane.counts.copy(),
        hits=experiment.upstream.counts[lane.name],
        lost_seconds=lane.lost_seconds,
        latency_seconds=median(recent) if recent else None,
    )


def milliseconds(seconds: float | None) -> str:
    """Return a latency as text; a dash if there is none."""
    return "-" if seconds is None else f"{seconds * 1000:.0f} ms"
