"""The latest transitions of all breakers, and those of them that clients have not been told."""

import weakref
from collections import deque
from itertools import count
from threading import Lock
from typing import Any, TypeAlias

from recloser import BreakerRegistry, StateChanged

MOST_TRANSITIONS = 200

Told: TypeAlias = dict[str, Any]


class Timeline:
    """Listens to transitions, and to nothing else: a call through a closed breaker pays nothing for that.

    Args:
        registry: Whose breakers.
    """

    def __init__(self, registry: BreakerRegistry) -> None:
        self._notes = _Notes()
        self._told: deque[Told] = deque(maxlen=MOST_TRANSITIONS)
        weakref.finalize(self, registry.subscribe(self._notes, kinds=StateChanged))

    @property
    def told(self) -> list[Told]:
        """Those that clients have been told, the oldest first."""
        return list(self._told)

    def take(self) -> list[Told]:
        """Return the new ones, the oldest first; from now on they count as told."""
        taken = self._notes.take()
        self._told.extend(taken)
        return taken


class _Notes:
    """The listener. It does not know the timeline, which therefore goes, and ends the listening, when nobody has it.

    Transitions happen in whatever thread; their numbers are in the order in which they are told, and those that are
    dropped because there are too many leave a gap.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._numbers = count(1)
        self._new: deque[Told] = deque(maxlen=MOST_TRANSITIONS)

    def __call__(self, event: StateChanged) -> None:
        """Take a transition down."""
        told: Told = {
            "at": event.at.isoformat(),
            "breaker": event.breaker,
            "old": event.old.value,
            "new": event.new.value,
            "cause": str(event.cause),
        }
        with self._lock:
            self._new.append({"seq": next(self._numbers), **told})

    def take(self) -> list[Told]:
        """Return the transitions since the last time, the oldest first."""
        with self._lock:
            taken = list(self._new)
            self._new.clear()
        return taken
