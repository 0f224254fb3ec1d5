"""The view for pipes, logs and CI: one line per second, and one for each event."""

from typing import TextIO

from recloser.cli.demo.experiment import Experiment
from recloser.cli.demo.lane import AnswerSource, Lane
from recloser.cli.demo.view import SOURCES, lane_status, milliseconds

__all__ = ["PlainView"]


class PlainView:
    """Writes lines and never changes them.

    Args:
        stream: Where to write.
        experiment: What to show.
    """

    refresh_seconds: float = 1.0

    def __init__(self, stream: TextIO, experiment: Experiment) -> None:
        self._stream = stream
        self._experiment = experiment

    def note(self, text: str) -> None:
        """Write a line about an event."""
        self._write(text)

    def refresh(self) -> None:
        """Write both lanes' figures."""
        state = self._experiment.breaker.state.value
        lanes = " | ".join(self._figures(lane) for lane in (self._experiment.protected, self._experiment.bare))
        self._write(f"{self._experiment.upstream.phase.name}, breaker {state} | {lanes}")

    def _figures(self, lane: Lane) -> str:
        now = lane_status(self._experiment, lane)
        answers = ", ".join(f"{now.counts[source]} {SOURCES[source]}" for source in lane.sources)
        return (
            f"{lane.name.partition('-')[0]}: {answers}, {now.counts[AnswerSource.FAILURE]} failed, "
            f"{now.hits} hits, {milliseconds(now.latency_seconds)}"
        )

    def _write(self, text: str) -> None:
        self._stream.write(f"{self._experiment.clock():5.1f} s  {text}\n")
        self._stream.flush()
