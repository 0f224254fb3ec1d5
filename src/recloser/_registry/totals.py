"""What the breakers of a registry have counted, including those that are gone.

A metrics exporter needs totals by name that never decrease, and a bounded number of names. But an evicted breaker takes
its totals with it, and the next breaker with its name starts at 0. So:

- A ledger keeps no breaker alive, nor anything that a breaker refers to: its settings may refer back to it.
- A `Finaliser`, to which only a breaker's engine refers, reports the breaker's final totals. It can run in any thread
  and in the middle of any step, so it only appends to a deque.
- The totals of each breaker are in the ledger once: in an entry of its own while it lives, then in the sum of its name.
  A reading reads the living breakers before it closes the entries of those that are gone. A breaker that disappears in
  between counts with the totals of its last reading. So no sum ever decreases.
- The histograms of durations refer to nothing else of a breaker. So the ledger keeps them itself, and reads them also
  when the breaker is gone.
- Creating a breaker never waits for a reading in another thread.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from operator import add
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple
from weakref import ref

from recloser._breaker.durations import Claim, Samples, claim_durations, release_durations
from recloser._breaker.reading import snapshot_of
from recloser._breaker.steps import STEP
from recloser._core import checks
from recloser._core.shadow import ShadowCalls
from recloser._registry.duration_totals import DurationSums, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from recloser._breaker.breaker import CircuitBreaker
    from recloser._breaker.durations import Durations, Histograms
    from recloser._breaker.engine import Engine
    from recloser._core.events import Snapshot
    from recloser._registry.duration_totals import DurationTotals
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
        would_reject: Calls that would have been rejected, and ran because of shadow mode.
        shadow_failure: Those of them that failed.
        shadow_success: Those of them that succeeded.
    """

    success: int = 0
    failure: int = 0
    ignored: int = 0
    cancelled: int = 0
    late: int = 0
    leaked: int = 0
    rejected: int = 0
    probe: int = 0
    would_reject: int = 0
    shadow_failure: int = 0
    shadow_success: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """The totals and snapshots of one name.

    Attributes:
        name: The name, or `Ledger.OTHER` for all names without an entry of their own.
        totals: The totals of all breakers that have ever had the name.
        snapshots: The snapshots of the breakers that exist now: at most one for a name, any number for `OTHER`.
        durations: How long calls took, by `success`, `failure` and `ignored`, cancelled ones included; an outcome that
            was never measured is missing.
    """

    name: str
    totals: Totals
    snapshots: tuple[Snapshot, ...]
    durations: Mapping[str, DurationTotals] = field(default_factory=dict, hash=False)


