"""What the breakers of a registry have counted, including those that are gone.

A metrics exporter needs totals by name that never decrease, and a bounded number of names. But an evicted breaker takes
its totals with it, and the next breaker with its name starts at 0. So:

- A ledger keeps no breaker alive, nor anything that a breaker refers to: its settings may refer back to it.
- A `Finaliser`, to which only a breaker's engine refers, reports the breaker's final totals. It can run in any thread
  and in the middle of any step, so it only appends to a deque.
- The totals of each breaker are in the ledger once: in an entry of its own while it lives, then in the sum of its name.
  A reading reads the living breakers before it closes the entries of those that are gone. A breaker that disappears in
  between counts with the totals of its last reading. So no sum ever decreases.
- Creating a breaker never waits for a reading in another thread.
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
"""How many breakers can be gone before a new breaker adds up their totals, without waiting for a reading."""


class Totals(NamedTuple):
    """Numbers of calls. Every admitted call is one of the first six, with the exception described at `Snapshot`.

    Attributes:
        success: Calls that succeeded.
        failure: Calls that failed.
        ignored: Calls that say nothing about the dependency, except cancelled ones.
        cancelled: Calls that were cancelled, unless the cancellation counted as a failure.
        late: Calls that ended after their generation.
        leaked: Calls whose permit was dropped without being settled.
        rejected: Calls that were rejected.
        probe: Calls that were admitted as probes.
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
    """The totals and snapshots of one name.

    Attributes:
        name: The name, or `Ledger.OTHER` for all names without an entry of their own.
        totals: The totals of all breakers that have ever had the name.
        snapshots: The snapshots of the breakers that exist now: at most one for a name, any number for `OTHER`.
    """

    name: str
    totals: Totals
    snapshots: tuple[Snapshot, ...]


class Ledger:
    """The totals of a registry's breakers by name, including breakers that are gone; for metrics exporters.

    No total ever decreases, even if breakers are evicted and created again. Reading is safe from any thread, blocks
    neither calls nor new breakers, and costs calls nothing. Create the ledger together with the registry: it does not
    know the totals of breakers that were gone before.

    Args:
        registry: The registry.
        max_breakers: How many names get an entry of their own (>= 1): the first ones, permanently. All other names
            share the entry `OTHER`, which bounds the size of a reading.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: `max_breakers` is out of range.
    """

    OTHER: Final = OTHER
    """`__other__`, the name of the entry for all breakers without an entry of their own."""

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
        """Return an entry for each name, and one for all other names, if there are any."""
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
        """Return the name of the entry for a breaker with this name."""
        if name not in self._names:
            if name == OTHER or len(self._names) >= self._most:
                return OTHER
            self._names.add(name)
        return name

    def enter(self, breaker: CircuitBreaker) -> None:
        """Add a breaker, unless it is in the ledger already."""
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

    # Under the lock

    def _take_arrived(self) -> None:
        while self._arrived:
            self._open[self._arrived.popleft()] = None

    def _close_departed(self) -> None:
        departed = [self._departed.popleft() for _ in range(len(self._departed))]
        self._take_arrived()  # a breaker arrives before it departs
        for counted, totals in departed:
            del self._open[counted]
            self._closed[counted.name] = _plus(self._closed.get(counted.name), totals)


class EngineTotals:
    """One breaker in a ledger: the name of its entry, and its totals at the last reading."""

    __slots__ = ("engine", "name", "totals")

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = ref(engine)
        self.name = name
        self.totals = Totals()


class Finaliser:
    """Reports a breaker's final totals to a ledger, when the engine is gone, which alone refers to the finaliser."""

    __slots__ = ("_counted", "_machine", "departed")

    def __init__(
        self, engine: Engine, counted: EngineTotals, departed: deque[tuple[EngineTotals, tuple[int, ...]]]
    ) -> None:
        self._machine = engine.machine
        self._counted = counted
        self.departed = departed

    def __del__(self) -> None:
        """Append the totals in the order of `Totals`, without this module's globals, which may be gone at exit."""
        machine, epoch = self._machine, self._machine.epoch
        totals = (
            epoch.successes + machine.probe_successes,
            epoch.failures + machine.probe_failures,
            machine.ignored,
            machine.cancelled,
            machine.late,
            machine.leaked + sum(map(machine.is_unsettled, machine.leaks)),
            machine.rejected,
            machine.probes,
        )
        self.departed.append((self._counted, totals))


def _totals_of(snapshot: Snapshot) -> Totals:
    return Totals._make(getattr(snapshot, f"{field}_total") for field in Totals._fields)


def _plus(totals: Totals | None, more: tuple[int, ...]) -> Totals:
    return Totals._make(more if totals is None else map(add, totals, more))
