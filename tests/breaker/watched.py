"""A breaker that somebody watches, in each of the ways that there are, and what it has been seen to do."""

from collections import Counter
from dataclasses import dataclass, field

import anyio

from recloser import CircuitBreaker, CountWindow, Event, FailureRate, SlowCallRate
from recloser._breaker.dispatch import EventStream
from recloser._breaker.durations import (
    Claim,
    Durations,
    Histogram,
    Histograms,
    Sample,
    Samples,
    claim_durations,
    release_durations,
)
from recloser._core.outcomes import Outcome
from recloser.events import CallFailed, CallIgnored, CallSucceeded
from recloser.testing import ManualClock
from tests.breaker.kit import make_plain

BOUNDS = (0.5, 1.0, 2.0)
SLOW_SECONDS = 1.0
SLOW = SlowCallRate(1.0, slow_call_seconds=SLOW_SECONDS, window=CountWindow(4), minimum_calls=4)
PATIENCE_SECONDS = 5.0
ENDS = (CallSucceeded, CallFailed, CallIgnored)

OPTIONS: dict[str, dict[str, object]] = {
    "slow calls": {"trip_when": SLOW},
    "slow calls and failures": {"trip_when": SLOW | FailureRate(1.0, window=CountWindow(4), minimum_calls=1)},
    "failed_result": {"failed_result": lambda result: result == "bad"},
    "overdue_after_seconds": {"overdue_after_seconds": 5.0},
    "a listener": {},
    "two listeners": {},
    "a listener of failures": {},
    "a reader of events": {},
    "durations": {},
    "samples": {},
    "everything": {"failed_result": lambda result: result == "bad", "overdue_after_seconds": 5.0},
}
WAYS_TO_WATCH = list(OPTIONS)


def take(samples: Samples) -> tuple[list[float], list[Sample]]:
    """Takes out the samples of successes and of other calls, in their order."""
    taken = samples.successes[:], samples.others[:]
    samples.successes.clear()
    samples.others.clear()
    return taken


@dataclass
class Watched:
    """A breaker, and what those who watch it have learned."""

    breaker: CircuitBreaker
    heard: list[Event] = field(default_factory=list)
    heard_second: list[Event] = field(default_factory=list)
    stream: EventStream[Event] | None = None
    claim: Claim | None = None
    durations: Durations | None = None
    chain: tuple[Histograms, ...] = ()
    samples: Samples | None = None

    @classmethod
    async def make(cls, clock: ManualClock, how: str, **options: object) -> "Watched":
        given = OPTIONS[how] if "trip_when" in OPTIONS[how] else {**OPTIONS[how], **options}
        watched = cls(make_plain(clock, **given))
        if how in ("a listener", "two listeners", "everything"):
            watched.breaker.subscribe(watched.heard.append)
        if how == "two listeners":
            watched.breaker.subscribe(watched.heard_second.append)
        if how == "a listener of failures":
            watched.breaker.subscribe(watched.heard.append, CallFailed)
        if how in ("a reader of events", "everything"):
            watched.stream = watched.breaker.events()
            await watched.stream.__aenter__()
        if how in ("durations", "samples", "everything"):
            watched.measure(bounds=() if how == "samples" else BOUNDS, samples=how != "durations")
        return watched

    def measure(self, bounds: tuple[float, ...] = BOUNDS, *, samples: bool = True) -> None:
        self.samples = Samples(lambda *_: None) if samples else None
        self.claim = Claim(bounds, self.samples)
        self.durations = claim_durations(self.breaker.engine, self.claim)
        self.chain = self.durations.chain

    def stop_measuring(self) -> None:
        release_durations(self.breaker.engine, self.claim)

    def histogram(self, outcome: Outcome) -> Histogram:
        [histograms] = self.chain
        return histograms.of(outcome)

    def counts(self, outcome: Outcome) -> list[int]:
        """Returns the counts of the histogram of an outcome."""
        return self.histogram(outcome).counts

    def take(self) -> tuple[list[float], list[Sample]]:
        """Takes out the samples of successes and of other calls, in their order."""
        assert self.samples is not None
        return take(self.samples)

    async def read(self) -> list[Event]:
        """Reads what the stream has, up to and with the event of a reset."""
        assert self.stream is not None
        generation, events = self.breaker.generation, []
        self.breaker.reset()
        with anyio.fail_after(PATIENCE_SECONDS):
            while not events or getattr(getattr(events[-1], "snapshot", None), "generation", None) != generation:
                events.append(await anext(self.stream))
        return events

    async def seen(self) -> dict[str, Counter[object]]:
        """Returns what each of those who watch has learned about the ends of calls since it was last asked."""
        seen: dict[str, Counter[object]] = {}
        if self.stream is not None:
            seen["stream"] = Counter(type(event) for event in await self.read() if isinstance(event, ENDS))
        for name, events in (("heard", self.heard), ("heard_second", self.heard_second)):
            seen[name] = Counter(type(event) for event in events if isinstance(event, ENDS))
            events.clear()
        if self.samples is not None:
            successes, others = self.take()
            seen["samples"] = Counter([Outcome.SUCCESS] * len(successes) + [other.outcome for other in others])
        return seen

    def learning(self) -> set[str]:
        """Returns who learns of a success: the keys of `seen()`."""
        dispatcher = self.breaker.engine.dispatcher
        entries = [] if dispatcher is None else [entry for entry in dispatcher.entries if CallSucceeded in entry.kinds]
        names = {"samples"} if self.samples is not None else set()
        names |= {"stream"} if self.stream is not None else set()
        names |= {"heard"} if any(entry.listener == self.heard.append for entry in entries) else set()
        return names | (
            {"heard_second"} if any(entry.listener == self.heard_second.append for entry in entries) else set()
        )

    async def leave(self) -> None:
        if self.stream is not None:
            await self.stream.__aexit__(None, None, None)

    def logs(self) -> list[list[Event]]:
        """Returns what each listener to all events has heard."""
        dispatcher = self.breaker.engine.dispatcher
        listeners = [] if dispatcher is None else [entry.listener for entry in dispatcher.entries]
        return [events for events in (self.heard, self.heard_second) if events.append in listeners]
