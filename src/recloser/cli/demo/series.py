"""Turns records into what the picture plots: rates per bin, spans and running totals."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recloser import CircuitState
from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.lane import AnswerSource, Call

__all__ = ["Bins", "Span", "lost_seconds", "phase_spans", "state_spans"]


@dataclass(frozen=True, slots=True)
class Bins:
    """Time slices of equal length, starting at zero.

    Attributes:
        width_seconds: The length of each slice.
        count: The number of slices; later times are left out.
    """

    width_seconds: float
    count: int

    @property
    def edges(self) -> list[float]:
        """The limits of the slices: one more than there are slices."""
        return [number * self.width_seconds for number in range(self.count + 1)]

    def rates(self, times: Iterable[float]) -> list[float]:
        """Return the number of times per second in each slice."""
        totals = [0] * self.count
        for at in times:
            if (number := int(at / self.width_seconds)) < self.count:
                totals[number] += 1
        return [total / self.width_seconds for total in totals]


@dataclass(frozen=True, slots=True)
class Span:
    """A named period."""

    name: str
    began: float
    ended: float


def phase_spans(experiment: Experiment) -> list[Span]:
    """Return the upstream's phases; the first one also covers the time before the script began."""
    first, *others = experiment.marks
    beginnings = [(0.0, first.phase.name), *((mark.at, mark.phase.name) for mark in others)]
    return _spans(beginnings, experiment.plan.seconds)


def state_spans(experiment: Experiment) -> list[Span]:
    """Return the breaker's states."""
    changes = [(change.monotonic, change.new.value) for change in experiment.history.changes]
    return _spans([(0.0, CircuitState.CLOSED.value), *changes], experiment.plan.seconds)


def lost_seconds(calls: Iterable[Call], until: float) -> tuple[list[float], list[float]]:
    """Return times, and how long callers had waited by then for calls that failed."""
    times, totals = [0.0], [0.0]
    for call in calls:
        if call.outcome is AnswerSource.FAILURE:
            times.append(call.at)
            totals.append(totals[-1] + call.seconds)
    return [*times, until], [*totals, totals[-1]]


def _spans(beginnings: Sequence[tuple[float, str]], until: float) -> list[Span]:
    endings = [*(at for at, _ in beginnings[1:]), until]
    return [Span(name, began, ended) for (began, name), ended in zip(beginnings, endings, strict=True)]
