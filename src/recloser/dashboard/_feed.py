"""The updates of all breakers, at most one per interval, made once for all clients.

There is no background task. A client that finds an update due begins a round. A round reads breakers in short
synchronous steps, so that no protected call waits for long. Any client continues a round that another one has begun.
The last step publishes what has changed. A round reads a bounded number of breakers: first those whose state has
changed, then new ones, then those that were read longest ago.

An update holds values, not differences. A client may therefore receive a value that it knows, or an older one, as long
as it receives every update after the one that it began with.
"""

import math
import secrets
import weakref
from collections import OrderedDict, deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.lowlevel

from recloser import BreakerRegistry, CircuitBreaker, StateChanged
from recloser.dashboard._ended import EndedOutages
from recloser.dashboard._fleet import read_fleet
from recloser.dashboard._history import StateHistory
from recloser.dashboard._http import logger, to_json
from recloser.dashboard._overview import Overview
from recloser.dashboard._ring import Update, UpdateRing
from recloser.dashboard._sample import MANUAL, BreakerEntry, Known, dated, read
from recloser.dashboard._timeline import Timeline

READ_PER_ROUND = 1_000
READ_PER_STEP = 100
_ABSENCE_SECONDS = 10.0
_FAR = 2.0  # in intervals; more than one, because sums are rounded


