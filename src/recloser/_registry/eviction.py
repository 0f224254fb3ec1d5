"""The breakers of a registry, in a bounded number.

When the queue is full, a newcomer evicts: first closed breakers with no failure in the window, then closed ones, then
open ones by the earliest end of their reset timeout, then half-open ones; among equals the one that was not used for
longest. Those that make a probe at the moment stay, and so do forced and disabled ones.

A breaker changes its state without telling the shelf. So it is judged when an eviction gets to it, in the order of last
use, and judged again before it goes:

- `recent` holds those not judged since their last use, the oldest first. An eviction walks it from the old end; the
  first that is closed and clean goes.
- Those that the walk finds otherwise get a rank, which keeps the order of last use, and move to `_ranked` (with the
  order of eviction in `_heap`) or to `_pinned` (never evicted). A use puts them back among the recent.
- All that are ranked or pinned were used before any of the recent. So one of them that has become clean goes first:
  the top of the heap is asked each time, and two of the pinned in turn.

Each step of a walk is paid by one use, each new judgement by one change of state: an eviction takes O(log n),
amortised.

What is evicted stays in `_evicted`, weakly referenced: as long as anybody holds a breaker, a running call too, its
name yields the same object.

The lock is held by whoever adds, evicts or copies; finding a recent one needs none. It is reentrant, because the
garbage collector may run anything anywhere. Evicted breakers and log records leave after it has been released; of other
people's code only clocks run under it, where a window depends on the time.
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

from recloser._breaker.dispatch import log
from recloser._core.machine import CLOSED, HALF_OPEN, OPEN
from recloser._core.meters import AnyMeter
from recloser._core.windows import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recloser._breaker.breaker import CircuitBreaker

PINNED_ASKED = 2
STALE_TOLERATED = 16


class Verdict(IntEnum):
    """Where a breaker stands in the order of eviction."""

    CLEAN = auto()
    FAILING = auto()
    OPEN = auto()
    HALF_OPEN = auto()
    PINNED = auto()


_RANKED = (Verdict.FAILING, Verdict.OPEN, Verdict.HALF_OPEN)


class Ranked(NamedTuple):
    """A breaker that an eviction has passed by; a lower rank means that its last use is longer ago."""

    rank: int
    breaker: CircuitBreaker


class Place(NamedTuple):
    """An item of the heap; stale if the name's rank has become another one."""

    verdict: Verdict
    reopen_at: float
    rank: int
    name: str


