"""The states of breakers in the last thirty minutes, from their transitions alone: no call pays for it.

A breaker that has not left its state in that time keeps nothing. Each of the others keeps a byte per slot, and the
number of breakers is bounded: those that changed longest ago are forgotten first.
"""

from collections import OrderedDict
from itertools import groupby
from threading import Lock
from typing import Any

from recloser import CircuitState, StateChanged

SLOTS = 120
SLOT_SECONDS = 15
MOST_BREAKERS = 2_000

_CODES = {
    CircuitState.CLOSED: 1,
    CircuitState.DISABLED: 2,
    CircuitState.HALF_OPEN: 3,
    CircuitState.OPEN: 4,
    CircuitState.FORCED_OPEN: 5,
}
"""By severity: a slot shows the worst state in it."""
_NAMES = {code: state.value for state, code in _CODES.items()}


class _Ring:
    """The states of one breaker, a byte per slot."""

    __slots__ = ("code", "last", "slots")

    def __init__(self, slot: int, code: int, known: int) -> None:
        self.slots = bytearray(SLOTS)
        self.last = slot
        self.code = code
        for each in range(slot - min(known, SLOTS - 1), slot + 1):
            self.slots[each % SLOTS] = code

    def move(self, slot: int) -> None:
        """Fill the slots since the latest one with the state that goes on."""
        for each in range(max(self.last + 1, slot - SLOTS + 1), slot + 1):
            self.slots[each % SLOTS] = self.code
        self.last = max(self.last, slot)

    def change(self, slot: int, code: int) -> None:
        self.move(slot)
        self.code = code
        place = self.last % SLOTS
        self.slots[place] = max(self.slots[place], code)

    def runs(self, slot: int) -> list[list[Any]]:
        """Return the states as run lengths, the oldest first, up to a slot."""
        start = (self.last + 1) % SLOTS
        kept = self.slots[start:] + self.slots[:start]
        gone = max(0, slot - self.last)
        kept = (kept + bytes([self.code]) * min(gone, SLOTS))[-SLOTS:]
        return [[_NAMES.get(code), len(list(run))] for code, run in groupby(kept)]


class StateHistory:
    """Listens to transitions, in any thread, and keeps the states of the last thirty minutes."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rings: OrderedDict[str, _Ring] = OrderedDict()  # those that changed longest ago first

    def __call__(self, event: StateChanged) -> None:
        """Keep a transition."""
        slot = _slot_of(event.at.timestamp())
        with self._lock:
            ring = self._rings.get(event.breaker)
            if ring is None:
                known = int(min(event.snapshot.time_in_state_seconds // SLOT_SECONDS, SLOTS))
                ring = self._rings[event.breaker] = _Ring(slot, _CODES[event.old], known)
            ring.change(slot, _CODES[event.new])
            self._rings.move_to_end(event.breaker)
            if len(self._rings) > MOST_BREAKERS:
                self._rings.popitem(last=False)

    def fields(self, now: float) -> dict[str, Any]:
        """Return the states by breaker as run lengths `[state, slots]`, the oldest first, as of a Unix time.

        What is not known has no state. A breaker that is left out has been in its state for all the time.
        """
        slot = _slot_of(now)
        with self._lock:
            for name in [name for name, ring in self._rings.items() if ring.last + SLOTS <= slot]:
                del self._rings[name]
            return {
                "slot_seconds": SLOT_SECONDS,
                "slot": slot,
                "breakers": {name: ring.runs(slot) for name, ring in self._rings.items()},
            }


def _slot_of(at: float) -> int:
    return int(at // SLOT_SECONDS)
