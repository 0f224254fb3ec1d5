"""The latest transitions of all breakers, and those of them that clients have not been told."""

from collections import deque
from collections.abc import Iterator
from itertools import count
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
        self._numbers = count(1)
        self._new: deque[Told] = deque(maxlen=MOST_TRANSITIONS)
        self._told: deque[Told] = deque(maxlen=MOST_TRANSITIONS)
        registry.subscribe(self._note, kinds=StateChanged)

    @property
    def told(self) -> list[Told]:
        """Those that clients have been told, the oldest first."""
        return list(self._told)

    def take(self) -> list[Told]:
        """Return the new ones, the oldest first; from now on they count as told."""
        taken = list(self._drain())
        self._told.extend(taken)
        return taken

    def _note(self, event: StateChanged) -> None:
        """Take a transition down; whatever thread it happens in."""
        self._new.append(
            {
                "seq": next(self._numbers),
                "at": event.at.isoformat(),
                "breaker": event.breaker,
                "old": event.old.value,
                "new": event.new.value,
                "cause": str(event.cause),
            }
        )

    def _drain(self) -> Iterator[Told]:
        while True:
            try:
                yield self._new.popleft()
            except IndexError:
                return