class Shelf:
    """The breakers of a registry.

    Args:
        capacity: How many are kept if nobody else holds them, >= 1.
    """

    def __init__(self, capacity: int) -> None:
        self.recent: OrderedDict[str, CircuitBreaker] = OrderedDict()
        self._capacity = capacity
        self._ranked: dict[str, Ranked] = {}
        self._heap: list[Place] = []
        self._pinned: OrderedDict[str, Ranked] = OrderedDict()
        self._evicted: WeakValueDictionary[str, CircuitBreaker] = WeakValueDictionary()
        self._ranks = 0
        self._overfull = False
        self._lock = RLock()

    def __len__(self) -> int:
        """Return how many breakers can be found, evicted ones that somebody holds included."""
        with self._lock:
            return self._kept() + len(self._evicted)

    def __iter__(self) -> Iterator[CircuitBreaker]:
        """Iterate over all breakers that can be found now, evicted ones that somebody holds included.

        Those are held by nobody's iteration before it gets to them: two that overlap would keep them alive for ever.
        """
        with self._lock:
            kept = list(dict.values(self.recent))  # unlike the OrderedDict's own iterator, it minds no move_to_end()
            kept += [ranked.breaker for ranked in (*self._ranked.values(), *self._pinned.values())]
            references = self._evicted.valuerefs()
        held = (breaker for reference in references if (breaker := reference()) is not None)
        return chain(kept, held)

    def find(self, name: str) -> CircuitBreaker | None:
        """Return the breaker of a name, None if there is none; this is no use."""
        with self._lock:
            ranked = self._ranked.get(name) or self._pinned.get(name)
            return self.recent.get(name) or (ranked.breaker if ranked else self._evicted.get(name))

    def use(self, name: str) -> CircuitBreaker | None:
        """Return the breaker of a name and make it the one that was used last; None if there is none."""
        breaker = self.find(name)
        return None if breaker is None else self.put(breaker)

    def put(self, breaker: CircuitBreaker) -> CircuitBreaker:
        """Add a breaker, unless there is one of its name; return the one that there is, which counts as its use."""
        name = breaker.name
        victims: list[CircuitBreaker] = []
        with self._lock:
            breaker = self.find(name) or breaker
            self._evicted.pop(name, None)
            if (self._ranked.pop(name, None) or self._pinned.pop(name, None) or self.recent.get(name)) is None:
                victims = self._make_room()
            self.recent[name] = breaker
            self.recent.move_to_end(name)
            overfull, self._overfull = self._overfull, self._overfull or self._kept() > self._capacity
            self._forget_stale_places()
        del victims
        if self._overfull and not overfull:
            log(
                logging.WARNING,
                "All %d circuit breakers of a registry are forced open, disabled or making a probe, so that none "
                "could be evicted: it keeps more than max_breakers=%d",
                self._capacity,
                self._capacity,
            )
        return breaker

    # Eviction; the lock is held

    def _kept(self) -> int:
        return len(self.recent) + len(self._ranked) + len(self._pinned)

    def _make_room(self) -> list[CircuitBreaker]:
        """Evict until one more fits, or nothing more can be evicted; return what went."""
        victims: list[CircuitBreaker] = []
        while self._kept() >= self._capacity and (victim := self._next_victim()) is not None:
            self._evicted[victim.name] = victim
            victims.append(victim)
        return victims

    def _next_victim(self) -> CircuitBreaker | None:
        return (
            self._clean_of_pinned()
            or self._top_of_ranked(only_clean=True)
            or self._clean_of_recent()
            or self._top_of_ranked(only_clean=False)
        )

    def _clean_of_pinned(self) -> CircuitBreaker | None:
        for _ in range(min(PINNED_ASKED, len(self._pinned))):
            name, ranked = self._pinned.popitem(last=False)
            if not self._keeps(name, ranked, judge(ranked.breaker)):
                return ranked.breaker
        return None

    def _clean_of_recent(self) -> CircuitBreaker | None:
        while self.recent:
            name, breaker = self.recent.popitem(last=False)
            self._ranks += 1
            if not self._keeps(name, Ranked(self._ranks, breaker), judge(breaker)):
                return breaker
        return None

    def _top_of_ranked(self, *, only_clean: bool) -> CircuitBreaker | None:
        while self._heap:
            top = self._heap[0]
            if not self._is_current(top):
                heappop(self._heap)
                continue
            ranked = self._ranked[top.name]
            verdict = judge(ranked.breaker)
            unchanged = verdict in _RANKED and top == _place(top.name, ranked, verdict)
            if unchanged and only_clean:
                return None
            heappop(self._heap)
            del self._ranked[top.name]
            if unchanged or not self._keeps(top.name, ranked, verdict):
                return ranked.breaker
        return None

    def _keeps(self, name: str, ranked: Ranked, verdict: Verdict) -> bool:
        """Put a breaker where its verdict says; return False if that is nowhere, because it is clean."""
        if verdict is Verdict.PINNED:
            self._pinned[name] = ranked
        elif verdict in _RANKED:
            self._ranked[name] = ranked
            heappush(self._heap, _place(name, ranked, verdict))
        return verdict is not Verdict.CLEAN

    def _is_current(self, place: Place) -> bool:
        ranked = self._ranked.get(place.name)
        return ranked is not None and ranked.rank == place.rank

    def _forget_stale_places(self) -> None:
        if len(self._heap) > 2 * len(self._ranked) + STALE_TOLERATED:
            self._heap = list(filter(self._is_current, self._heap))
            heapify(self._heap)


def _place(name: str, ranked: Ranked, verdict: Verdict) -> Place:
    reopen_at = ranked.breaker._machine.reopen_at if verdict is Verdict.OPEN else ALWAYS
    return Place(verdict, reopen_at, ranked.rank, name)


def judge(breaker: CircuitBreaker) -> Verdict:
    """Return where a breaker stands now."""
    machine = breaker._machine
    if machine.state is CLOSED:
        return Verdict.FAILING if _has_failures(breaker) else Verdict.CLEAN
    if machine.state is OPEN:
        return Verdict.OPEN
    if machine.state is HALF_OPEN:
        episode = machine.episode
        return Verdict.PINNED if episode is not None and episode.probes else Verdict.HALF_OPEN
    return Verdict.PINNED


def _has_failures(breaker: CircuitBreaker) -> bool:
    """Return whether any of the breaker's rules counts a failure; no clock is read where time does not matter."""
    epoch, meter = breaker._machine.epoch, breaker._machine.meter
    now = breaker._now() if meter.needs_clock else 0.0
    parts = meter._meters if isinstance(meter, AnyMeter) else (meter,)
    return any(part.failure_count(epoch, now) for part in parts)
