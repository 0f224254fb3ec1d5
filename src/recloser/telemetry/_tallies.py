"""What is counted from events between two scrapes: transitions by cause.

Events arrive in the thread of the breakers, scrapes in another thread. Both hold a lock briefly.
"""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from recloser import StateChanged


class TransitionKind(NamedTuple):
    """The labels of a transition."""

    name: str
    old_state: str
    new_state: str
    cause: str


class TransitionTally:
    """Counts transitions.

    Args:
        name_of: Returns the name by which a breaker is counted.
    """

    def __init__(self, name_of: Callable[[str], str]) -> None:
        self._name_of = name_of
        self._lock = Lock()
        self._counts: Counter[TransitionKind] = Counter()

    def __call__(self, event: StateChanged) -> None:
        """Count a transition."""
        name = self._name_of(event.breaker)
        with self._lock:
            self._counts[TransitionKind(name, event.old.value, event.new.value, event.cause.trigger.value)] += 1

    def read(self) -> dict[TransitionKind, int]:
        """Return the counts."""
        with self._lock:
            return dict(self._counts)
