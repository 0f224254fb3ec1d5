"""The breakers of a registry, in a bounded number.

When the queue is full, each new breaker evicts another one, in this order: closed breakers with no failure in their
window, other closed ones, open ones by the earliest end of the reset timeout, half-open ones; among equals the least
recently used. Breakers that are forced open, disabled or running a probe are never evicted. Once the time given by hand
is over, a breaker that was forced open counts as open, and one that was disabled as closed.

A breaker changes its state without notifying the queue. So an eviction computes the rank of a breaker when it examines
it, in the order of last use, and again before it evicts it:

- `recent` has the breakers without a rank since their last use, the least recently used first. An eviction examines
  them in this order, and evicts the first one that is closed and without failures.
- The others that it examines keep the number of their last use, and move to `_passed` (`heap` has these in the order of
  eviction) or to `_pinned` (never evicted). A use moves them back to `recent`.
- All passed and pinned breakers were used before any of the recent ones. So if one of them is closed and without
  failures by now, it goes first: each eviction checks the top of the heap, and two of the pinned breakers in turn.

Each step over a recent breaker is paid for by one use, and each new rank by one change of state, so an eviction takes
O(log n), amortised.

`evicted` has weak references to the engines of evicted breakers: as long as anything refers to a breaker, or a running
call to its engine, its name returns the same breaker. `engine.face` finds it, and is set at the eviction: a present
breaker needs no weak reference.

Adding, evicting and copying take the lock; finding a recent breaker does not. The lock is reentrant, because the
garbage collector can run any finaliser while it is held. Evicted breakers are dropped and the log is written after its
release. The only foreign code that runs under it are clocks, if a window or a time by hand depends on them.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from enum import IntEnum, auto
from heapq import heapify, heappop, heappush
from itertools import chain
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary, ref

from recloser._breaker.breaker import CircuitBreaker
from recloser._breaker.log import LogLimit
from recloser._core.machine import CLOSED, FORCED_OPEN, HALF_OPEN, OPEN
from recloser._core.meters import parts_of
from recloser._core.windows import ALWAYS, NEVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recloser._breaker.engine import Engine

PINNED_CHECKED = 2
"""How many pinned breakers an eviction checks."""
STALE_TOLERATED = 16


class EvictionRank(IntEnum):
    """The place of a breaker in the order of eviction; the lowest rank is evicted first."""

    CLEAN = auto()
    FAILING = auto()
    OPEN = auto()
    HALF_OPEN = auto()
    PINNED = auto()


_IN_HEAP = (EvictionRank.FAILING, EvictionRank.OPEN, EvictionRank.HALF_OPEN)


class Passed(NamedTuple):
    """A breaker that an eviction has passed, and the number of its last use; a lower number is longer ago."""

    last_use: int
    breaker: CircuitBreaker


class HeapEntry(NamedTuple):
    """An entry of the heap; it is stale if the breaker has been used or ranked again since."""

    rank: EvictionRank
    reopen_at: float
    last_use: int
    name: str


class EvictionQueue:
    """The breakers of a registry.

    Args:
        capacity: How many breakers the queue keeps (>= 1), besides evicted ones that are still in use.
    """

    def __init__(self, capacity: int) -> None:
        self.recent: OrderedDict[str, CircuitBreaker] = OrderedDict()
        self.capacity = capacity
        self._limit = LogLimit()
        self._passed: dict[str, Passed] = {}
        self.heap: list[HeapEntry] = []
        self._pinned: OrderedDict[str, Passed] = OrderedDict()
        self.evicted: WeakValueDictionary[str, Engine] = WeakValueDictionary()
        self._uses = 0
        self._overfull = False
        self._lock = RLock()

    def __len__(self) -> int:
        """Return the number of breakers, including evicted ones that are still in use."""
        with self._lock:
            return self._kept() + len(self.evicted)

    def __iter__(self) -> Iterator[CircuitBreaker]:
        """Iterate over all breakers, including evicted ones that are still in use.

        The iterator refers to an evicted breaker only while it yields it: otherwise overlapping iterations would keep
        evicted breakers alive forever.
        """
        with self._lock:
            kept = list(dict.values(self.recent))  # unlike the OrderedDict's iterator, not disturbed by move_to_end()
            kept += [passed.breaker for passed in (*self._passed.values(), *self._pinned.values())]
            references = self.evicted.valuerefs()
        held = (breaker for reference in references if (breaker := self._around(reference())) is not None)
        return chain(kept, held)

    def find(self, name: str) -> CircuitBreaker | None:
        """Return the breaker with a name, or None; this does not count as a use."""
        with self._lock:
            passed = self._passed.get(name) or self._pinned.get(name)
            if passed is not None:
                return passed.breaker
            return self.recent.get(name) or self._around(self.evicted.get(name))

    def _around(self, engine: Engine | None) -> CircuitBreaker | None:
        if engine is None:
            return None
        with self._lock:  # so that two threads get the same breaker
            return CircuitBreaker.around(engine)

    def use(self, name: str) -> CircuitBreaker | None:
        """Return the breaker with a name, or None; this counts as a use."""
        breaker = self.find(name)
        return None if breaker is None else self.put(breaker)

    def put(self, breaker: CircuitBreaker) -> CircuitBreaker:
        """Add a breaker, unless its name is taken; return the breaker with this name, which counts as a use."""
        name = breaker.name
        victims: list[CircuitBreaker] = []
        with self._lock:
            breaker = self.find(name) or breaker
            self.evicted.pop(name, None)
            if (self._passed.pop(name, None) or self._pinned.pop(name, None) or self.recent.get(name)) is None:
                victims = self._make_room()
            self.recent[name] = breaker
            self.recent.move_to_end(name)
            overfull, self._overfull = self._overfull, self._overfull or self._kept() > self.capacity
            self._drop_stale_entries()
        del victims
        if self._overfull and not overfull:
            self._limit.log(
                logging.WARNING,
                "All %d circuit breakers of a registry are forced open, disabled or running a probe, so none can be "
                "evicted: the registry exceeds max_breakers=%d",
                self.capacity,
                self.capacity,
            )
        return breaker

    # Eviction, under the lock

    def _kept(self) -> int:
        return len(self.recent) + len(self._passed) + len(self._pinned)

    def _make_room(self) -> list[CircuitBreaker]:
        """Evict breakers until one more fits or none can be evicted; return the evicted ones."""
        victims: list[CircuitBreaker] = []
        while self._kept() >= self.capacity and (victim := self._next_victim()) is not None:
            victim.engine.face = victim.engine.face or ref(victim)
            self.evicted[victim.name] = victim.engine
            victims.append(victim)
        return victims

    def _next_victim(self) -> CircuitBreaker | None:
        return (
            self._clean_of_pinned()
            or self._top_of_heap(only_clean=True)
            or self._clean_of_recent()
            or self._top_of_heap(only_clean=False)
        )

    def _clean_of_pinned(self) -> CircuitBreaker | None:
        for _ in range(min(PINNED_CHECKED, len(self._pinned))):
            name, passed = self._pinned.popitem(last=False)
            if not self._keeps(name, passed, eviction_rank(passed.breaker.engine)):
                return passed.breaker
        return None

    def _clean_of_recent(self) -> CircuitBreaker | None:
        while self.recent:
            name, breaker = self.recent.popitem(last=False)
            self._uses += 1
            if not self._keeps(name, Passed(self._uses, breaker), eviction_rank(breaker.engine)):
                return breaker
        return None

    def _top_of_heap(self, *, only_clean: bool) -> CircuitBreaker | None:
        while self.heap:
            top = self.heap[0]
            if not self._is_current(top):
                heappop(self.heap)
                continue
            passed = self._passed[top.name]
            rank = eviction_rank(passed.breaker.engine)
            unchanged = rank in _IN_HEAP and top == _entry(top.name, passed, rank)
            if unchanged and only_clean:
                return None
            heappop(self.heap)
            del self._passed[top.name]
            if unchanged or not self._keeps(top.name, passed, rank):
                return passed.breaker
        return None

    def _keeps(self, name: str, passed: Passed, rank: EvictionRank) -> bool:
        """Store a breaker by its rank; return False if it is clean, and therefore not stored."""
        if rank is EvictionRank.PINNED:
            self._pinned[name] = passed
        elif rank in _IN_HEAP:
            self._passed[name] = passed
            heappush(self.heap, _entry(name, passed, rank))
        return rank is not EvictionRank.CLEAN

    def _is_current(self, entry: HeapEntry) -> bool:
        passed = self._passed.get(entry.name)
        return passed is not None and passed.last_use == entry.last_use

    def _drop_stale_entries(self) -> None:
        if len(self.heap) > 2 * len(self._passed) + STALE_TOLERATED:
            self.heap = list(filter(self._is_current, self.heap))
            heapify(self.heap)


def new_breaker(engine: Engine) -> CircuitBreaker:
    """Return the breaker around a new engine; `CircuitBreaker.around()` finds it once it is evicted."""
    breaker = CircuitBreaker.__new__(CircuitBreaker)
    breaker.engine = engine
    return breaker


def _entry(name: str, passed: Passed, rank: EvictionRank) -> HeapEntry:
    reopen_at = passed.breaker.engine.machine.reopen_at if rank is EvictionRank.OPEN else ALWAYS
    return HeapEntry(rank, reopen_at, passed.last_use, name)


def eviction_rank(engine: Engine) -> EvictionRank:
    """Return the current rank of a breaker."""
    machine = engine.machine
    if machine.state is CLOSED:
        return EvictionRank.FAILING if _has_failures(engine) else EvictionRank.CLEAN
    if machine.state is OPEN:
        return EvictionRank.OPEN
    if machine.state is HALF_OPEN:
        episode = machine.episode
        return EvictionRank.PINNED if episode is not None and episode.probes else EvictionRank.HALF_OPEN
    if machine.reopen_at == NEVER or engine.now() < machine.reopen_at:
        return EvictionRank.PINNED
    return EvictionRank.OPEN if machine.state is FORCED_OPEN else EvictionRank.CLEAN


def _has_failures(engine: Engine) -> bool:
    """Return whether any rule of the breaker counts a failure now; the clock is only read if a rule needs it."""
    epoch, meter = engine.machine.epoch, engine.machine.meter
    now = engine.now() if meter.needs_clock else 0.0
    return any(part.failure_count(epoch, now) for part in parts_of(meter))
