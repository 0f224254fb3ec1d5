"""Passes the events of all breakers of a registry on to those who listen to the registry.

Only while somebody listens: then each breaker has the relay among its listeners, one entry that all share, and new
breakers get it as they come. Events that a listener gives rise to are queued behind the one that it is being told,
whichever breaker they are of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser._delivery import Dispatcher

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recloser._breaker import CircuitBreaker
    from recloser._core.events import Event


class Relay:
    """Between the breakers and the listeners of a registry.

    Args:
        breakers: All breakers at the moment.
    """

    def __init__(self, breakers: Iterable[CircuitBreaker]) -> None:
        self.dispatcher = Dispatcher()
        self._breakers = breakers
        self._entry = (self._pass_on,)
        self._is_listening = False

    def refresh(self) -> None:
        """Begin to listen to all breakers, or stop, if the first listener has come or the last one gone."""
        wanted = bool(self.dispatcher.entries)
        if wanted == self._is_listening:
            return
        self._is_listening = wanted
        for breaker in self._breakers:
            if wanted:
                self.attach(breaker)
            else:
                self._detach(breaker)

    def attach(self, breaker: CircuitBreaker) -> None:
        """Listen to a breaker, if anybody listens; once, however often it is attached."""
        if not self._is_listening:
            return
        dispatcher = breaker._dispatching()
        if self._entry not in dispatcher.entries:
            dispatcher.entries = (*dispatcher.entries, self._entry)
            breaker._refresh()

    def _detach(self, breaker: CircuitBreaker) -> None:
        breaker._dispatching().remove(self._entry)
        breaker._refresh()

    def _pass_on(self, event: Event) -> None:
        self.dispatcher.emit([event])
