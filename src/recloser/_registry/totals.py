"""What the breakers of a registry have counted, those that are gone included.

An exporter of metrics needs totals by name that never go back, in a bounded number. Breakers come and go: one that is
evicted and forgotten takes its totals along, and its successor of the same name begins at 0.

- A ledger keeps no breaker alive, and nothing that a breaker holds: its settings may lead back to it.
- The `Finaliser` of a breaker, an object that nobody but its engine holds, reports what the breaker had counted at the
  end. It can run in any thread and in the middle of any step, so it only appends to a deque.
- The totals of each breaker are in the ledger once: in an entry of its own while it lives, then in the sum of its name.
  A reading looks at the living before it closes the entries of the gone. What has died in between, or is dying at this
  moment, counts as it was last read. So no sum ever goes back.
- Making a breaker never waits for a reading in another thread.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from operator import add
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import ref

from recloser._breaker.reading import snapshot_of
from recloser._core import checks

if TYPE_CHECKING:
    from recloser._breaker.breaker import CircuitBreaker
    from recloser._breaker.engine import Engine
    from recloser._core.events import Snapshot
    from recloser._registry.registry import BreakerRegistry

OTHER = "__other__"
MOST_DEPARTED = 1000
"""So many may be gone before their totals are added up without anybody reading."""


class Totals(NamedTuple):
    """Numbers of calls; every admitted call is one of the first six, with the exceptions told at `Snapshot`.

    Attributes:
        success: That succeeded.
        failure: That failed.
        ignored: That said nothing about the dependency.
        cancelled: That were cancelled, and for no reason that is a failure.
        late: That ended after their generation had.
        leaked: Whose permits were dropped.
        rejected: That were not started.
        probe: Probes that were let through.
    """

    success: int = 0
    failure: int = 0
    ignored: int = 0
    cancelled: int = 0
    late: int = 0
    leaked: int = 0
    rejected: int = 0
    probe: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known by one name.

    Attributes:
        name: The name; `Ledger.OTHER` for all names that got no entry of their own.
        totals: Of all breakers that ever had the name.
        snapshots: Of those that there are now: one or none by a name, any number for all others.
    """

    name: str
    totals: Totals
    snapshots: tuple[Snapshot, ...]


class Ledger:
    """The totals of a registry's breakers by name, those that are gone included: what exporters of metrics read.

    No total ever goes back, whatever is evicted and made again. Reading is safe from any thread, keeps no call and no
    new breaker waiting, and costs the calls nothing. To be made where the registry is: the totals of breakers that
    were gone before are unknown.

    Args:
        registry: Whose breakers.
        max_breakers: How many names get an entry of their own, >= 1: those that are seen first, for good. All others
            share one, `OTHER`, so that a reading stays small, whatever names come by.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: `max_breakers` is out of its range.
    """

    OTHER: Final = OTHER
    """`__other__`, the name of the entry that breakers share who have none of their own."""

    def __init__(self, registry: BreakerRegistry, *, max_breakers: int = 1000) -> None:
        self._most = checks.count("max_breakers", max_breakers)
        self._names: set[str] = set()
        self._lock = Lock()
        self._closed: dict[str, Totals] = {}
        self._open: dict[EngineTotals, None] = {}
        self._arrived: deque[EngineTotals] = deque()
        self._departed: deque[tuple[EngineTotals, tuple[int, ...]]] = deque()
        registry.followers.add(self)
        for breaker in registry:
            self.enter(breaker)

    def read(self) -> list[Entry]:
        """Return what is known by each name, and what is known of all others, if there are any."""
        with self._lock:
            snapshots: dict[str, list[Snapshot]] = {}
            self._take_arrived()
            for counted in self._open:
                engine = counted.engine()
                if engine is not None:
                    snapshot = snapshot_of(engine)
                    counted.totals = _totals_of(snapshot)
                    snapshots.setdefault(counted.name, []).append(snapshot)
            self._close_departed()
            sums = self._closed.copy()
            for counted in self._open:
                sums[counted.name] = _plus(sums.get(counted.name), counted.totals)
        return [Entry(name, totals, tuple(snapshots.get(name, ()))) for name, totals in sums.items()]

    def name_of(self, name: str) -> str:
        """Return the name of the entry that a breaker of this name belongs to."""
        if name not in self._names:
            if name == OTHER or len(self._names) >= self._most:
                return OTHER
            self._names.add(name)
        return name

    def enter(self, breaker: CircuitBreaker) -> None:
        """Count a breaker from now on, unless it is counted already."""
        engine = breaker.engine
        if any(finaliser.departed is self._departed for finaliser in engine.finalisers):
            return
        counted = EngineTotals(engine, self.name_of(engine.name))
        self._arrived.append(counted)
        engine.finalisers = (*engine.finalisers, Finaliser(engine, counted, self._departed))
        if len(self._departed) > MOST_DEPARTED and self._lock.acquire(blocking=False):
            try:
                self._close_departed()
            finally:
                self._lock.release()

    # The lock is held

    def _take_arrived(self) -> None:
        while self._arrived:
            self._open[self._arrived.popleft()] = None

    def _close_departed(self) -> None:
        departed = [self._departed.popleft() for _ in range(len(self._departed))]
        self._take_arrived()  # what has departed has arrived before
        for counted, totals in departed:
            del self._open[counted]
            self._closed[counted.name] = _plus(self._closed.get(counted.name), totals)


class EngineTotals:
    """One breaker in a ledger: the name of the entry that it belongs to, and its totals as they were last read."""

    __slots__ = ("engine", "name", "totals")

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = ref(engine)
        self.name = name
        self.totals = Totals()


class Finaliser:
    """Reports to a ledger what a breaker had counted, when its engine, which alone holds this, is gone."""

    __slots__ = ("_counted", "_leaks", "_machine", "departed")

    def __init__(
        self, engine: Engine, counted: EngineTotals, departed: deque[tuple[EngineTotals, tuple[int, ...]]]
    ) -> None:
        self._machine = engine.machine
        self._leaks = engine.leaks
        self._counted = counted
        self.departed = departed

    def __del__(self) -> None:
        """Append the totals, in the order of `Totals`: no name of this module need be there any more."""
        machine, epoch = self._machine, self._machine.epoch
        totals = (
            epoch.successes + machine.probe_successes,
            epoch.failures + machine.probe_failures,
            machine.ignored,
            machine.cancelled,
            machine.late,
            machine.leaked + sum(map(machine.is_unsettled, self._leaks)),
            machine.rejected,
            machine.probes,
        )
        self.departed.append((self._counted, totals))


def _totals_of(snapshot: Snapshot) -> Totals:
    return Totals._make(getattr(snapshot, f"{field}_total") for field in Totals._fields)


def _plus(totals: Totals | None, more: tuple[int, ...]) -> Totals:
    return Totals._make(more if totals is None else map(add, totals, more))
