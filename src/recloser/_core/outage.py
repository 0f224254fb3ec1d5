"""Outages: the time from closed to closed, as one thing.

A breaker goes through open and half-open many times in one outage, and each step has a cause of its own: a probe
failed, the reset timeout has elapsed. What people ask for is the whole: since when, what was seen first, which errors,
how many probes, how many calls rejected. It begins when the breaker leaves closed or disabled to reject calls, for
whatever reason, and ends when it is closed or disabled again.

A record notes the totals at the beginning, so the figures of an outage cost calls nothing: they are differences. The
kinds of errors and the outages that are kept are bounded in number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from recloser._core.cause import Cause, ErrorFacts
from recloser._core.states import CircuitState, Trigger
from recloser._core.wording import plural

if TYPE_CHECKING:
    from recloser._core.shadow import ShadowCalls

ADMITTING = (CircuitState.CLOSED, CircuitState.DISABLED)
FAILED = (Trigger.PROBE_FAILED, Trigger.PROBE_TIMED_OUT)
MOST_OUTAGES = 3
"""How many outages that have ended a breaker keeps."""
MOST_KINDS = 8
"""How many kinds of errors an outage counts; further kinds count as one."""
OTHER_ERRORS = "_OTHER"
PROBE_TIMEOUT = "probe timeout"
LONGEST_KIND = 100


class ErrorCount(NamedTuple):
    """How often errors of one kind occurred.

    Attributes:
        kind: The qualified name of the exception's type, or what a failure without an exception was; `_OTHER` for all
            kinds after the first eight.
        times: How often.
    """

    kind: str
    times: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Outage(ErrorFacts):
    """The time in which a breaker is not closed, from closed to closed, whatever states it goes through meanwhile.

    Attributes:
        since: When it began, as an aware UTC datetime.
        seconds: How long it has lasted.
        cause: The first evidence: why the breaker left closed or disabled, with the figures of the rule.
        ended_by: Why it was over; None while it lasts.
        errors: The failure that opened the breaker and those of probes, by kind, in the order of their first times.
        last_error: Type and message of the latest of them; None if there was none.
        probes: How many probes were admitted in this process.
        probes_passed: How many of them passed.
        probes_failed: How many of them failed. The others were ignored, were dropped, or are running.
        rejected: How many calls were rejected.
        would_reject: How many calls shadow mode has let through.
    """

    since: datetime
    seconds: float
    cause: Cause
    ended_by: Cause | None
    errors: tuple[ErrorCount, ...]
    last_error: str | None
    probes: int
    probes_passed: int
    probes_failed: int
    rejected: int
    would_reject: int

    def __str__(self) -> str:
        """Return what happened since it began, as a part of a sentence; empty if nothing did."""
        failed = self.probes_failed
        errors = ", ".join(f"{times} x {kind}" for kind, times in self.errors)
        parts = [
            f"{failed} {plural(failed, 'probe')} failed" if failed else "",
            f"errors so far: {errors}" if failed and errors else "",
            self._calls(self.rejected, "rejected"),
            self._calls(self.would_reject, "let through"),
        ]
        return "; ".join(filter(None, parts))

    @staticmethod
    def _calls(number: int, what: str) -> str:
        return f"{number} {plural(number, 'call')} {what}" if number else ""


class CountingMachine(Protocol):
    """What this module reads and writes of a machine."""

    outage: OutageRecord | None
    outages: tuple[Outage, ...]
    probe_failures: int
    probe_successes: int
    probes: int
    rejected: int
    shadow_calls: ShadowCalls


class Baseline(NamedTuple):
    """The totals of a machine that an outage is about."""

    probes: int
    ended_probes: int
    rejected: int
    would_reject: int


def _counts_of(machine: CountingMachine) -> Baseline:
    ended = machine.probe_successes + machine.probe_failures
    return Baseline(machine.probes, ended, machine.rejected, machine.shadow_calls.would_reject)


class OutageRecord:
    """An outage that goes on: how it began, and what can't be told from totals.

    Args:
        before: The totals at its beginning.
        cause: Why it began.
        started: When it began, in monotonic seconds.
        at: The same as a Unix time, for people.
    """

    __slots__ = ("at", "before", "cause", "errors", "failed", "last_error", "started")

    def __init__(self, before: Baseline, cause: Cause, started: float, at: float) -> None:
        self.before: Baseline = before
        self.cause: Cause = cause
        self.started: float = started
        self.at: float = at
        self.errors: dict[str, int] = {}
        self.failed: int = 0
        self.last_error: str | None = None

    def note(self, cause: Cause) -> None:
        """Note a transition of the outage."""
        if cause.trigger in FAILED:
            self.failed += 1
        elif cause.trigger is not Trigger.TRIPPED:
            return
        if cause.last_error is not None:
            kind = PROBE_TIMEOUT if cause.trigger is Trigger.PROBE_TIMED_OUT else _kind_of(cause)
            if kind not in self.errors and len(self.errors) >= MOST_KINDS:
                kind = OTHER_ERRORS
            self.errors[kind] = self.errors.get(kind, 0) + 1
            self.last_error = cause.last_error

    def value(self, machine: CountingMachine, now: float, ended_by: Cause | None = None) -> Outage:
        """Return the outage as it is now."""
        seen = Baseline._make(map(int.__sub__, _counts_of(machine), self.before))
        return Outage(
            since=datetime.fromtimestamp(self.at, UTC),
            seconds=max(0.0, now - self.started),
            cause=self.cause,
            ended_by=ended_by,
            errors=tuple(ErrorCount(kind, count) for kind, count in tuple(self.errors.items())),
            last_error=self.last_error,
            probes=seen.probes,
            probes_passed=max(0, seen.ended_probes - self.failed),
            probes_failed=self.failed,
            rejected=seen.rejected,
            would_reject=seen.would_reject,
        )


def _kind_of(cause: Cause) -> str:
    """Return the type of an error; of one that was no exception, the text up to a colon or a comma."""
    kind = cause.error_type or str(cause.last_error).partition(":")[0].partition(",")[0]
    return kind[:LONGEST_KIND]


def note_transition(
    machine: CountingMachine, states: tuple[CircuitState, CircuitState], cause: Cause, since: float, at: float
) -> Outage | None:
    """Begin, continue or end the outage of a machine with one of its transitions; return the outage.

    Args:
        machine: The machine.
        states: The state before the transition, and that after it.
        cause: Why the transition happened.
        since: When the new state began, in monotonic seconds.
        at: The Unix time now.
    """
    old, new = states
    record = machine.outage
    if new in ADMITTING:
        if record is None:
            return None
        machine.outage = None
        ended = record.value(machine, since, cause)
        machine.outages = (*machine.outages, ended)[-MOST_OUTAGES:]
        return ended
    if record is None or old in ADMITTING:
        record = machine.outage = OutageRecord(_counts_of(machine), cause, since, at)
    record.note(cause)
    return record.value(machine, since)
