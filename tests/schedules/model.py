"""A model of the breaker that is obviously right: it keeps every outcome and counts them again each time.

Its methods are called in the order in which things happen, and return what a breaker must answer. It shares with the
library only the numbers of the rules.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from recloser import (
    ConsecutiveFailures,
    CountWindow,
    Event,
    ExponentialBackoff,
    FailureCount,
    FailureRate,
    SlowCallRate,
    StateChanged,
)
from recloser._core.defaults import AnyOf
from recloser._core.trip import TripRule
from recloser.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    LateOutcome,
    ProbeAdmitted,
    ShadowOutcome,
)
from tests.schedules.patience import Patience, Sampling, deadline_of
from tests.schedules.plan import Plan, Rule

SHORTEST_DEFAULT_PROBE_TIMEOUT = 60.0


CLOSED_DOORS = ("open", "forced_open")
OPEN_DOORS = ("closed", "disabled")


class Verdict(StrEnum):
    """What the end of a call counts as, unless it is late."""

    SUCCESS = "success"
    FAILURE = "failure"
    IGNORED = "ignored"
    CANCELLED = "cancelled"


KIND_OF_END = {
    Verdict.SUCCESS: CallSucceeded,
    Verdict.FAILURE: CallFailed,
    Verdict.IGNORED: CallIgnored,
    Verdict.CANCELLED: CallIgnored,
}


@dataclass(frozen=True)
class Report:
    """What whoever watches the breaker has to learn.

    `seconds` is None if nobody read the clock when the call started. `detail` says what else an event of this kind
    says. Only a sample knows the type of the error that ended an ignored call.
    """

    kind: type[Event]
    generation: int = 0
    seconds: float | None = None
    is_probe: bool = False
    detail: object = None
    error_type: str | None = None


@dataclass(eq=False)
class Ticket:
    """An admitted call."""

    generation: int
    at: float
    is_probe: bool
    is_shadow: bool = False
    would_reject: int = 0
    """The generation that would have rejected the call; 0 if it would have been admitted."""
    is_timed: bool = True
    progressed: bool = False
    is_done: bool = False
    """Whether it is settled for good before its end, which counts as nothing."""
    overran: Plan | None = None
    """The plan of the half-open episode in which it ran out of time; its verdict is provisional until it is None."""
    passed_before: int = 0
    """How many probes of that episode had passed."""
    idle: float = 0.0
    """Seconds that a stream waited for its reader."""
    timed_out: bool = False
    is_sample: bool = False
    settled: bool = False

    def seconds(self, now: float) -> float | None:
        """How long the call has run, as far as the breaker can know."""
        return now - self.at - self.idle if self.is_timed else None


@dataclass(frozen=True)
class Record:
    """A counted outcome outside of half-open."""

    at: float
    failed: bool
    seconds: float


def _outcome_of(verdict: Verdict) -> Verdict:
    return Verdict.IGNORED if verdict is Verdict.CANCELLED else verdict


@dataclass(eq=False)
class Model:
    """The breaker that the real one is compared with."""

    plan: Plan
    report: Callable[[Report], None] = lambda _: None
    """Called with what happens, before the breaker knows it."""
    is_watched: Callable[[], bool] = lambda: False
    """Tells whether somebody wants to know how long calls take."""
    episode: Plan = field(init=False)
    """The plan with which the half-open episode started."""
    state: str = "closed"
    generation: int = 1
    attempt: int = 0
    open_seconds: float = 0.0
    reopen_at: float = 0.0
    passed: int = 0
    late_passes: int = 0
    frozen_failures: int = 0
    window: list[Record] = field(default_factory=list)
    probes: list[Ticket] = field(default_factory=list)
    overran: list[Ticket] = field(default_factory=list)
    totals: Counter[str] = field(default_factory=Counter)
    patience: Patience = field(default_factory=Patience)
    sampling: Sampling = field(default_factory=lambda: Sampling(0))

    def __post_init__(self) -> None:
        self.episode = self.plan

    def arrive(self, now: float, inside: Ticket | None = None) -> Ticket | None:
        """Admits or rejects (None) a call.

        In shadow mode a rejected call runs, and is counted apart. A call from inside a running probe is not counted.
        """
        if inside is not None and inside in self.probes and now < inside.at + self._probe_seconds():
            return Ticket(0, now, is_probe=False, is_shadow=True)
        self._expire(now)
        if self.state in CLOSED_DOORS and now >= self.reopen_at:
            self.episode = self.plan
            self._go("half_open", now, is_final=False)
        if self.state in CLOSED_DOORS or (self.state == "half_open" and len(self.probes) >= self.episode.max_probes):
            self.totals["would_reject" if self.plan.shadow else "rejected"] += 1
            self.report(Report(CallRejected, detail=self.plan.shadow))
            extra = Ticket(0, now, is_probe=False, is_shadow=True, would_reject=self.generation)
            return extra if self.plan.shadow else None
        ticket = Ticket(self.generation, now, is_probe=self.state == "half_open")
        ticket.is_timed = ticket.is_probe or self._begin_timed()
        self.totals["admitted"] += 1
        if ticket.is_probe:
            self.probes.append(ticket)
            self.report(Report(ProbeAdmitted, self.generation))
        return ticket

    def settle(self, ticket: Ticket, verdict: Verdict, now: float, error_type: str | None = None) -> None:
        """Ends an admitted call and counts it in `totals`."""
        assert not ticket.settled, "the call was settled twice"
        ticket.settled = True
        if ticket.would_reject:
            outcome = _outcome_of(verdict)
            self.totals[f"shadow_{outcome}"] += 1
            self.report(Report(ShadowOutcome, ticket.would_reject, ticket.seconds(now), detail=outcome.value))
        if not ticket.is_shadow and not ticket.is_done:
            self._end(ticket, verdict, now, error_type)

    def progress(self, ticket: Ticket, now: float) -> None:
        """Notes the first sign that a probe works, which settles it; the call itself goes on."""
        ticket.progressed = True
        if not ticket.is_probe or ticket.is_done or (self.is_late(ticket) and ticket not in self.overran):
            return
        self._end(ticket, Verdict.SUCCESS, now, None)
        if self.state == "closed":
            self.totals["continued"] += 1
            ticket.generation, ticket.is_probe, ticket.timed_out = self.generation, False, False
        else:
            ticket.is_done = True

    def _end(self, ticket: Ticket, verdict: Verdict, now: float, error_type: str | None) -> None:
        if ticket in self.probes:
            self.probes.remove(ticket)
        if self.is_late(ticket):
            self.totals["late"] += 1
            self.report(Report(LateOutcome, ticket.generation, detail=_outcome_of(verdict).value))
            if verdict is Verdict.SUCCESS and ticket in self.overran:
                self._pass_late(ticket, now)
            return
        self.totals[verdict] += 1
        if verdict is Verdict.SUCCESS:
            self._learn(ticket, now)
        self._report_end(ticket, verdict, ticket.seconds(now), error_type)
        if verdict in (Verdict.SUCCESS, Verdict.FAILURE):
            self._count(ticket, verdict is Verdict.FAILURE, now)

    def cut_off(self, ticket: Ticket, error: asyncio.CancelledError, waited: float, now: float) -> Verdict:
        """Judges a call that is cut off after waiting so long for what was under way."""
        limit, patience = self.plan_of(ticket).overdue_after_seconds, self.patience
        if not ticket.is_timed:
            if self._is_of_now(ticket) and self._is_sampling():
                self.sampling.is_timed = True
            return Verdict.CANCELLED
        by_deadline = deadline_of(error) is not None
        if not patience.is_overdue(waited, limit, by_deadline=by_deadline) or not patience.is_new(error, now):
            return Verdict.CANCELLED
        if self.is_late(ticket):
            return Verdict.FAILURE
        patience.remember(error, now)
        if self._is_of_now(ticket) and self._is_sampling() and not patience.is_telling():
            return Verdict.CANCELLED
        self.totals["overdue"] += 1
        return Verdict.FAILURE

    def part(self, ticket: Ticket, waited: float, *, is_first: bool) -> None:
        """A stream has delivered an item."""
        if is_first:
            ticket.is_sample = ticket.is_timed and not self.is_late(ticket) and self._is_sample(ticket, counted=0)
            if ticket.is_sample:
                self.patience.samples.append(waited)
        elif ticket.is_sample:
            self.patience.samples[-1] = max(waited, self.patience.samples[-1])

    def leak(self, ticket: Ticket) -> None:
        """Drops the permit of a call."""
        ticket.settled = True
        if ticket.is_shadow:
            return
        self.totals["leaked_after_time_out" if ticket.timed_out else "leaked"] += 1
        if ticket in self.probes:
            self.probes.remove(ticket)

    def force_open(self, now: float, for_seconds: float | None) -> None:
        self._go("forced_open", now)
        self.reopen_at = float("inf") if for_seconds is None else now + for_seconds

    def disable(self, now: float) -> None:
        self._go("disabled", now)

    def reset(self, now: float) -> None:
        self._go("closed", now)

    def reconfigure(self, plan: Plan) -> None:
        if self.plan.overdue_after_seconds is not None:
            self.sampling.due_at = self.sampling.count + 1
        self.plan = plan

    def plan_of(self, ticket: Ticket) -> Plan:
        """The plan for the end of a call: a half-open episode keeps the plan with which it started."""
        return self.episode if ticket in self.probes else self.plan

    def is_late(self, ticket: Ticket) -> bool:
        return ticket.is_shadow or ticket.is_done or ticket.timed_out or ticket.generation != self.generation

    def is_clean(self) -> bool:
        """Whether the breaker is closed, and nothing in its window can trip it."""
        return self.state == "closed" and not any(record.failed or record.seconds > 0 for record in self.window)

    def failure_count(self, now: float) -> int:
        if self.state in OPEN_DOORS:
            return _failures(_parts(self.plan.rule)[0], self.window, now)
        return self.frozen_failures

    def _is_of_now(self, ticket: Ticket) -> bool:
        return not ticket.is_probe and not self.is_late(ticket)

    def _is_sampling(self) -> bool:
        return self.plan.overdue_after_seconds is None

    def _times_calls(self) -> bool:
        limit = self.plan.overdue_after_seconds
        return (
            (limit is not None and limit < math.inf)
            or _slow_limit(self.plan.rule) < math.inf
            or self.is_watched()
            or self.sampling.is_timed
        )

    def _begin_timed(self) -> bool:
        """Whether somebody needs to know when the call that begins now has begun."""
        if self._times_calls():
            return True
        if not self._is_sampling() or not self.sampling.is_next:
            return False
        self.sampling.begin()
        return True

    def _is_sample(self, ticket: Ticket, *, counted: int) -> bool:
        """Whether a success that began at a known time is a sample; `counted` is 1 if it is one of the count."""
        if not self._is_sampling():
            return False
        if ticket.is_probe:
            return True
        sampling = self.sampling
        sampling.count += 1 - counted
        is_sample = not self._times_calls() or sampling.count >= sampling.due_at
        if is_sample and (self._times_calls() or sampling.first):
            sampling.taken()
        sampling.count -= 1 - counted
        return is_sample

    def _learn(self, ticket: Ticket, now: float) -> None:
        """Learns from a success."""
        sampling = self.sampling
        if not ticket.is_probe:
            sampling.count += 1
            self.patience.history.append("success")
        if ticket.is_timed:
            if not ticket.progressed and self._is_sample(ticket, counted=1):
                self.patience.samples.append(now - ticket.at - ticket.idle)
        elif sampling.count >= sampling.due_at:
            sampling.skip()
            sampling.is_next |= self._is_sampling()

    def _report_end(self, ticket: Ticket, verdict: Verdict, seconds: float | None, error_type: str | None) -> None:
        cancelled = verdict is Verdict.CANCELLED if KIND_OF_END[verdict] is CallIgnored else None
        kind = KIND_OF_END[verdict]
        self.report(Report(kind, ticket.generation, seconds, ticket.is_probe, cancelled, error_type))

    def _count(self, ticket: Ticket, failed: bool, now: float) -> None:  # noqa: FBT001
        seconds = now - ticket.at - ticket.idle
        if not ticket.is_probe:
            self.window.append(Record(now, failed, seconds))
            if self.state == "closed" and any(_is_met(part, self.window, now) for part in _parts(self.plan.rule)):
                self._go("open", now)
        elif failed or seconds > _slow_limit(self.plan.rule):
            self._go("open", now)
        else:
            self.passed += 1
            if self.passed + self.late_passes >= self.episode.success_threshold:
                self._go("closed", now)

    def _pass_late(self, ticket: Ticket, now: float) -> None:
        """Lets a probe that ran out of time pass; while a later one runs, that one decides."""
        plan = ticket.overran
        assert plan is not None
        self.overran.remove(ticket)
        if now - ticket.at - ticket.idle <= _slow_limit(plan.rule):
            self.late_passes += ticket.passed_before + 1
            if self.passed + self.late_passes >= plan.success_threshold and not self.probes:
                self._go("closed", now)

    def _expire(self, now: float) -> None:
        if self.state != "half_open" or not self.probes or now < self.probes[0].at + self._probe_seconds():
            return
        probe = self.probes.pop(0)
        limit = probe.at + self._probe_seconds()
        probe.timed_out, probe.overran, probe.passed_before = True, self.episode, self.passed
        self.totals["timed_out"] += 1
        is_overruled = self.passed + self.late_passes >= self.episode.success_threshold
        verdict = Verdict.IGNORED if is_overruled else Verdict.FAILURE
        self.totals[verdict] += 1
        self._report_end(probe, verdict, now - probe.at, None)
        if is_overruled:
            self._go("closed", limit)
        else:
            self._go("open", limit, is_final=False)
            self.overran.append(probe)

    def _probe_seconds(self) -> float:
        return self.episode.probe_timeout_seconds or max(self.open_seconds, SHORTEST_DEFAULT_PROBE_TIMEOUT)

    def _go(self, state: str, now: float, *, is_final: bool = True) -> None:
        """Changes the state; a transition that is not final leaves open whether earlier probes may still pass."""
        settings = self.episode if self.state == "half_open" else self.plan
        if self.state in OPEN_DOORS:
            self.frozen_failures = self.failure_count(now)
        self.report(Report(StateChanged, detail=(self.state, state)))
        self.state = state
        self.generation += 1
        self.sampling = Sampling(self.sampling.count)
        self.patience.history.append("change")
        self.probes = []
        self.passed = 0
        if is_final:
            self.overran = []
            self.late_passes = 0
        if state == "open":
            self.attempt += 1
            self.open_seconds = _open_seconds(settings.backoff, self.attempt)
            self.reopen_at = now + self.open_seconds
        if state == "closed":
            self.attempt = 0
            self.window = []


def _parts(rule: TripRule) -> tuple[Rule, ...]:
    return rule.rules if isinstance(rule, AnyOf) else (rule,)


def _slow_limit(rule: TripRule) -> float:
    return min(
        (part.slow_call_seconds for part in _parts(rule) if isinstance(part, SlowCallRate)), default=float("inf")
    )


def _open_seconds(backoff: float | ExponentialBackoff, attempt: int) -> float:
    if isinstance(backoff, ExponentialBackoff):
        return min(backoff.initial_seconds * backoff.multiplier ** (attempt - 1), backoff.maximum_seconds)
    return float(backoff)


def _seen(rule: FailureRate | FailureCount | SlowCallRate, window: list[Record]) -> list[Record]:
    """A time window is longer than any schedule: it sees everything."""
    return window[-rule.window.size :] if isinstance(rule.window, CountWindow) else window


def _failures(rule: Rule, window: list[Record], now: float) -> int:
    if not isinstance(rule, ConsecutiveFailures):
        return sum(record.failed for record in _seen(rule, window))
    run = 0
    for record in reversed(window):
        if not record.failed:
            break
        run += rule.within_seconds is None or now - record.at < rule.within_seconds
    return run if rule.within_seconds is None else min(run, rule.failures)


def _is_met(rule: Rule, window: list[Record], now: float) -> bool:
    if isinstance(rule, ConsecutiveFailures | FailureCount):
        return _failures(rule, window, now) >= rule.failures
    seen = _seen(rule, window)
    if len(seen) < rule.minimum_calls:
        return False
    hits = [
        record.failed if isinstance(rule, FailureRate) else record.seconds > rule.slow_call_seconds for record in seen
    ]
    return sum(hits) / len(seen) >= rule.rate
