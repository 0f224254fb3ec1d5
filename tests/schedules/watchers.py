"""What watches a breaker in a schedule: listeners, streams, histograms and samples, which come and go during calls.

The model tells each of them what it has to learn, and each compares that with what it learned.
"""

from collections.abc import Callable
from math import isclose
from random import Random
from typing import Any

from recloser import CircuitBreaker, Event, StateChanged
from recloser._breaker.durations import Claim, Histograms, Samples, claim_durations, release_durations
from recloser._core.outcomes import Outcome
from recloser.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    LateOutcome,
    ProbeAdmitted,
    ShadowOutcome,
)
from tests.breaker.watched import take
from tests.schedules.model import Report

Kinds = tuple[type[Event], ...]
KINDS: tuple[Kinds, ...] = (
    (CallSucceeded,),
    (CallFailed,),
    (CallIgnored, LateOutcome, ShadowOutcome),
    (CallFailed, CallIgnored, StateChanged),
    (Event,),
    (Event,),
)
BOUNDS: tuple[tuple[float, ...], ...] = ((0.2,), (0.1, 0.6), (0.05, 0.3, 0.9, 2.2))
"""None of them is a duration of a schedule, so errors of rounding change no count."""
OUTCOME_OF = {CallSucceeded: Outcome.SUCCESS, CallFailed: Outcome.FAILURE, CallIgnored: Outcome.IGNORED}
MEDDLES = 0.05
RAISES = 0.1
ROOMY = 10_000
"""A buffer of that size never overflows within a schedule."""


REPORT_OF: dict[type[Event], Callable[[Any], Report]] = {
    CallSucceeded: lambda event: Report(CallSucceeded, event.generation, event.duration_seconds, event.is_probe),
    CallFailed: lambda event: Report(
        CallFailed, event.generation, event.duration_seconds, event.is_probe, error_type=event.error_type
    ),
    CallIgnored: lambda event: Report(
        CallIgnored, event.generation, event.duration_seconds, event.is_probe, event.cancelled
    ),
    LateOutcome: lambda event: Report(LateOutcome, event.generation, detail=event.outcome.value),
    ShadowOutcome: lambda event: Report(
        ShadowOutcome, event.generation, event.duration_seconds, detail=event.outcome.value
    ),
    ProbeAdmitted: lambda event: Report(ProbeAdmitted, event.generation),
    CallRejected: lambda event: Report(CallRejected, detail=event.shadow),
    StateChanged: lambda event: Report(StateChanged, detail=(event.old.value, event.new.value)),
}
"""What an event says."""


def is_said_by(report: Report, event: Event) -> bool:
    said = REPORT_OF[type(event)](event)
    same_error = report.error_type == said.error_type or report.kind is not CallFailed
    facts = [(each.kind, each.generation, each.is_probe, each.detail) for each in (report, said)]
    return same_error and facts[0] == facts[1] and _is_as_long(report.seconds, said.seconds)


def _is_as_long(seconds: float | None, other: float | None) -> bool:
    if seconds is None or other is None:
        return seconds is other
    return isclose(seconds, other, abs_tol=1e-9)


class Listening:
    """A listener of some kinds of events, which makes a call of its own or raises now and then."""

    def __init__(
        self, breaker: CircuitBreaker, rng: Random, agree: Callable[[], None], meddle: Callable[[], None]
    ) -> None:
        self.rng = rng
        self.agree = agree
        self.meddle = meddle
        self.kinds = rng.choice(KINDS)
        self.expected: list[Report] = []
        self.events: list[Event] = []
        self.faults: list[AssertionError] = []
        self.is_busy = False
        self.leave = breaker.subscribe(self, self.kinds)

    def __call__(self, event: Event) -> None:
        try:
            assert not self.is_busy, "two events at once"
            self.is_busy = True
            self.events.append(event)
            self.agree()  # the state has changed before
            if self.rng.random() < MEDDLES:
                self.meddle()
        except AssertionError as fault:  # the breaker would only log it
            self.faults.append(fault)
        self.is_busy = False
        if self.rng.random() < RAISES:
            message = "a listener is broken"
            raise ValueError(message)

    def expect(self, report: Report) -> None:
        if issubclass(report.kind, self.kinds):
            self.expected.append(report)

    @property
    def is_timing(self) -> bool:
        return issubclass(CallSucceeded, self.kinds)

    async def stop(self) -> None:
        self.leave()

    def check(self) -> None:
        for fault in self.faults:
            raise fault
        check_events(self.expected, self.events)


class Streaming:
    """A stream of events, which is read when it ends."""

    def __init__(self, breaker: CircuitBreaker, rng: Random) -> None:
        self.kinds = rng.choice(KINDS)
        self.expected: list[Report] = []
        self.events: list[Event] = []
        self.stream = breaker.events(max_buffer=ROOMY, kinds=self.kinds)

    def expect(self, report: Report) -> None:
        if issubclass(report.kind, self.kinds):
            self.expected.append(report)

    @property
    def is_timing(self) -> bool:
        return issubclass(CallSucceeded, self.kinds)

    async def stop(self) -> None:
        while len(self.events) < len(self.expected):
            self.events.append(await anext(self.stream))
        await self.stream.__aexit__(None, None, None)

    def check(self) -> None:
        check_events(self.expected, self.events)


