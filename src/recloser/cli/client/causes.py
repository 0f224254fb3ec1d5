"""The cause of a transition in words, made from its fields. The dashboard's page says it in the same words."""

from typing import Any

from recloser.cli.client.formatting import number, percent, plural, seconds

__all__ = ["CauseFields", "cause_text"]

CauseFields = dict[str, Any]
"""The fields of a cause; all of them are there, and the figures of a trip rule are numbers."""

_TEXTS = {
    "wait_elapsed": "the reset timeout has elapsed and a call arrived",
    "disable_ended": "the time that it was disabled for has elapsed",
    "probe_failed": "a probe failed",
    "probe_timed_out": "a probe did not end in time",
    "probe_passed_late": "a probe that had run out of time succeeded after all",
    "fleet_opened": "the fleet opened",
    "fleet_probing": "another process of the fleet runs the probe",
    "fleet_closed": "a probe of the fleet succeeded",
}


def cause_text(cause: CauseFields) -> str:
    """Return the cause as a part of a sentence, with the last error."""
    text, last_error = _without_error(cause), cause["last_error"]
    return text if last_error is None else f"{text}; last error {last_error}"


def _without_error(cause: CauseFields) -> str:
    trigger: str = cause["trigger"]
    reason = "" if cause["reason"] is None else f": {cause['reason']}"
    limit = "" if cause["for_seconds"] is None else f" for {seconds(cause['for_seconds'])}"
    if trigger == "tripped":
        return _tripped(cause)
    if trigger == "probes_passed":
        return f"{number(cause['observed'])} of {plural(cause['threshold'], 'probe')} succeeded"
    if trigger == "forced_open":
        by = "" if cause["author"] is None else f" by {cause['author']}"
        return f"forced open{by}{limit or ' until reset'}{reason}"
    if trigger in {"disabled", "reset"}:
        by = "by hand" if cause["author"] is None else f"by {cause['author']}"
        return f"{trigger} {by}{limit}{reason}"
    return _TEXTS.get(trigger, trigger.replace("_", " "))


def _tripped(cause: CauseFields) -> str:
    kind, observed, threshold = cause["kind"], cause["observed"], cause["threshold"]
    if kind == "consecutive_failures":
        return f"{plural(observed, 'consecutive failure')} (threshold {number(threshold)})"
    if kind == "failure_count":
        return f"{plural(observed, 'failure')} in {_window(cause)} (threshold {number(threshold)})"
    if kind == "failure_rate":
        return f"failure rate {percent(observed)} ({_counted(cause)} failed; threshold {percent(threshold)})"
    if kind == "slow_call_rate":
        slow = f"took longer than {seconds(cause['slow_call_seconds'])}"
        return f"slow call rate {percent(observed)} ({_counted(cause)} {slow}; threshold {percent(threshold)})"
    return "the trip rule was met"


def _counted(cause: CauseFields) -> str:
    return f"{number(cause['counted'])} of {number(cause['calls'])} calls"


def _window(cause: CauseFields) -> str:
    window = cause["window"]
    size = f"{number(window['calls'])} calls" if "calls" in window else seconds(window["seconds"])
    return f"the last {size}"
