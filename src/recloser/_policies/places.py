"""The places of a bulkhead, for all event loops and threads of the process.

A call holds a `Hold`, and the places know it by a weak reference. The call gives its place back at its end. If an
exception from outside (Ctrl-C) interrupts it before that, or its event loop ends, the hold is dropped with the call,
and the callback of the weak reference gives the place back. The reference is a local variable before the hold: at the
end of a call it goes first, and its callback is not called.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import ReferenceType

from recloser._breaker.loop_bound import LoopEvent, is_gone, running_loop
from recloser._breaker.steps import STEP

if TYPE_CHECKING:
    from collections.abc import Callable


class Hold:
    """What a call holds while it has a place: not its task, so that a call inside a call takes a place of its own."""

    __slots__ = ("__weakref__",)


Place = ReferenceType[Hold]


class Places:
    """A number of places, which waiting calls get in the order of their arrival.

    Args:
        most: How many there are, >= 1.
    """

    __slots__ = ("_dropped", "_most", "_taken", "_waiting", "on_drop")

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: dict[Place, object] = {}  # in which event loop each call runs
        self._waiting: deque[tuple[Place, LoopEvent, object]] = deque()
        self._dropped: deque[Place] = deque()  # a finaliser can run in the middle of a step, so it only notes its place
        self.on_drop: Callable[[Place], None] = self._note_drop  # a method of a class would be bound for each call

    @property
    def taken(self) -> int:
        """How many places are taken by calls whose event loop is not gone."""
        with STEP:
            self._take_back()
            return sum(not is_gone(loop) for loop in self._taken.values())

    @property
    def waiting(self) -> int:
        """How many calls wait for a place."""
        return len(self._waiting)

    def take(self, place: Place) -> bool:
        """Take a place if one is free and nobody waits for it; return whether that is so."""
        with STEP:
            if self._dropped:
                self._take_back()
            is_free = (len(self._taken) < self._most or self._free_lost()) and not self._waiting
            if is_free:
                self._taken[place] = running_loop()
        return is_free

    def give(self, place: Place) -> None:
        """Give a place back, or stop waiting for it. The call that waits longest gets the place."""
        with STEP:
            self._remove(place)

    def queue(self, place: Place, most: int) -> LoopEvent | None:
        """Wait for a place behind all who wait already; return the event of getting it, None if so many wait."""
        event = LoopEvent()
        with STEP:
            if len(self._waiting) >= most:
                return None
            self._waiting.append((place, event, running_loop()))
            self._hand_on()  # a place may have become free since it was asked for
        return event

    def _remove(self, place: Place) -> None:
        """Give a place back, or stop waiting for it, holding `STEP`."""
        for waiting in self._waiting:
            if waiting[0] is place:
                self._waiting.remove(waiting)
                return
        self._hand_on(place)
        self._taken.pop(place, None)  # last: if an interrupt arrives before, the finaliser does it all again

    def _free_lost(self) -> bool:
        """Free the places of calls whose event loop is gone, holding `STEP`; return whether a place is free now."""
        for place, loop in tuple(self._taken.items()):
            if is_gone(loop):
                del self._taken[place]
        self._hand_on()
        return len(self._taken) < self._most

    def _hand_on(self, leaving: Place | None = None) -> None:
        """Give free places to those who wait, holding `STEP`; an event loop that is gone gets none.

        An interrupt can arrive between any two lines, so a call leaves the queue last, and may have its place already.

        Args:
            leaving: A place that becomes free afterwards.
        """
        most = self._most + (leaving in self._taken)
        while self._waiting:
            place, event, loop = self._waiting[0]
            if place() is not None:
                if len(self._taken) >= most and place not in self._taken:
                    return
                self._taken[place] = loop
                if is_gone(loop) or not event.wake():
                    del self._taken[place]
            self._waiting.popleft()

    def _note_drop(self, place: Place) -> None:
        self._dropped.append(place)
        for _, event, _ in tuple(self._waiting):
            if event.post(self._take_back_dropped):
                return

    def _take_back_dropped(self) -> None:
        with STEP:
            self._take_back()

    def _take_back(self) -> None:
        """Give back the places of dropped holds, holding `STEP`."""
        while self._dropped:
            with suppress(TypeError):  # a hold that never had a place: it has no hash
                self._remove(self._dropped.popleft())
