"""The reports of one breaker: calls that its rules look at, on their way to the sums of the fleet.

A report keeps its number until it is acknowledged, and is made again with the same one after a failure, so that it
counts once. What is older than its window, or of a closed period that is over, is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from recloser.fleet._policies import counted_rules
from recloser.fleet._tally import Draw, Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser._core.machine import BreakerMachine

MOST_PENDING_PER_RULE = 2
"""Two reports may be on their way, so that one need not wait for the reply to the one before."""


class Pending(NamedTuple):
    """A report that was not acknowledged yet."""

    tally: Tally
    sequence: int
    closed_generation: int
    draw: Draw


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
        """Begin anew: what came before says nothing about what comes."""
        machine = self._machine
        self._rule = machine.settings.trip_when
        self._tallies = tuple(Tally(rule, machine.epoch) for rule in counted_rules(machine.settings))
        self._pending: list[Pending] = []
        self._sent = 0

    @property
    def counts(self) -> bool:
        """Whether the fleet counts any rule of the breaker together."""
        return bool(self._tallies)

    @property
    def has_work(self) -> bool:
        """Whether a report waits to be sent."""
        return self._sent < len(self._pending)

    def counted(self, duration: float) -> None:
        """Take note of how long a call took, in seconds."""
        for tally in self._tallies:
            tally.counted(duration)

    def remember(self, now: float) -> None:
        """Take note of the totals of calls, now and then."""
        for tally in self._tallies:
            tally.remember(self._machine.epoch, now)

    def draw(self, closed_generation: int, now: float, *, with_successes: bool) -> None:
        """Make reports of the calls since the last ones, unless enough are on their way."""
        machine = self._machine
        if machine.settings.trip_when is not self._rule:
            self.restart()
        if len(self._pending) >= MOST_PENDING_PER_RULE * len(self._tallies):
            return
        for tally in self._tallies:
            draw = tally.draw(machine.epoch, now, with_successes=with_successes)
            if draw is not None:
                self._pending.append(Pending(tally, self._next_sequence(), closed_generation, draw))

    def take(self) -> list[Pending]:
        """Return the next reports to send, at most one per rule."""
        taken: list[Pending] = []
        for pending in self._pending[self._sent :]:
            if any(pending.tally.rule.tag == other.tally.rule.tag for other in taken):
                break
            taken.append(pending)
        self._sent += len(taken)
        return taken

    def acknowledge(self, pending: Pending) -> None:
        """Forget a report that was counted, or that counts no more."""
        if pending in self._pending:
            self._pending.remove(pending)
            self._sent = max(0, self._sent - 1)

    def send_again(self, closed_generation: int, now: float) -> None:
        """Have the reports that were not acknowledged sent again, if they still matter."""
        self._sent = 0
        self._pending = [
            pending
            for pending in self._pending
            if now - pending.draw.drawn_at < pending.tally.rule.window_us / 1_000_000
            and pending.closed_generation == closed_generation
        ]