class UpdateFeed:
    """The updates of a registry; used in one event loop.

    Args:
        registry: The registry to watch.
        interval_seconds: The shortest time between two updates.
        error_messages: Whether to send the whole texts of errors.

    Attributes:
        run: Distinguishes the updates of this feed from those of other feeds.
        ring: The latest updates.
        timeline: The latest transitions.
        registry: The registry.
        history: The states of breakers in the last thirty minutes.
        ended: The outages that are over.
        overview: What is wrong with all breakers together, as of the latest update.
        due_at: When the next round may begin, in seconds of the event loop's clock.
        readers: How many clients there are.
    """

    def __init__(self, registry: BreakerRegistry, interval_seconds: float, *, error_messages: bool = False) -> None:
        self.run = secrets.token_hex(8)
        self.ring = UpdateRing()
        self.timeline = Timeline(registry, error_messages=error_messages)
        self._error_messages = error_messages
        self.due_at = -math.inf
        self.readers = 0
        self.interval_seconds = interval_seconds
        self.registry = registry
        self.history = StateHistory()
        self.ended = EndedOutages(error_messages=error_messages)
        for listener in (self.history, self.ended):
            weakref.finalize(self, registry.subscribe(listener, kinds=StateChanged))
        self.overview: dict[str, Any] = self.new_overview(datetime.now(UTC)).fields()
        self.fleet = read_fleet(registry)
        self._known: OrderedDict[str, Known] = OrderedDict()  # those read longest ago first
        self._round: deque[str] | None = None
        self._is_fresh = False
        self._changed: dict[str, BreakerEntry] = {}
        self._removed: dict[str, None] = {}
        self._unreadable: set[str] = set()

    @contextmanager
    def reading(self) -> Generator[None]:
        """Count a client; when the last one leaves in the middle of a round, the next round begins afresh."""
        self.readers += 1
        try:
            yield
        finally:
            self.readers -= 1
            if not self.readers and self._round is not None:
                self._round = None
                self.due_at = -math.inf

    async def advance(self) -> None:
        """Make the update that is due, if one is; a checkpoint after each step. A cancellation leaves a round begun."""
        now = anyio.current_time()
        if self._round is None and not self._is_waiting(now):
            self._begin(now)
        while self._round is not None:
            self._step(self._round, anyio.current_time())
            await anyio.lowlevel.checkpoint()

    def entries(self, now: float) -> Iterator[tuple[str, BreakerEntry]]:
        """Return the entries of all breakers as of now; later updates don't change what the iterator returns."""
        known = list(self._known.items())
        return ((name, dated(each.entry_at(now))) for name, each in known)

    def new_overview(self, now: datetime) -> Overview:
        """Return an overview that no breaker has been added to."""
        return Overview(self.ended.all(), now)

    # Rounds

    def _is_waiting(self, now: float) -> bool:
        """Return whether no update is due; a time that is too far ahead comes from the clock of another event loop."""
        return 0 < self.due_at - now <= _FAR * self.interval_seconds

    def _begin(self, now: float) -> None:
        """Choose the breakers to read: all of them, without an update, if there was no client for a while."""
        self._is_fresh = not -_ABSENCE_SECONDS <= self.due_at - now <= _FAR * self.interval_seconds
        self.due_at = now + self.interval_seconds
        generations = {breaker.name: breaker.generation for breaker in self.registry}
        if self._is_fresh:
            self._known.clear()
            self._round = deque(generations)
            return
        for name in [name for name in self._known if name not in generations]:
            self._forget(name)
        self._round = deque(list(self._most_urgent(generations))[:READ_PER_ROUND])

    def _most_urgent(self, generations: dict[str, int]) -> Iterator[str]:
        known = self._known
        changed = {name: None for name, known in known.items() if known.entry["generation"] != generations[name]}
        yield from changed
        yield from (name for name in generations if name not in known)
        yield from (name for name in known if name not in changed)

    def _step(self, names: deque[str], now: float) -> None:
        """Read some breakers; after the last ones, publish."""
        for _ in range(min(READ_PER_STEP, len(names))):
            name = names.popleft()
            breaker = self.registry.get(name)
            if breaker is None or not self._can_read(breaker, now):
                self._forget(name)
        if not names:
            self._round = None
            self._publish()

    def _can_read(self, breaker: CircuitBreaker, now: float) -> bool:
        """Read a breaker; log once if it raises, because its clock does, and leave it out."""
        try:
            self._read(breaker, now)
        except Exception:  # noqa: BLE001 - raised by the breaker's clock; it is logged
            if breaker.name not in self._unreadable:
                self._unreadable.add(breaker.name)
                logger.exception("Circuit breaker %r can't be shown", breaker.name)
            return False
        self._unreadable.discard(breaker.name)
        return True

    def _read(self, breaker: CircuitBreaker, now: float) -> None:
        name = breaker.name
        old = self._known.get(name)
        entry = read(breaker, None if old is None else old.entry, error_messages=self._error_messages)
        if old is None:
            changed = entry
            self._removed.pop(name, None)
        else:
            changed = old.changes(entry, now)
        self._known[name] = Known(entry, now)
        self._known.move_to_end(name)
        if changed:
            self._changed.setdefault(name, {}).update(dated(changed))

    def _forget(self, name: str) -> None:
        self._changed.pop(name, None)
        if self._known.pop(name, None) is not None:
            self._removed[name] = None

    def _publish(self) -> None:
        changed, self._changed = self._changed, {}
        removed, self._removed = list(self._removed), {}
        transitions = self.timeline.take()
        fleet_before, self.fleet = self.fleet, read_fleet(self.registry)
        overview_before, self.overview = self.overview, self._sum_up()
        if self._is_fresh:
            self.ring.restart()
        elif changed or removed or transitions or (self.fleet, self.overview) != (fleet_before, overview_before):
            seq = self.ring.seq + 1
            data = {
                "timestamp": datetime.now(UTC).isoformat(),
                "changed": changed,
                "removed": removed,
                "transitions": transitions,
                "fleet": self.fleet,
                "overview": self.overview,
                "dropped": 0,
            }
            message = f"event: update\nid: {self.run}-{seq}\ndata: {to_json(data)}\n\n"
            self.ring.append(Update(seq, message.encode("ascii")))

    def _sum_up(self) -> dict[str, Any]:
        overview, now = self.new_overview(datetime.now(UTC)), anyio.current_time()
        for name, known in self._known.items():
            overview.add(name, known.entry_at(now) if known.entry["group"] == MANUAL else known.entry)
        return overview.fields()
