"""The breakers of a registry, in a bounded number.

When the queue is full, a new breaker evicts another: first closed breakers with no failure in the window, then closed
ones, then open ones by the earliest end of their reset timeout, then half-open ones; among equals the one that was last
used longest ago. Breakers that run a probe at the moment stay, and so do forced and disabled ones.

A breaker changes its state without notifying the queue. So an eviction ranks it when it gets there, in the order of
last use, and again before it goes:

- `recent` holds those that have had no rank since their last use, the oldest first. An eviction walks it from the old
  end; the first one that is closed and clean goes.
- The others that the walk passes keep the number of their last use, and move to `_passed` (in the order of eviction in
  `heap`) or to `_pinned` (never evicted). A use puts them back among the recent ones.
- All that are passed or pinned were used before any of the recent ones. So one of them that has become clean goes
  first: each eviction asks the top of the heap, and two of the pinned ones in turn.

Each step of a walk is paid for by one use, each new rank by one change of state: an eviction takes O(log n), amortised.

What is evicted stays in `evicted`, by a weak reference to its engine: as long as anybody holds the breaker, or a
running call holds its engine, its name yields the same breaker.

The lock is held by whoever adds, evicts or copies; finding a recent breaker needs none. It is reentrant, because the
garbage collector can run anything anywhere. Evicted breakers and log records leave after it has been released. The only
foreign code that runs under it are clocks, where a window depends on the time.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from enum import IntEnum, auto
from heapq import heapify, heappop, heappush
from itertools import chain
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from recloser._breaker.breaker import CircuitBreaker
from recloser._breaker.dispatch import log
from recloser._core.machine import CLOSED, HALF_OPEN, OPEN
from recloser._core.meters import parts_of
from recloser._core.windows import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recloser._breaker.engine import Engine

PINNED_ASKED = 2
STALE_TOLERATED = 16


class EvictionRank(IntEnum):
    """Where a breaker stands in the order of eviction."""

    CLEAN = auto()
    FAILING = auto()
    OPEN = auto()
    HALF_OPEN = auto()
    PINNED = auto()


_IN_HEAP = (EvictionRank.FAILING, EvictionRank.OPEN, EvictionRank.HALF_OPEN)


class Passed(NamedTuple):
    """A breaker that an eviction has passed, and the number of its last use: the lower, the longer ago."""

    last_use: int
    breaker: CircuitBreaker


class HeapEntry(NamedTuple):
    """An item of the heap; stale if the breaker of the name was used or ranked again since."""

    rank: EvictionRank
    reopen_at: float
    last_use: int
    name: str


class EvictionQueue:
    """The breakers of a registry.

    Args:
        capacity: How many are kept if nobody else holds them, >= 1.
    """

    def __init__(self, capacity: int) -> None:
        self.recent: OrderedDict[str, CircuitBreaker] = OrderedDict()
        self.capacity = capacity
        self._passed: dict[str, Passed] = {}
        self.heap: list[HeapEntry] = []
        self._pinned: OrderedDict[str, Passed] = OrderedDict()
        self.evicted: WeakValueDictionary[str, Engine] = WeakValueDictionary()
        self._uses = 0
        self._overfull = False
        self._lock = RLock()

    def __len__(self) -> int:
        """Return how many breakers can be found, evicted ones that somebody holds included."""
        with self._lock:
            return self._kept() + len(self.evicted)

    def __iter__(self) -> Iterator[CircuitBreaker]:
        """Iterate over all breakers that can be found now, evicted ones that somebody holds included.

        The iteration holds an evicted one only when it gets there: two that overlap would keep them alive for ever.
        """
        with self._lock:
            kept = list(dict.values(self.recent))  # unlike the OrderedDict's own iterator, it minds no move_to_end()
            kept += [passed.breaker for passed in (*self._passed.values(), *self._pinned.values())]
            references = self.evicted.valuerefs()
        held = (breaker for reference in references if (breaker := self._around(reference())) is not None)
        return chain(kept, held)

    def find(self, name: str) -> CircuitBreaker | None:
        """Return the breaker of a name, None if there is none; this does not count as a use."""
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
        """Return the breaker of a name and count that as its use; None if there is none."""
        breaker = self.find(name)
        return None if breaker is None else self.put(breaker)

    def put(self, breaker: CircuitBreaker) -> CircuitBreaker:
        """Add a breaker, unless there is one of its name; return the one that there is, which counts as its use."""
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
            log(
                logging.WARNING,
                "All %d circuit breakers of a registry are forced open, disabled or running a probe, so that none "
                "could be evicted: it keeps more than max_breakers=%d",
                self.capacity,
                self.capacity,
            )
        return breaker

    # Eviction; the lock is held

    def _kept(self) -> int:
        return len(self.recent) + len(self._passed) + len(self._pinned)

    def _make_room(self) -> list[CircuitBreaker]:
        """Evict until one more fits, or nothing more can be evicted; return what went."""
        victims: list[CircuitBreaker] = []
        while self._kept() >= self.capacity and (victim := self._next_victim()) is not None:
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
        for _ in range(min(PINNED_ASKED, len(self._pinned))):
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
        """Put a breaker where its rank belongs; return False if that is nowhere, because it is clean."""
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


def _entry(name: str, passed: Passed, rank: EvictionRank) -> HeapEntry:
    reopen_at = passed.breaker.engine.machine.reopen_at if rank is EvictionRank.OPEN else ALWAYS
    return HeapEntry(rank, reopen_at, passed.last_use, name)


def eviction_rank(engine: Engine) -> EvictionRank:
    """Return where a breaker stands now."""
    machine = engine.machine
    if machine.state is CLOSED:
        return EvictionRank.FAILING if _has_failures(engine) else EvictionRank.CLEAN
    if machine.state is OPEN:
        return EvictionRank.OPEN
    if machine.state is HALF_OPEN:
        episode = machine.episode
        return EvictionRank.PINNED if episode is not None and episode.probes else EvictionRank.HALF_OPEN
    return EvictionRank.PINNED


def _has_failures(engine: Engine) -> bool:
    """Return whether any of the breaker's rules counts a failure; no clock is read where time does not matter."""
    epoch, meter = engine.machine.epoch, engine.machine.meter
    now = engine.now() if meter.needs_clock else 0.0
    return any(part.failure_count(epoch, now) for part in parts_of(meter))
