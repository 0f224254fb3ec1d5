"""Passes the events of all breakers of a registry on to those who listen to the registry.

Only while somebody listens: then each breaker has the fan-in among its listeners, one entry that all share, for the
kinds of events that somebody wants, and new breakers get it as they come. Events that a listener gives rise to are
queued behind the one that it is being told, whichever breaker they are of.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING

from recloser._breaker.dispatch import NO_KINDS, Dispatcher, Subscription

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recloser._breaker.breaker import CircuitBreaker
    from recloser._core.events import Event


class FanIn:
    """Between the breakers and the listeners of a registry.

    Args:
        breakers: All breakers at the moment.
    """

    def __init__(self, breakers: Iterable[CircuitBreaker]) -> None:
        self.dispatcher = Dispatcher()
        self._breakers = breakers
        self._entry = Subscription(self._pass_on, NO_KINDS)
        self._lock = RLock()  # breakers may be made in one thread while another one begins to listen

    def refresh(self) -> None:
        """Listen to all breakers for what somebody wants, which has changed; to none if nobody wants anything."""
        with self._lock:
            wanted, old = self.dispatcher.wanted, self._entry
            if wanted == old.kinds:
                return
            self._entry = Subscription(self._pass_on, wanted)
            for breaker in self._breakers:
                self._attach(breaker, old)

    def attach(self, breaker: CircuitBreaker) -> None:
        """Listen to a breaker, if anybody listens; once, however often it is attached."""
        with self._lock:
            if self._entry.kinds:
                self._attach(breaker, self._entry)

    def _attach(self, breaker: CircuitBreaker, old: Subscription) -> None:
        engine = breaker.engine
        dispatcher = engine.listeners()
        if self._entry.kinds:
            dispatcher.replace(old, self._entry)
        else:
            dispatcher.remove(old)
        engine.refresh()

    def _pass_on(self, event: Event) -> None:
        self.dispatcher.emit([event])
