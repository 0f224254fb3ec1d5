"""The latest transitions of all breakers, and those of them that have not been sent yet."""

import weakref
from collections import deque
from itertools import count
from threading import Lock
from typing import Any, TypeAlias

from recloser import BreakerRegistry, StateChanged
from recloser.dashboard._sample import shown_cause

MOST_TRANSITIONS = 200

TransitionFields: TypeAlias = dict[str, Any]


class Timeline:
    """Listens to transitions, and to nothing else: a call through a closed breaker pays nothing for that.

    Args:
        registry: The registry with the breakers.
        error_messages: Whether to keep the whole texts of errors.
    """

    def __init__(self, registry: BreakerRegistry, *, error_messages: bool = False) -> None:
        self._listener = TransitionListener(error_messages=error_messages)
        self._sent: deque[TransitionFields] = deque(maxlen=MOST_TRANSITIONS)
        weakref.finalize(self, registry.subscribe(self._listener, kinds=StateChanged))

    @property
    def sent(self) -> list[TransitionFields]:
        """The transitions that have been sent, the oldest first."""
        return list(self._sent)

    def take(self) -> list[TransitionFields]:
        """Return the new transitions, the oldest first; from now on they count as sent."""
        taken = self._listener.take()
        self._sent.extend(taken)
        return taken


class TransitionListener:
    """Keeps the new transitions of a registry.

    It does not refer to its timeline, so that the timeline can go, which ends the subscription. Transitions happen in
    any thread. Their numbers follow the order in which they are reported; those that are dropped, because there are
    too many, leave a gap.

    Args:
        error_messages: Whether to keep the whole texts of errors.
    """

    def __init__(self, *, error_messages: bool = False) -> None:
        self._error_messages = error_messages
        self._lock = Lock()
        self._numbers = count(1)
        self._new: deque[TransitionFields] = deque(maxlen=MOST_TRANSITIONS)

    def __call__(self, event: StateChanged) -> None:
        """Keep a transition."""
        fields: TransitionFields = {
            "at": event.at.isoformat(),
            "breaker": event.breaker,
            "old": event.old.value,
            "new": event.new.value,
            "cause": shown_cause(event.cause, error_messages=self._error_messages),
            "retry_after": event.retry_after,
        }
        with self._lock:
            self._new.append({"seq": next(self._numbers), **fields})

    def take(self) -> list[TransitionFields]:
        """Return the transitions since the last call, the oldest first."""
        with self._lock:
            taken = list(self._new)
            self._new.clear()
        return taken
