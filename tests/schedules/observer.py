"""Listeners and readers of a breaker's events, and checks of the events that they receive."""

from collections import Counter
from itertools import pairwise

import anyio

from recloser import Event, StateChanged
from recloser._core.states import TRANSITIONS
from recloser.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    EventsDropped,
    LateOutcome,
    ProbeAdmitted,
    ShadowOutcome,
)
from tests.schedules.world import World

MEDDLES = 0.1
RAISES = 0.1
ROOMY = 1000
"""A buffer of that size never overflows within a schedule."""


class Observer:
    """A listener that keeps everything, makes calls of its own, and raises now and then."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log: list[Event] = []
        world.breaker.subscribe(self)
        world.watchers.observers += 1

    def __call__(self, event: Event) -> None:
        self.log.append(event)
        world = self.world
        if world.schedule.rng.random() < MEDDLES:
            world.meddle()
        if world.schedule.rng.random() < RAISES:
            message = "a listener is broken"
            raise ValueError(message)

    def check(self) -> None:
        """Checks that the events add up to the totals, and that the state changes form a legal path from closed."""
        health, snapshot = self.world.breaker.health(), self.world.breaker.snapshot()
        assert {event.breaker for event in self.log} <= {self.world.breaker.name}
        assert all(event.monotonic <= self.world.now() for event in self.log)
        seen = Counter(type(event) for event in self.log)
        cancelled = sum(isinstance(event, CallIgnored) and event.cancelled for event in self.log)
        assert seen[CallRejected] == health["rejected_total"] + snapshot.shadow_calls.would_reject
        assert seen[ShadowOutcome] >= snapshot.shadow_calls.failed + snapshot.shadow_calls.succeeded
        assert seen[LateOutcome] == health["late_total"]
        assert seen[ProbeAdmitted] == health["probe_total"]
        assert seen[CallIgnored] == health["ignored_total"] + health["cancelled_total"]
        assert cancelled == health["cancelled_total"]
        assert seen[CallSucceeded] == health["success_total"]
        assert seen[CallFailed] == health["failure_total"]
        changes = [event for event in self.log if isinstance(event, StateChanged)]
        assert len(changes) == self.world.breaker.generation - 1
        assert [change.snapshot.generation for change in changes] == list(range(1, len(changes) + 1))
        for before, after in pairwise(changes):
            assert before.new is after.old
        for change in changes:
            assert TRANSITIONS[change.old][change.cause.trigger] is change.new


class Reader:
    """A task that reads a stream of events; the smaller its buffer, the slower.

    Every event that it reads must be the next one of the log, after the number of events reported as lost.
    """

    def __init__(self, observer: Observer, max_buffer: int) -> None:
        self.log = observer.log
        self.world = observer.world
        self.max_buffer = max_buffer
        self.place = 0
        self.is_last_call = False

    async def read(self) -> None:
        schedule = self.world.schedule
        async with self.world.breaker.events(max_buffer=self.max_buffer) as stream:
            self.place = len(self.log)
            while not self.is_last_call or self.place < len(self.log):
                with anyio.move_on_after(schedule.rng.choice((0.0, 0.5, 5.0))):
                    self._take(await anext(stream))
                await schedule.pause()

    def _take(self, event: Event) -> None:
        if isinstance(event, EventsDropped):
            assert event.count > 0
            assert self.max_buffer < ROOMY
            self.place += event.count
        else:
            assert event == self.log[self.place]
            self.place += 1
