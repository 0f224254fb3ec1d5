"""Reads a breaker's state and counts; reading changes nothing and is safe from any thread."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from recloser._breaker.error_text import public_error
from recloser._breaker.loop_watch import loop_lag
from recloser._breaker.stalled import stalled_total

if TYPE_CHECKING:
    from recloser._breaker.engine import Engine
    from recloser._breaker.health import BreakerHealth, CauseHealth, EventLoopHealth, OutageHealth, ShadowHealth
    from recloser._core.backoff import Backoff
    from recloser._core.cause import Cause
    from recloser._core.events import Snapshot
    from recloser._core.outage import Outage


def snapshot_of(engine: Engine) -> Snapshot:
    """Return the state and all counts; dropped permits that are not released yet already count as leaked."""
    machine = engine.machine
    snapshot = machine.snapshot(engine.now())
    lost = [ticket for ticket in tuple(machine.leaks) if machine.is_unsettled(ticket)]
    if not lost:
        return snapshot
    episode = machine.episode
    probes = episode.probes if episode is not None else ()
    return replace(
        snapshot,
        leaked_total=snapshot.leaked_total + len(lost),
        probes_in_flight=snapshot.probes_in_flight - sum(probe in lost for probe in probes),
    )


def failure_threshold_of(engine: Engine) -> int | None:
    """Return how many failures open the breaker, by the first of its rules; None if that is about a share."""
    threshold = engine.machine.settings.trip_when.threshold
    return threshold if isinstance(threshold, int) else None


def reset_timeout_of(engine: Engine) -> float | Backoff:
    """Return the reset timeout in seconds, or the backoff if it is exponential."""
    backoff = engine.machine.settings.backoff
    seconds: float | None = getattr(backoff, "seconds", None)
    return backoff if seconds is None else seconds


def last_failure_of(engine: Engine) -> datetime | None:
    """Return the time of the latest counted failure; None before the first one."""
    failed_at = engine.failed_at
    return None if failed_at is None else datetime.fromtimestamp(failed_at, UTC)


def health_of(engine: Engine) -> BreakerHealth:
    """Return the state and all counts as a JSON-ready dictionary."""
    snapshot = snapshot_of(engine)
    outage = snapshot.outage
    return {
        "state": snapshot.state.value,
        "failure_count": snapshot.failure_count,
        "threshold": snapshot.threshold,
        "rule": snapshot.rule,
        "generation": snapshot.generation,
        "success_total": snapshot.success_total,
        "failure_total": snapshot.failure_total,
        "ignored_total": snapshot.ignored_total,
        "cancelled_total": snapshot.cancelled_total,
        "overdue_total": snapshot.overdue_total,
        "stalled_total": stalled_total(engine),
        "rejected_total": snapshot.rejected_total,
        "late_total": snapshot.late_total,
        "leaked_total": snapshot.leaked_total,
        "probe_total": snapshot.probe_total,
        "failure_rate": snapshot.failure_rate,
        "slow_call_rate": snapshot.slow_call_rate,
        "retry_after": snapshot.retry_after,
        "opened_at": None if outage is None else outage.since.isoformat(),
        "time_in_state_seconds": snapshot.time_in_state_seconds,
        "cause": None if snapshot.cause is None else _cause_health(snapshot.cause),
        "probes_in_flight": snapshot.probes_in_flight,
        "shadow": _shadow_health(snapshot) if snapshot.shadow else None,
        "outage": None if outage is None else _outage_health(outage),
        "outages": [_outage_health(ended) for ended in engine.machine.outages],
    }


def event_loop_health() -> EventLoopHealth:
    """Return how the event loops of this process have kept up, as a JSON-ready dictionary."""
    lag = loop_lag()
    return {
        "lag_seconds": lag.lag,
        "stalls_total": lag.stalls,
        "stalled_seconds": lag.stalled,
        "longest_stall_seconds": lag.longest,
    }


def hide_messages(health: BreakerHealth) -> None:
    """Leave out the messages of errors: what is left, their types, statuses and peers, may be told to anybody."""
    outages = [outage for outage in (health["outage"], *health["outages"]) if outage is not None]
    causes = [cause for cause in (health["cause"], *(outage["cause"] for outage in outages)) if cause is not None]
    for entry in (*outages, *causes):
        if entry["error_type"] is not None:
            entry["last_error"] = public_error(entry["error_type"], entry["error_status"], entry["peer"])


def _outage_health(outage: Outage) -> OutageHealth:
    return {
        "since": outage.since.isoformat(),
        "seconds": outage.seconds,
        "cause": _cause_health(outage.cause),
        "ended_by": None if outage.ended_by is None else outage.ended_by.trigger.value,
        "errors": dict(outage.errors),
        "last_error": None if outage.last_error is None else str(outage.last_error),
        "error_type": outage.error_type,
        "error_status": outage.error_status,
        "peer": outage.peer,
        "probes": outage.probes,
        "probes_passed": outage.probes_passed,
        "probes_failed": outage.probes_failed,
        "rejected": outage.rejected,
        "would_reject": outage.would_reject,
    }


def _cause_health(cause: Cause) -> CauseHealth:
    return {
        "trigger": cause.trigger.value,
        "text": cause.text,
        "rule": cause.rule,
        "observed": cause.observed,
        "threshold": cause.threshold,
        "last_error": None if cause.last_error is None else str(cause.last_error),
        "error_type": cause.error_type,
        "error_status": cause.error_status,
        "peer": cause.peer,
        "reason": cause.reason,
        "author": cause.author,
        "for_seconds": cause.for_seconds,
    }


def _shadow_health(snapshot: Snapshot) -> ShadowHealth:
    calls = snapshot.shadow_calls
    return {"would_reject": calls.would_reject, "failed": calls.failed, "succeeded": calls.succeeded}
