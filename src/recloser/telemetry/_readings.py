"""What is read from a registry for its metrics."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from recloser import StateChanged
from recloser.registry import Ledger
from recloser.telemetry._tallies import TransitionTally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recloser import BreakerRegistry
    from recloser.events import Snapshot
    from recloser.registry import Entry
    from recloser.telemetry._tallies import TransitionKind


class Reading(NamedTuple):
    """What a registry's breakers have done.

    Attributes:
        entries: The entries of the ledger.
        transitions: How often each kind of transition has happened.
        changed_at: When each breaker with metrics of its own changed its state last, as a Unix time, by name.
        bounds: The bounds of the buckets for durations; empty if there are none.
    """

    entries: list[Entry]
    transitions: dict[TransitionKind, int]
    changed_at: dict[str, float]
    bounds: tuple[float, ...]

    def own(self) -> Iterator[tuple[str, Snapshot]]:
        """Iterate over the names and snapshots of the existing breakers that have metrics of their own."""
        return _own(self.entries)


class Readings:
    """Reads a registry.

    Args:
        registry: The registry.
        max_breakers: How many breakers have metrics of their own, >= 1.
        bounds: The bounds of the buckets for durations; empty if they are not to be read.
        record: As for the ledger.
    """

    def __init__(
        self,
        registry: BreakerRegistry,
        max_breakers: int,
        bounds: tuple[float, ...] = (),
        record: Callable[[str, str, float, str | None], object] | None = None,
    ) -> None:
        self.ledger: Ledger = Ledger(registry, max_breakers=max_breakers, durations=bounds, record=record)
        self._transitions = TransitionTally(self.ledger.name_of)
        self._times = TransitionTimes()
        self._unsubscribe = registry.subscribe(self._transitions, kinds=StateChanged)

    def read(self) -> Reading:
        """Return what the breakers have done up to now."""
        entries = self.ledger.read()
        return Reading(entries, self._transitions.read(), self._times.of(_own(entries)), self.ledger.bounds)

    def hand_over(self) -> tuple[()]:
        """Have the durations that wait recorded; an observer without observations.

        An SDK calls all observers before it collects, so it finds these durations in the same collection.
        """
        self.ledger.hand_over()
        return ()

    def close(self) -> None:
        """Stop counting transitions and measuring durations; the rest can still be read."""
        self._unsubscribe()
        self.ledger.close()


class TransitionTimes:
    """Dates transitions, which breakers know as readings of a monotonic clock.

    A transition is dated when it is first read. Later readings find the same date, although the two clocks drift apart.

    Args:
        clock: Returns the Unix time.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = Lock()
        self._dated: dict[str, tuple[float, float]] = {}

    def of(self, snapshots: Iterator[tuple[str, Snapshot]]) -> dict[str, float]:
        """Return the Unix time of the last transition of each breaker that has had one, by name."""
        now = self._clock()
        with self._lock:
            dated: dict[str, tuple[float, float]] = {}
            for name, snapshot in snapshots:
                changed = snapshot.changed_monotonic
                known = self._dated.get(name)
                if known is not None and known[0] == changed:
                    dated[name] = known
                elif snapshot.cause is not None:
                    dated[name] = (changed, now - snapshot.time_in_state_seconds)
            self._dated = dated
        return {name: at for name, (_, at) in dated.items()}


def _own(entries: list[Entry]) -> Iterator[tuple[str, Snapshot]]:
    for entry in entries:
        for snapshot in entry.snapshots if entry.name != Ledger.OTHER else ():
            yield entry.name, snapshot
