"""Forwards the events of all breakers of a registry to the registry's listeners.

While the registry has listeners, the fan-in listens to each breaker, new ones included, for the kinds of events that
these listeners want. All breakers share one subscription for that. If a listener causes another event, of any breaker,
that event is queued behind the current one.
"""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING

from recloser._breaker.dispatch import NO_KINDS, Dispatcher, Subscription
from recloser._core.events import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recloser._breaker.breaker import CircuitBreaker
    from recloser._breaker.records import Record


class FanIn:
    """Connects the breakers of a registry to the registry's listeners.

    Args:
        breakers: Iterates over the registry's present breakers.
    """

    def __init__(self, breakers: Iterable[CircuitBreaker]) -> None:
        self.dispatcher: Dispatcher = Dispatcher()
        self._breakers = breakers
        self._entry = Subscription(self._pass_on, NO_KINDS, takes_records=True, dispatcher=self.dispatcher)
        self._lock = RLock()  # one thread may create breakers while another one subscribes

    def refresh(self) -> None:
        """Update the kinds that all breakers forward, after the registry's listeners have changed."""
        with self._lock:
            wanted, old = self.dispatcher.wanted, self._entry
            if wanted == old.kinds:
                return
            self._entry = Subscription(self._pass_on, wanted, takes_records=True, dispatcher=self.dispatcher)
            for breaker in self._breakers:
                self._attach(breaker, old)

    def attach(self, breaker: CircuitBreaker) -> None:
        """Listen to a breaker if the registry has listeners; attaching it again changes nothing."""
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

    def _pass_on(self, item: Event | Record) -> None:
        if isinstance(item, Event):
            self.dispatcher.emit(item)
        else:
            self.dispatcher.report(item)
