"""Why a transition happened, in numbers and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser._core.events import Cause, Snapshot
from recloser._core.states import Trigger
from recloser._core.wording import plural

if TYPE_CHECKING:
    from recloser._core.meters import Evidence


def cause_of(
    trigger: Trigger,
    before: Snapshot,
    evidence: Evidence | None,
    *,
    last_error: str | None,
    reason: str | None,
    for_seconds: float | None,
) -> Cause:
    """Return the cause of a transition.

    Args:
        trigger: The trigger in the transition table.
        before: The counts before the transition.
        evidence: Why the trip rule is met, if it is.
        last_error: Type and message of the failure that opened the breaker.
        reason: The reason given for an action by hand.
        for_seconds: How long a forced opening lasts, or another process's probe; None means until a reset.
    """
    if trigger is Trigger.TRIPPED and evidence is not None:
        return Cause(
            trigger,
            evidence.text,
            rule=before.rule,
            observed=evidence.observed,
            threshold=evidence.threshold,
            last_error=last_error,
            kind=evidence.kind,
            calls=evidence.calls,
            counted=evidence.counted,
            window=evidence.window,
            slow_call_seconds=evidence.slow_call_seconds,
        )
    passed, needed = before.probes_passed, before.success_threshold
    if trigger is Trigger.PROBES_PASSED:
        text = f"{passed} of {needed} {plural(needed, 'probe')} succeeded"
        return Cause(trigger, text, observed=passed, threshold=needed)
    if trigger is not Trigger.FORCED_OPEN:
        for_seconds = None  # it is that of another process's probe
    text = _text(trigger, reason, for_seconds)
    return Cause(trigger, text, last_error=last_error, reason=reason, for_seconds=for_seconds)


def _text(trigger: Trigger, reason: str | None, for_seconds: float | None) -> str:
    if trigger is Trigger.FORCED_OPEN:
        until = "until reset" if for_seconds is None else f"for {for_seconds:g} s"
        return f"forced open {until}: {reason}"
    why = "" if reason is None else f": {reason}"
    return {
        Trigger.TRIPPED: "the trip rule was met",
        Trigger.WAIT_ELAPSED: "the reset timeout has elapsed and a call arrived",
        Trigger.PROBE_FAILED: "a probe failed",
        Trigger.PROBE_TIMED_OUT: "a probe did not end in time",
        Trigger.DISABLED: f"disabled by hand{why}",
        Trigger.RESET: f"reset by hand{why}",
        Trigger.FLEET_OPENED: "the fleet opened",
        Trigger.FLEET_PROBING: "another process of the fleet runs the probe",
        Trigger.FLEET_CLOSED: "a probe of the fleet succeeded",
    }[trigger]
