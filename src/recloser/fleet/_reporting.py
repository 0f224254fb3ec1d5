"""The reports of one breaker: the calls that its rules look at, on their way to the sums of the fleet.

A report keeps its number until it is acknowledged. After a failure it is sent again under the same number, so that it
counts once. A report that is older than its window, or of an earlier closed period, is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from recloser.fleet._policies import counted_rules
from recloser.fleet._tally import Delta, Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._core.machine import BreakerMachine

MOST_PENDING_PER_RULE = 2
"""Two reports may be in flight, so that one does not wait for the reply to the one before."""


class PendingReport(NamedTuple):
    """A report that is not acknowledged yet."""

    tally: Tally
    sequence: int
    closed_generation: int
    delta: Delta


class Reporting:
    """What is to be reported of a breaker.

    Args:
        machine: The breaker's machine.
        next_sequence: Returns a number larger than any before.
    """

    __slots__ = ("_machine", "_next_sequence", "_pending", "_rule", "_sent", "_tallies")

    def __init__(self, machine: BreakerMachine, next_sequence: Callable[[], int]) -> None:
        self._machine = machine
        self._next_sequence = next_sequence
        self.restart()

    def restart(self) -> None:
        """Forget all calls so far: they say nothing about the calls to come."""
        machine = self._machine
        self._rule = machine.settings.trip_when
        self._tallies = tuple(Tally(rule, machine.epoch) for rule in counted_rules(machine.settings))
        self._pending: list[PendingReport] = []
        self._sent = 0

    @property
    def has_rules(self) -> bool:
        """Whether the fleet counts any of the breaker's rules on the sums of all workers."""
        return bool(self._tallies)

    @property
    def has_reports(self) -> bool:
        """Whether a report waits to be sent."""
        return self._sent < len(self._pending)

    def count(self, duration: float) -> None:
        """Count a call by how long it took, in seconds."""
        for tally in self._tallies:
            tally.count(duration)

    def sample(self, now: float) -> None:
        """Remember the totals of calls at this instant. Call it from time to time."""
        for tally in self._tallies:
            tally.sample(self._machine.epoch, now)

    def prepare(self, closed_generation: int, now: float, *, with_successes: bool) -> None:
        """Make reports of the calls since the last ones, unless enough are in flight."""
        machine = self._machine
        if machine.settings.trip_when is not self._rule:
            self.restart()
        if len(self._pending) >= MOST_PENDING_PER_RULE * len(self._tallies):
            return
        for tally in self._tallies:
            delta = tally.take(machine.epoch, now, with_successes=with_successes)
            if delta is not None:
                self._pending.append(PendingReport(tally, self._next_sequence(), closed_generation, delta))

    def take(self) -> list[PendingReport]:
        """Return the next reports to send, at most one per rule."""
        taken: list[PendingReport] = []
        for pending in self._pending[self._sent :]:
            if any(pending.tally.rule.tag == other.tally.rule.tag for other in taken):
                break
            taken.append(pending)
        self._sent += len(taken)
        return taken

    def acknowledge(self, pending: PendingReport) -> None:
        """Forget a report that the store has counted, or that no longer counts."""
        if pending in self._pending:
            self._pending.remove(pending)
            self._sent = max(0, self._sent - 1)

    def resend(self, closed_generation: int, now: float) -> None:
        """Have the reports that are not acknowledged sent again, if they still matter."""
        self._sent = 0
        self._pending = [
            pending
            for pending in self._pending
            if now - pending.delta.taken_at < pending.tally.rule.window_us / 1_000_000
            and pending.closed_generation == closed_generation
        ]
