"""A breaker's state as a sentence; all places that show it use this text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser._core.states import CircuitState, Trigger
from recloser._core.wording import percent, plural

if TYPE_CHECKING:
    from recloser._core.events import Snapshot


def explain(name: str, snapshot: Snapshot) -> str:
    """Return a sentence: the state and its duration, the cause with figures and the last error, and what comes next."""
    state = snapshot.state.replace("_", " ")
    outage = snapshot.outage
    is_open = snapshot.state is CircuitState.OPEN and outage is not None
    since = f"for {outage.seconds if is_open and outage else snapshot.time_in_state_seconds:.1f} s"
    detail = _DETAILS[snapshot.state](snapshot)
    return f"Circuit breaker {name!r} is {state} {since}: {detail}{_shadow(snapshot)}."


def _shadow(snapshot: Snapshot) -> str:
    """Say what shadow mode changes, and what it has found out."""
    if not snapshot.shadow:
        return ""
    calls = snapshot.shadow_calls
    counts = f"{calls.would_reject} {plural(calls.would_reject, 'call')} would have been rejected"
    ends = f" ({calls.failed} failed, {calls.succeeded} succeeded)" if calls.would_reject else ""
    return f"; in shadow mode it rejects nothing: {counts}{ends}"


def _closed(snapshot: Snapshot) -> str:
    why = "" if snapshot.cause is None else f"{snapshot.cause}; "
    return f"{why}{_counts(snapshot)}; it opens at {snapshot.rule}"


def _open(snapshot: Snapshot) -> str:
    wait = snapshot.retry_after or 0.0
    following = f"a probe may go through in {wait:.1f} s" if wait else "the next call is a probe"
    attempt = f" (attempt {snapshot.attempt})" if snapshot.attempt > 1 else ""
    return f"{_evidence(snapshot)}{attempt}{_course(snapshot)}; {following}"


def _evidence(snapshot: Snapshot) -> str:
    """Say what was seen first in an outage, and the latest error."""
    outage = snapshot.outage
    if outage is None or outage.cause is snapshot.cause:
        return str(snapshot.cause)
    return outage.cause.text if outage.last_error is None else f"{outage.cause.text}; last error {outage.last_error}"


def _began(snapshot: Snapshot) -> str:
    """Say since when there is an outage, and what was seen first."""
    outage = snapshot.outage
    return (
        ""
        if outage is None
        else f"; the outage has lasted {outage.seconds:.1f} s and began with: {outage.cause.text}{_course(snapshot)}"
    )


def _course(snapshot: Snapshot) -> str:
    """Say what has happened since an outage began."""
    text = "" if snapshot.outage is None else str(snapshot.outage)
    return f"; {text}" if text else ""


def _half_open(snapshot: Snapshot) -> str:
    running, needed = snapshot.probes_in_flight, snapshot.success_threshold
    error = "" if snapshot.last_error is None else f"; last error {snapshot.last_error}"
    if snapshot.cause is not None and snapshot.cause.trigger is Trigger.FLEET_PROBING and not running:
        return f"{snapshot.cause}{error}; it closes or opens as the fleet does{_began(snapshot)}"
    return (
        f"{snapshot.cause}{error}; {running} {plural(running, 'probe')} running, "
        f"{snapshot.probes_passed} of {needed} succeeded; it closes at {needed} and opens again on a failure"
        f"{_began(snapshot)}"
    )


def _forced_open(snapshot: Snapshot) -> str:
    wait = snapshot.retry_after
    if wait is None:
        what = "stays so" if snapshot.shadow else "rejects all calls"
        return f"{snapshot.cause}; it {what} until reset() is called"
    following = f"a probe may go through in {wait:.1f} s" if wait else "the next call is a probe"
    return f"{snapshot.cause}; {following}"


def _disabled(snapshot: Snapshot) -> str:
    cause = snapshot.cause
    if cause is None or cause.for_seconds is None:
        following = "until reset() is called"
    else:
        left = cause.for_seconds - snapshot.time_in_state_seconds
        following = f"for {left:.1f} s more" if left > 0 else "until the next call, which closes it"
    return f"{cause}; {_counts(snapshot)}; it admits all calls and trips on nothing {following}"


def _counts(snapshot: Snapshot) -> str:
    failures = snapshot.failure_count
    counts = [f"{failures} {plural(failures, 'failure')} counted"]
    if snapshot.failure_rate is not None:
        counts.append(f"failure rate {percent(snapshot.failure_rate)}")
    if snapshot.slow_call_rate is not None:
        counts.append(f"slow call rate {percent(snapshot.slow_call_rate)}")
    return ", ".join(counts)


_DETAILS = {
    CircuitState.CLOSED: _closed,
    CircuitState.OPEN: _open,
    CircuitState.HALF_OPEN: _half_open,
    CircuitState.FORCED_OPEN: _forced_open,
    CircuitState.DISABLED: _disabled,
}
