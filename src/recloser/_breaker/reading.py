"""Reads a breaker's state and counts; reading changes nothing and is safe from any thread."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recloser._breaker.engine import Engine
    from recloser._breaker.health import BreakerHealth, CauseHealth, ShadowHealth
    from recloser._core.events import Cause, Snapshot


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


def health_of(engine: Engine) -> BreakerHealth:
    """Return the state and all counts as a JSON-ready dictionary."""
    snapshot = snapshot_of(engine)
    opened_at = engine.opened_at
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
        "rejected_total": snapshot.rejected_total,
        "late_total": snapshot.late_total,
        "leaked_total": snapshot.leaked_total,
        "probe_total": snapshot.probe_total,
        "failure_rate": snapshot.failure_rate,
        "slow_call_rate": snapshot.slow_call_rate,
        "retry_after": snapshot.retry_after,
        "opened_at": None if opened_at is None else datetime.fromtimestamp(opened_at, UTC).isoformat(),
        "time_in_state_seconds": snapshot.time_in_state_seconds,
        "cause": None if snapshot.cause is None else _cause_health(snapshot.cause),
        "probes_in_flight": snapshot.probes_in_flight,
        "shadow": _shadow_health(snapshot) if snapshot.shadow else None,
    }


def _cause_health(cause: Cause) -> CauseHealth:
    return {
        "trigger": cause.trigger.value,
        "text": cause.text,
        "rule": cause.rule,
        "observed": cause.observed,
        "threshold": cause.threshold,
        "last_error": cause.last_error,
        "reason": cause.reason,
        "author": cause.author,
        "for_seconds": cause.for_seconds,
    }


def _shadow_health(snapshot: Snapshot) -> ShadowHealth:
    calls = snapshot.shadow_calls
    return {"would_reject": calls.would_reject, "failed": calls.failed, "succeeded": calls.succeeded}
