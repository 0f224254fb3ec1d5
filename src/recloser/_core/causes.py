"""Why a transition happened, in numbers and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from recloser._core.cause import Cause
from recloser._core.states import Trigger
from recloser._core.wording import plural

if TYPE_CHECKING:
    from recloser._core.events import Snapshot
    from recloser._core.evidence import Evidence


class ByHand(NamedTuple):
    """What was given with a transition by hand."""

    reason: str | None
    author: str | None
    for_seconds: float | None


def cause_of(
    trigger: Trigger, before: Snapshot, evidence: Evidence | None, last_error: str | None, by_hand: ByHand
) -> Cause:
    """Return the cause of a transition.

    Args:
        trigger: The trigger in the transition table.
        before: The counts before the transition.
        evidence: Why the trip rule is met, if it is.
        last_error: Type and message of the failure that opened the breaker.
        by_hand: The reason, the author and the time of a transition by hand; or the time of another process's probe.
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
    reason, author, for_seconds = by_hand
    if trigger is Trigger.FLEET_PROBING:
        for_seconds = None  # it is that of another process's probe
    text = _text(trigger, by_hand)
    return Cause(trigger, text, last_error=last_error, reason=reason, author=author, for_seconds=for_seconds)


def _text(trigger: Trigger, by_hand: ByHand) -> str:
    reason, author, for_seconds = by_hand
    why = "" if reason is None else f": {reason}"
    if trigger is Trigger.FORCED_OPEN:
        by = "" if author is None else f" by {author}"
        return f"forced open{by} {'until reset' if for_seconds is None else f'for {for_seconds:g} s'}{why}"
    by = "by hand" if author is None else f"by {author}"
    return {
        Trigger.TRIPPED: "the trip rule was met",
        Trigger.WAIT_ELAPSED: "the reset timeout has elapsed and a call arrived",
        Trigger.PROBE_FAILED: "a probe failed",
        Trigger.PROBE_TIMED_OUT: "a probe did not end in time",
        Trigger.PROBE_PASSED_LATE: "a probe that had run out of time succeeded after all",
        Trigger.DISABLED: f"disabled {by}{'' if for_seconds is None else f' for {for_seconds:g} s'}{why}",
        Trigger.DISABLE_ENDED: "the time that it was disabled for has elapsed",
        Trigger.RESET: f"reset {by}{why}",
        Trigger.FLEET_OPENED: "the fleet opened",
        Trigger.FLEET_PROBING: "another process of the fleet runs the probe",
        Trigger.FLEET_CLOSED: "a probe of the fleet succeeded",
    }[trigger]