class Ledger:
    """The totals of a registry's breakers by name, including breakers that are gone; for metrics exporters.

    No total ever decreases, even if breakers are evicted and created again. Reading is safe from any thread, blocks
    neither calls nor new breakers, and costs calls nothing, unless you want durations. Create the ledger together with
    the registry: it does not know the totals of breakers that were gone before.

    Durations are those of the calls that end in the generation in which they began, probes included. A breaker measures
    them once for all ledgers, also for those of several registries, until all are closed. So a ledger that comes later
    may also have durations from the time before it.

    Args:
        registry: The registry.
        max_breakers: How many names get an entry of their own (>= 1): the first ones, permanently. All other names
            share the entry `OTHER`, which bounds the size of a reading.
        durations: The upper bounds of the buckets for durations, in seconds: each finite, > 0 and above the last. Empty
            if you want no histograms.
        record: Called with each duration: the name of the entry, the outcome (`success`, `failure` or `ignored`), the
            seconds, and the qualified name of the error's type, None without an error. That happens in `hand_over()`
            and `close()`. While 100 000 durations of one name wait, calls hand over some of them as well. If it raises
            an Exception, that is logged, once until it works again, and the duration is lost.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: `max_breakers` or `durations` are out of range.
    """

    OTHER: Final = OTHER
    """`__other__`, the name of the entry for all breakers without an entry of their own."""

    def __init__(
        self,
        registry: BreakerRegistry,
        *,
        max_breakers: int = 1000,
        durations: Sequence[float] = (),
        record: Callable[[str, str, float, str | None], object] | None = None,
    ) -> None:
        self._most = checks.count("max_breakers", max_breakers)
        self.bounds: tuple[float, ...] = checks.bounds("durations", durations)
        """The bounds of the buckets for durations; empty if there are no histograms."""
        if record is not None and not callable(record):
            raise TypeError(f"record must be a function that takes a duration, or None, not {record!r}")
        self._record = record
        self._claims: dict[str, Claim] = {}
        self._measures = bool(self.bounds) or record is not None
        self._names: set[str] = set()
        self._lock = Lock()
        self._closed: dict[str, Totals] = {}
        self._closed_durations = DurationSums(self.bounds)
        self._open: dict[EngineTotals, None] = {}
        self._arrived: deque[EngineTotals] = deque()
        self._departed: deque[tuple[EngineTotals, tuple[int, ...]]] = deque()
        with STEP:  # another thread may create a breaker now
            registry.followers.add(self)
        for breaker in registry:
            self.enter(breaker)

    def read(self) -> list[Entry]:
        """Return an entry for each name, and one for all other names, if there are any."""
        with self._lock:
            snapshots: dict[str, list[Snapshot]] = {}
            times: dict[EngineTotals, float] = {}
            self._take_arrived()
            for counted in self._open:
                engine = counted.engine()
                if engine is not None:
                    snapshot = snapshot_of(engine)
                    counted.totals = _totals_of(snapshot)
                    snapshots.setdefault(counted.name, []).append(snapshot)
                    if counted.durations is not None:
                        times[counted] = engine.now()
            self._close_departed()
            sums = self._closed.copy()
            durations = self._closed_durations.copy()
            for counted in self._open:
                sums[counted.name] = _plus(sums.get(counted.name), counted.totals)
                durations.add(counted.name, counted.chain, times.get(counted))
        return [
            Entry(name, totals, tuple(snapshots.get(name, ())), durations.of(name)) for name, totals in sums.items()
        ]

    def hand_over(self) -> None:
        """Pass the durations that wait to `record`; works in any thread."""
        for claim in tuple(self._claims.values()):
            if claim.samples is not None:
                claim.samples.hand_over()

    def close(self) -> None:
        """Measure durations no longer, and pass those that wait to `record`. The totals can still be read.

        Works in any thread. Closing again changes nothing.
        """
        with STEP:
            self._measures = False
        with self._lock:
            self._take_arrived()
            for counted in self._open:
                durations, counted.durations = counted.durations, None
                if durations is not None:
                    engine, claim = counted.engine(), self._claims[counted.name]
                    chain = durations.chain if engine is None else release_durations(engine, claim)
                    self._closed_durations.add(counted.name, chain)
        self.hand_over()

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
        with STEP:  # another thread may enter it in this ledger or another one
            if any(finaliser.departed is self._departed for finaliser in engine.finalisers):
                return
            counted = EngineTotals(engine, self.name_of(engine.name))
            if self._measures:
                counted.durations = claim_durations(engine, self._claim(counted.name))
            self._arrived.append(counted)
            engine.finalisers = (*engine.finalisers, Finaliser(engine, counted, self._departed))
        if len(self._departed) > MOST_DEPARTED and self._lock.acquire(blocking=False):
            try:
                self._close_departed()
            finally:
                self._lock.release()

    def _claim(self, name: str) -> Claim:
        """Return the claim on the breakers of an entry, which share their samples."""
        claim = self._claims.get(name)
        if claim is None:
            samples = None if self._record is None else Samples(Recorder(name, self._record))
            claim = self._claims[name] = Claim(self.bounds, samples)
        return claim

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
            self._closed_durations.add(counted.name, counted.chain)


class EngineTotals:
    """One breaker in a ledger: the name of its entry, its totals at the last reading, its durations if wanted."""

    __slots__ = ("durations", "engine", "name", "totals")

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = ref(engine)
        self.name = name
        self.totals = Totals()
        self.durations: Durations | None = None

    @property
    def chain(self) -> tuple[Histograms, ...]:
        """The histograms of the breaker."""
        return () if self.durations is None else self.durations.chain


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
            *machine.shadow_calls,
        )
        self.departed.append((self._counted, totals))


_COUNTED = Totals._fields[: -len(ShadowCalls._fields)]


def _totals_of(snapshot: Snapshot) -> Totals:
    return Totals._make((*(getattr(snapshot, f"{field}_total") for field in _COUNTED), *snapshot.shadow_calls))


def _plus(totals: Totals | None, more: tuple[int, ...]) -> Totals:
    return Totals._make(more if totals is None else map(add, totals, more))
