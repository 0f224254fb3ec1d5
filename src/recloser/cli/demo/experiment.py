"""The parts of one run, and its records for the views, the summary and the picture."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from recloser import CircuitBreaker
from recloser.cli.demo.history import History
from recloser.cli.demo.lane import FAULTS, Lane, ProtectedLane
from recloser.cli.demo.plan import Phase, Plan
from recloser.cli.demo.upstream import Upstream

__all__ = ["Experiment", "Mark"]


@dataclass(frozen=True, slots=True)
class Mark:
    """The beginning of a phase, in seconds on the demo's clock."""

    at: float
    phase: Phase


class Experiment:
    """One upstream, one breaker, two lanes of callers, one clock.

    Args:
        plan: What to play.
        seed: The seed of the replies, latencies, pauses and orders.
        clock: Seconds since the start of the experiment; by default by the monotonic clock.
    """

    def __init__(self, plan: Plan, *, seed: int, clock: Callable[[], float] | None = None) -> None:
        self.plan = plan
        self.clock: Callable[[], float] = clock or _stopwatch()
        self.random: Random = Random(seed)
        self.marks: list[Mark] = []
        self.upstream: Upstream = Upstream(plan.phases[0], random=self.random, clock=self.clock)
        self.breaker: CircuitBreaker = CircuitBreaker(
            "orders",
            failure_threshold=plan.failure_threshold,
            reset_timeout_seconds=plan.reset_timeout_seconds,
            expected_exception=FAULTS,
            clock=self.clock,
        )
        self.protected: ProtectedLane = ProtectedLane("with-breaker", clock=self.clock, breaker=self.breaker, plan=plan)
        self.bare: Lane = Lane("without-breaker", clock=self.clock)
        self.history: History = History()
        self.breaker.subscribe(self.history)

    def enter(self, phase: Phase) -> None:
        """Put the upstream into its next phase."""
        self.marks.append(Mark(self.clock(), phase))
        self.upstream.phase = phase

    @property
    def outage(self) -> tuple[float, float]:
        """When the upstream went down and when it came back, in seconds on the demo's clock."""
        down = next(mark.at for mark in self.marks if mark.phase.down)
        return down, next(mark.at for mark in self.marks if mark.at > down and not mark.phase.down)


def _stopwatch() -> Callable[[], float]:
    started = time.monotonic()
    return lambda: time.monotonic() - started
