"""A breaker as one would write it to be obviously right: it keeps every outcome and counts anew each time.

It is told of everything with the instant at which it happens, and shares no code with the library but names of rules
and states. Times are meant to be multiples of 1/64 s, so that sums are exact.
"""

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from recloser._core.defaults import AnyOf, ConstantBackoff
from recloser._core.settings import Settings
from recloser._core.states import CircuitState, Trigger
from recloser._core.trip import ConsecutiveFailures, FailureCount, FailureRate, SlowCallRate
from recloser._core.windows import CountWindow

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
FORCED_OPEN, DISABLED = CircuitState.FORCED_OPEN, CircuitState.DISABLED

ADMITTING = (CLOSED, DISABLED)
INCONCLUSIVE = (Trigger.WAIT_ELAPSED, Trigger.PROBE_TIMED_OUT)


@dataclass(eq=False)
class ModelCall:
    """An admitted call."""

    generation: int
    admitted_at: float
    is_probe: bool = False
    overran: "ModelEpisode | None" = None
    """The half-open period in which it ran out of time."""
    over: bool = False


@dataclass(frozen=True)
class Record:
    """A counted outcome outside of half-open; whether it was slow was judged by the rule of that time."""

    at: float
    failed: bool
    slow: bool = False


@dataclass
class Memory:
    """What one simple rule remembers: the outcomes that it has seen since it was last emptied."""

    rule: Any
    records: list[Record] = field(default_factory=list)

    def held(self, now: float) -> list[Record]:
        """Returns what counts for the rule at an instant."""
        rule = self.rule
        if isinstance(rule, ConsecutiveFailures):
            return self._run(now)
        if isinstance(rule.window, CountWindow):
            return self.records[-rule.window.size :]
        width = rule.window.seconds / rule.window.buckets
        oldest = now // width - rule.window.buckets + 1
        return [record for record in self.records if record.at // width >= oldest]

    def _run(self, now: float) -> list[Record]:
        run: list[Record] = []
        for record in reversed(self.records):
            if not record.failed:
                break
            run.append(record)
        if self.rule.within_seconds is not None:
            # No more than the threshold are kept.
            run = [record for record in run[: self.rule.failures] if now - record.at < self.rule.within_seconds]
        return run[::-1]

    def failure_count(self, now: float) -> int:
        return sum(record.failed for record in self.held(now))

    def rate(self, now: float) -> float | None:
        """Returns the rate that the rule measures, None if it measures none or has too few calls."""
        rule, held = self.rule, self.held(now)
        if isinstance(rule, ConsecutiveFailures | FailureCount) or len(held) < rule.minimum_calls:
            return None
        return sum(map(self._is_hit, held)) / len(held)

    def _is_hit(self, record: Record) -> bool:
        return record.slow if isinstance(self.rule, SlowCallRate) else record.failed

    def observed(self, now: float) -> float | None:
        """Returns what the rule compares with its threshold."""
        if isinstance(self.rule, ConsecutiveFailures | FailureCount):
            return self.failure_count(now)
        return self.rate(now)

    def is_met(self, now: float) -> bool:
        observed = self.observed(now)
        return observed is not None and observed >= self.rule.threshold

    def record(self, at: float, seconds: float, *, failed: bool) -> bool:
        """Keeps an outcome; tells whether the rule trips at it."""
        slow = isinstance(self.rule, SlowCallRate) and seconds > self.rule.slow_call_seconds
        self.records.append(Record(at, failed, slow))
        return self.is_met(at)

    def takes_over(self, other: "Memory", now: float) -> bool:
        """Takes over what the memory of another rule holds, if the two measure the same kind of thing."""
        new, old = self.rule, other.rule
        if isinstance(new, ConsecutiveFailures) or isinstance(old, ConsecutiveFailures):
            return self._takes_over_run(other, now)
        if isinstance(new, SlowCallRate) or isinstance(old, SlowCallRate):
            fits = isinstance(new, SlowCallRate) and isinstance(old, SlowCallRate)
        else:
            # A count of failures in a time window does not know when successes were.
            fits = isinstance(new, FailureCount) or isinstance(old, FailureRate) or isinstance(old.window, CountWindow)
        if fits:
            self.records = other.held(now) if type(new.window) is type(old.window) else []
        return fits

    def _takes_over_run(self, other: "Memory", now: float) -> bool:
        new, old = self.rule, other.rule
        if not (isinstance(new, ConsecutiveFailures) and isinstance(old, ConsecutiveFailures)):
            return False
        if old.within_seconds is not None and new.within_seconds is not None:
            self.records = other.records[-old.failures :]
        else:
            # Where times were not kept, or are no longer, failures count as if they were of this instant.
            self.records = [Record(now, failed=True)] * other.failure_count(now)
        return True


@dataclass
class ModelEpisode:
    """A half-open period."""

    settings: Settings
    limit: float
    probes: list[ModelCall] = field(default_factory=list)
    passed: int = 0

    def is_slow(self, seconds: float) -> bool:
        """Tells whether a probe of that many seconds is slow."""
        rules = [rule for rule in parts(self.settings.trip_when) if isinstance(rule, SlowCallRate)]
        return any(seconds > rule.slow_call_seconds for rule in rules)


def parts(rule: Any) -> tuple[Any, ...]:  # noqa: ANN401 - rules
    return rule.rules if isinstance(rule, AnyOf) else (rule,)


class Model:
    """The whole breaker."""

    def __init__(self, settings: Settings, seed: int, now: float) -> None:
        self.settings = settings
        self.random = Random(seed)
        self.state = CLOSED
        self.generation = 1
        self.changed_at = now
        self.opened_at: float | None = None
        self.reopen_at = now
        self.open_seconds = 0.0
        self.attempt = 0
        self.frozen_failures = 0
        self.memories = [Memory(rule) for rule in parts(settings.trip_when)]
        self.episode: ModelEpisode | None = None
        self.overran: list[ModelCall] = []
        """Probes that have run out of time, and may still pass."""
        self.late_passes = 0
        self.totals: Counter[str] = Counter()
        self.log: list[tuple[CircuitState, Trigger, CircuitState]] = []
        self.outage_before: Counter[str] | None = None
        self.outage_began = 0
        self.observed: list[float | None] = []

    # Calls

    def arrive(self, now: float) -> ModelCall | None:
        if self.state is HALF_OPEN:
            self._time_out(now)
        if self.state in (OPEN, FORCED_OPEN) and now >= self.reopen_at:
            self._go(HALF_OPEN, Trigger.WAIT_ELAPSED, now)
            limit = self.settings.probe_timeout_seconds
            self.episode = ModelEpisode(self.settings, max(self.open_seconds, 60.0) if limit is None else limit)
        if self.state in ADMITTING:
            return ModelCall(self.generation, now)
        if self.episode is None or len(self.episode.probes) >= self.episode.settings.max_probes:
            self.totals["rejected"] += 1
            return None
        self.totals["probe"] += 1
        call = ModelCall(self.generation, now, is_probe=True)
        self.episode.probes.append(call)
        return call

    def end(self, call: ModelCall, kind: str, now: float, seconds: float) -> None:
        """Ends a call in a success, a failure, ignored, cancelled or leaked."""
        assert not call.over
        call.over = True
        late = call.overran is not None or call.generation != self.generation
        self._remove(call)
        if kind == "leaked" and call.overran is not None:
            return
        if late and kind != "leaked":
            self.totals["late"] += 1
            if kind == "success" and call in self.overran:
                self._pass_late(call, now, seconds)
            return
        self.totals[kind] += 1
        if kind in ("success", "failure"):
            if call.is_probe:
                self._end_probe(now, failed=kind == "failure", seconds=seconds)
            else:
                self._record(now, seconds, failed=kind == "failure")

    def progress(self, call: ModelCall, now: float, seconds: float) -> ModelCall | None:
        """Tells of the first sign that a probe works; returns the call that goes on, None if its end counts as nothing.

        What says nothing any more goes on as it was.
        """
        is_current = call.overran is None and call.generation == self.generation
        if not call.is_probe or not (is_current or call in self.overran):
            return call
        self.end(call, "success", now, seconds)
        return ModelCall(self.generation, call.admitted_at) if self.state is CLOSED else None

    def _remove(self, call: ModelCall) -> None:
        if self.episode is not None and call in self.episode.probes:
            self.episode.probes.remove(call)

    def _record(self, now: float, seconds: float, *, failed: bool) -> None:
        met = [memory.record(now, seconds, failed=failed) for memory in self.memories]
        if self.state is CLOSED and any(met):
            first = next(memory for memory in self.memories if memory.is_met(now))
            self.observed.append(first.observed(now))
            self._open(Trigger.TRIPPED, now, now)

    def _end_probe(self, now: float, *, failed: bool, seconds: float) -> None:
        episode = self.episode
        assert episode is not None
        if failed or episode.is_slow(seconds):
            self._open(Trigger.PROBE_FAILED, now, now)
            return
        episode.passed += 1
        if self.passed() >= episode.settings.success_threshold:
            self._close(Trigger.PROBES_PASSED, now, now)

    def _pass_late(self, call: ModelCall, now: float, seconds: float) -> None:
        episode = call.overran
        assert episode is not None
        self.overran.remove(call)
        if episode.is_slow(seconds):
            return
        self.late_passes += episode.passed + 1
        if self.passed() >= episode.settings.success_threshold and not self.is_trying():
            self._close(Trigger.PROBE_PASSED_LATE, now, now)

    def _time_out(self, now: float) -> None:
        episode = self.episode
        if episode is None or not episode.probes:
            return
        call = episode.probes[0]
        over_at = call.admitted_at + episode.limit
        if now < over_at:
            return
        call.overran = episode
        self._remove(call)
        if self.passed() >= episode.settings.success_threshold:
            self.totals["ignored"] += 1
            self._close(Trigger.PROBE_PASSED_LATE, now, over_at)
        else:
            self.totals["failure"] += 1
            self._open(Trigger.PROBE_TIMED_OUT, now, over_at)
            self.overran.append(call)

    # Transitions

    def by_hand(self, trigger: Trigger, now: float, for_seconds: float | None = None) -> None:
        if trigger is Trigger.RESET:
            self._close(trigger, now, now)
        elif trigger is Trigger.DISABLED:
            self._go(DISABLED, trigger, now)
            self.attempt = 0
            self.opened_at = None
        else:
            self._go(FORCED_OPEN, trigger, now)
            self.opened_at = now if self.opened_at is None else self.opened_at
            self.open_seconds = for_seconds or 0.0
            self.reopen_at = float("inf") if for_seconds is None else now + for_seconds

    def _open(self, trigger: Trigger, now: float, since: float) -> None:
        settings = self.settings if self.episode is None else self.episode.settings
        self._go(OPEN, trigger, now, since)
        self.attempt += 1
        self.opened_at = since if self.opened_at is None else self.opened_at
        self.open_seconds = self._draw(settings.backoff)
        self.reopen_at = since + self.open_seconds

    def _draw(self, backoff: Any) -> float:  # noqa: ANN401 - backoffs
        if isinstance(backoff, ConstantBackoff):
            return backoff.seconds
        seconds = backoff.initial_seconds
        for _ in range(self.attempt - 1):
            seconds = min(seconds * backoff.multiplier, backoff.maximum_seconds)
        if backoff.jitter:
            seconds *= self.random.uniform(1 - backoff.jitter, 1 + backoff.jitter)
        return min(seconds, backoff.maximum_seconds)

    def _close(self, trigger: Trigger, now: float, since: float) -> None:
        self._go(CLOSED, trigger, now, since)
        self.attempt = 0
        self.opened_at = None
        for memory in self.memories:
            memory.records.clear()

    def _go(self, new: CircuitState, trigger: Trigger, now: float, since: float | None = None) -> None:
        if self.state in ADMITTING:
            self.frozen_failures = self.failure_count(now)
        if new in ADMITTING:
            self.outage_before = None
        elif self.outage_before is None:
            self.outage_before, self.outage_began = self.totals.copy(), len(self.log)
        self.log.append((self.state, trigger, new))
        self.state = new
        self.generation += 1
        self.changed_at = now if since is None else since
        self.episode = None
        if trigger not in INCONCLUSIVE:
            self.overran.clear()
            self.late_passes = 0

    def reconfigure(self, settings: Settings, now: float) -> None:
        if settings.trip_when != self.settings.trip_when:
            old, self.memories = self.memories, [Memory(rule) for rule in parts(settings.trip_when)]
            for place, memory in enumerate(self.memories):
                nearest = [*old[place : place + 1], *reversed(old)]
                for other in nearest:
                    if memory.takes_over(other, now):
                        break
        self.settings = settings

    # Reading

    def is_trying(self) -> bool:
        """Tells whether a probe runs."""
        return self.episode is not None and bool(self.episode.probes)

    def passed(self) -> int:
        """Returns how many probes have passed, in time or late, of those that are needed to close."""
        return self.late_passes + (0 if self.episode is None else self.episode.passed)

    def failure_count(self, now: float) -> int:
        return self.memories[0].failure_count(now) if self.state in ADMITTING else self.frozen_failures

    def retry_after(self, now: float) -> float | None:
        if self.state in ADMITTING:
            return 0.0
        if self.state is HALF_OPEN or self.reopen_at == float("inf"):
            return None
        return max(0.0, self.reopen_at - now)

    def rates(self, now: float) -> tuple[float | None, float | None]:
        """Returns the first failure rate and the first slow call rate that are defined."""
        failure = [memory.rate(now) for memory in self.memories if isinstance(memory.rule, FailureRate)]
        slow = [memory.rate(now) for memory in self.memories if isinstance(memory.rule, SlowCallRate)]
        return next((r for r in failure if r is not None), None), next((r for r in slow if r is not None), None)

    def ready_at(self, now: float) -> float:
        """Returns when the breaker admits a call that it rejects now, by the end of a reset timeout or of a limit."""
        if self.state in (OPEN, FORCED_OPEN):
            return self.reopen_at
        if self.episode is None or not self.is_full(now):
            return now
        return self.episode.probes[0].admitted_at + self.episode.limit

    def is_full(self, now: float) -> bool:
        """Tells whether a half-open breaker rejects a call."""
        episode = self.episode
        if episode is None or len(episode.probes) < episode.settings.max_probes:
            return False
        return now < episode.probes[0].admitted_at + episode.limit
