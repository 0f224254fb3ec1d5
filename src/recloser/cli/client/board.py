"""What is known about all breakers of another process: the whole state first, then what changes.

The time that the server's clock shows is estimated from its messages, which can only be late. When that clock is set,
all known moments move with it: the server sends again only what differs from what it was going to be.
"""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from recloser.cli.client.breaker import Breaker, Rates
from recloser.cli.client.messages import (
    About,
    FleetEntry,
    TransitionEntry,
    read_entries,
    read_fleet,
    read_overview,
    read_time,
    understood,
)
from recloser.cli.client.sentences import is_about
from recloser.cli.client.states import urgency

__all__ = ["Board", "counts_of"]

_MOST_TRANSITIONS = 200
_MOST_LATENESS_SECONDS = 5.0
_RATE_SECONDS = 10.0

# A clock that goes on while the machine sleeps, where there is one.
_CLOCK = partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic


class Board:
    """All breakers, the latest transitions, and what the server says about itself.

    Args:
        clock: Seconds that never go back.

    Attributes:
        breakers: By name.
        transitions: The oldest first.
        about: What the dashboard says about itself.
        fleet: What is known about the fleet; None if there is none.
        overview: What the server says about all breakers together; None if it says nothing.
        missed_updates: How many updates the client has missed.
        missed_transitions: How many transitions the server has left out, because they were too many at once.
    """

    def __init__(self, clock: Callable[[], float] = _CLOCK) -> None:
        self.breakers: dict[str, Breaker] = {}
        self.transitions: deque[TransitionEntry] = deque(maxlen=_MOST_TRANSITIONS)
        self.about: About = About()
        self.fleet: FleetEntry | None = None
        self.overview: dict[str, Any] | None = None
        self.missed_updates: int = 0
        self.missed_transitions: int = 0
        self._last_seq: int | None = None
        self._clock = clock
        self._offset = -math.inf

    @property
    def now(self) -> float:
        """What the server's clock shows, in seconds since 1970."""
        return self._clock() + self._offset

    @property
    def counts(self) -> dict[str, int]:
        """How many breakers are in each state that occurs, the most urgent one first."""
        return counts_of(self.breakers.values())

    def ordered(self, text: str = "", sort: str = "state") -> list[Breaker]:
        """Return breakers in the order in which they are shown.

        Args:
            text: Only those with this text in their name or their cause, in either case of its letters.
            sort: By `state`, the most urgent one first, shadow mode before closed; by `name`; or by `failures` or
                `rejections` per second, the highest rate first.
        """
        chosen = [breaker for breaker in self.breakers.values() if is_about(breaker, text)]
        chosen.sort(key=lambda breaker: breaker.name)
        if sort == "state":
            chosen.sort(key=lambda breaker: urgency(breaker.shown_state))
        elif sort in {"failures", "rejections"}:
            rates = {breaker.name: self.rates(breaker) for breaker in chosen}
            chosen.sort(key=lambda breaker: -getattr(rates[breaker.name], sort, -1.0))
        return chosen

    def rates(self, breaker: Breaker) -> Rates | None:
        """Return how much has happened per second lately; None if that is not known yet."""
        now = self.now
        return breaker.rates(now - self._rate_seconds, now)

    def replace(self, data: dict[str, Any]) -> list[TransitionEntry]:
        """Start over from the whole state.

        Returns:
            The transitions since the latest known one, if that belongs to the same run of the server.

        Raises:
            ForeignError: The data is something else; nothing has changed.
        """
        with understood():
            about = About.read(dict(data.get("dashboard") or {}))
            entries, transitions = read_entries(data["breakers"]), _transitions(data)
            fleet, at, dropped = (
                read_fleet(data.get("fleet")),
                read_time(data["timestamp"]),
                int(data.get("dropped", 0)),
            )
            overview = read_overview(data.get("overview"))
            breakers = {name: Breaker(name, at) for name in entries}
            for name, entry in entries.items():
                breakers[name].merge(entry, at)
        if about.run != self.about.run:
            self.missed_updates = self.missed_transitions = 0
            self._last_seq = None
        known = self._last_seq
        self.about, self.breakers, self.fleet, self.overview = about, breakers, fleet, overview
        self.missed_updates += dropped
        self._offset = at - self._clock()
        self.transitions.clear()
        new = self._add(transitions)
        return [] if known is None else new

    def update(self, data: dict[str, Any]) -> list[TransitionEntry]:
        """Take over what has changed.

        Returns:
            The new transitions.

        Raises:
            ForeignError: The data is something else; a part of it may have been taken over.
        """
        with understood():
            entries, transitions = read_entries(data["changed"]), _transitions(data)
            removed: list[str] = list(data["removed"])
            at, dropped = read_time(data["timestamp"]), int(data.get("dropped", 0))
            self.fleet = read_fleet(data.get("fleet"))
            self.overview = read_overview(data.get("overview"))
            self._set_clock(at)
            for name in removed:
                self.breakers.pop(name, None)
            for name, entry in entries.items():
                breaker = self.breakers.get(name) or Breaker(name, at)
                breaker.merge(entry, at)
                self.breakers[name] = breaker
        self.missed_updates += dropped
        return self._add(transitions)

    def _add(self, transitions: list[TransitionEntry]) -> list[TransitionEntry]:
        """Add transitions; return those that are new."""
        known = self._last_seq
        self.transitions.extend(transitions)
        if not transitions:
            self._last_seq = known or 0
            return []
        self._last_seq = transitions[-1].seq
        if known is None:
            return transitions
        new = [each for each in transitions if each.seq > known]
        self.missed_transitions += max(0, self._last_seq - known - len(new))
        return new

    def _set_clock(self, at: float) -> None:
        """Take over the time of a message, unless the message is merely late."""
        offset = at - self._clock()
        step = offset - self._offset
        if -_MOST_LATENESS_SECONDS <= step <= 0:
            return
        self._offset = offset
        if abs(step) > _MOST_LATENESS_SECONDS:
            for breaker in self.breakers.values():
                breaker.shift(step)

    @property
    def _rate_seconds(self) -> float:
        """The span that rates are measured over: the server may need several rounds to read all breakers once."""
        rounds = math.ceil(len(self.breakers) / self.about.breakers_per_update) or 1
        return max(_RATE_SECONDS, 2.0 * rounds * self.about.interval_seconds)


def counts_of(breakers: Iterable[Breaker]) -> dict[str, int]:
    """Return how many breakers are in each state that occurs, the most urgent one first.

    Those in shadow mode that are not closed count as such: they reject nothing.
    """
    counts = Counter(breaker.shown_state for breaker in breakers)
    return {state: counts[state] for state in sorted(counts, key=urgency)}


def _transitions(data: dict[str, Any]) -> list[TransitionEntry]:
    return [TransitionEntry.read(each) for each in data.get("transitions", ())]
