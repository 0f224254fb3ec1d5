"""Takes a snapshot of a machine: its state and all counts."""

from __future__ import annotations

from typing import Any

from recloser._core.events import Snapshot


def snapshot_of(machine: Any, now: float) -> Snapshot:  # noqa: ANN401 - a BreakerMachine, which imports this module
    """Return the state and all counts of a machine; this changes nothing.

    Args:
        machine: The machine.
        now: Monotonic seconds.
    """
    episode, epoch, meter, rule = machine.episode, machine.epoch, machine.meter, machine.settings.trip_when
    settings = machine.settings if episode is None else episode.settings
    return Snapshot(
        state=machine.state,
        generation=epoch.generation,
        rule=str(rule),
        threshold=rule.threshold,
        failure_count=machine.failure_count(now),
        failure_rate=meter.failure_rate(epoch, now),
        slow_call_rate=meter.slow_call_rate(epoch, now),
        retry_after=machine.retry_after(now),
        attempt=machine.attempt,
        opened_monotonic=None if (record := machine.outage) is None else record.started,
        changed_monotonic=machine.changed_at,
        taken_monotonic=now,
        cause=machine.cause,
        last_error=machine.last_error,
        success_total=epoch.successes + machine.probe_successes,
        failure_total=epoch.failures + machine.probe_failures,
        ignored_total=machine.ignored,
        cancelled_total=machine.cancelled,
        overdue_total=0 if machine.overdue_calls is None else machine.overdue_calls.total,
        rejected_total=machine.rejected,
        late_total=machine.late,
        leaked_total=machine.leaked,
        probe_total=machine.probes,
        probes_in_flight=0 if episode is None else len(episode.probes),
        probes_passed=machine.passed,
        success_threshold=settings.success_threshold,
        shadow=machine.settings.shadow,
        shadow_calls=machine.shadow_calls,
        outage=None if record is None else record.value(machine, now),
    )