class Measuring:
    """Histograms and samples of the durations of calls; the histograms become finer when somebody adds bounds."""

    is_timing = True

    def __init__(self, breaker: CircuitBreaker, rng: Random) -> None:
        self.engine = breaker.engine
        self.samples = Samples(lambda *_: None)
        self.bounds: tuple[float, ...] = rng.choice(((), *BOUNDS))
        self.expected: list[Report] = []
        self.successes: list[float] = []
        self.others: list[tuple[Outcome, float, str | None]] = []
        self.is_sampling = not self.bounds or rng.random() < 0.5
        self.claims = [Claim(self.bounds, self.samples if self.is_sampling else None)]
        self.durations = claim_durations(self.engine, self.claims[0])
        self.stopped: tuple[Histograms, ...] | None = None

    @property
    def chain(self) -> tuple[Histograms, ...]:
        return self.durations.chain if self.stopped is None else self.stopped

    def refine(self, bounds: tuple[float, ...]) -> None:
        if self.bounds:
            self.claims.append(Claim(bounds))
            claim_durations(self.engine, self.claims[-1])

    def expect(self, report: Report) -> None:
        if report.kind in OUTCOME_OF and report.seconds is not None:
            self.expected.append(report)

    async def stop(self) -> None:
        self.stopped = self.durations.chain
        for claim in self.claims:
            release_durations(self.engine, claim)

    def check(self) -> None:
        for kind, outcome in OUTCOME_OF.items():
            expected = [report.seconds or 0.0 for report in self.expected if report.kind is kind]
            self._check_histograms(outcome, expected)
        if self.is_sampling:
            self._check_samples()

    def _check_histograms(self, outcome: Outcome, expected: list[float]) -> None:
        if not self.bounds:
            return
        counts, total = [0] * (len(self.bounds) + 1), 0.0
        for histogram in [each.by_outcome[outcome] for each in self.chain if outcome in each.by_outcome]:
            found = histogram.counts_by(self.bounds)
            assert found is not None
            counts = [count + more for count, more in zip(counts, found, strict=True)]
            total += histogram.total_seconds
        right = [0] * (len(self.bounds) + 1)
        for seconds in expected:
            right[sum(seconds > bound for bound in self.bounds)] += 1
        assert counts == right, f"histogram of {outcome}: {counts}, not {right}"
        assert isclose(total, sum(expected), abs_tol=1e-9), f"histogram of {outcome}: {total} s, not {sum(expected)} s"

    def _check_samples(self) -> None:
        successes, others = take(self.samples)
        self.successes += successes
        self.others += others
        expected = [report for report in self.expected if report.kind is CallSucceeded]
        assert len(self.successes) == len(expected)
        for seconds, report in zip(self.successes, expected, strict=True):
            assert _is_as_long(seconds, report.seconds)
        rest = [report for report in self.expected if report.kind is not CallSucceeded]
        assert len(self.others) == len(rest)
        for (outcome, seconds, error_type), report in zip(self.others, rest, strict=True):
            assert (outcome, error_type) == (OUTCOME_OF[report.kind], report.error_type)
            assert _is_as_long(seconds, report.seconds)


def check_events(expected: list[Report], events: list[Event]) -> None:
    """Checks that the events say what happened, in that order."""
    for report, event in zip(expected, events, strict=False):
        assert is_said_by(report, event), f"{event} reports {report}"
    assert len(events) == len(expected), f"{len(events)} events, not {len(expected)}"


Watcher = Listening | Streaming | Measuring


class Watchers:
    """All who watch a breaker, or have watched it."""

    def __init__(
        self, breaker: CircuitBreaker, rng: Random, agree: Callable[[], None], meddle: Callable[[], None]
    ) -> None:
        self.breaker = breaker
        self.rng = rng
        self.agree = agree
        self.meddle = meddle
        self.active: list[Watcher] = []
        self.past: list[Watcher] = []
        self.observers = 0
        """How many others listen to all events."""

    def begin(self) -> None:
        """Draws who watches from the beginning; often nobody."""
        kind = self.rng.choice(("nobody", "nobody", "listener", "measured", "measured listener", "listeners"))
        if "listener" in kind:
            self.listen()
        if "listeners" in kind:
            self.listen()
        if "measured" in kind:
            self.measure()

    def listen(self) -> None:
        self.active.append(Listening(self.breaker, self.rng, self.agree, self.meddle))

    def measure(self) -> None:
        """Starts to measure, or adds bounds."""
        for watcher in self.active:
            if isinstance(watcher, Measuring):
                watcher.refine(self.rng.choice(BOUNDS))
                return
        self.active.append(Measuring(self.breaker, self.rng))

    async def read(self) -> None:
        """Opens a stream."""
        watcher = Streaming(self.breaker, self.rng)
        await watcher.stream.__aenter__()
        self.active.append(watcher)

    async def stop(self, watcher: Watcher) -> None:
        await watcher.stop()
        self.active.remove(watcher)
        self.past.append(watcher)

    async def change(self) -> None:
        """Somebody starts or stops watching."""
        action = self.rng.choice(("listen", "measure", "read", "stop", "stop"))
        if action == "listen":
            self.listen()
        elif action == "measure":
            self.measure()
        elif action == "read":
            await self.read()
        elif self.active:
            await self.stop(self.rng.choice(self.active))

    async def stop_streams(self) -> None:
        for watcher in tuple(self.active):
            if isinstance(watcher, Streaming):
                await self.stop(watcher)

    def expect(self, report: Report) -> None:
        for watcher in self.active:
            watcher.expect(report)

    def are_timing(self) -> bool:
        return self.observers > 0 or any(watcher.is_timing for watcher in self.active)

    def check(self) -> None:
        for watcher in (*self.past, *self.active):
            watcher.check()
