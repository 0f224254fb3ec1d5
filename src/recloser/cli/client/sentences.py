"""What is said about breakers, made from fields. The dashboard's page says it in the same words.

Whatever comes from the other process is made printable here.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recloser.cli.client.causes import cause_text
from recloser.cli.client.formatting import duration, number, percent, plural, printable
from recloser.cli.client.states import CLOSED, word

if TYPE_CHECKING:
    from recloser.cli.client.breaker import Breaker
    from recloser.cli.client.messages import FleetEntry, TransitionEntry

__all__ = [
    "counted",
    "fleet_status",
    "is_about",
    "missed",
    "mode",
    "next_step",
    "outage",
    "time_in_state",
    "transition_is_about",
    "transition_text",
    "waited",
    "why",
]

_MOST_PROBES = 3
_LONGEST_SECONDS = 1e12


def why(breaker: "Breaker") -> str:
    """Say why a breaker is in its state, with the figures."""
    entry = breaker.entry
    cause = "" if entry["cause"] is None else cause_text(entry["cause"])
    attempt: float = entry["attempt"] or 0
    again = f" (attempt {number(attempt)})" if breaker.state == "open" and attempt > 1 else ""
    return printable("; ".join(filter(None, [cause + again, *_figures(entry)])))


def _figures(entry: Mapping[str, Any]) -> list[str]:
    state = entry["state"]
    if state == CLOSED:
        return [_counts(entry), "" if entry["rule"] is None else f"opens at {entry['rule']}"]
    if state == "disabled":
        return [_counts(entry)]
    if state != "half_open":
        return []
    last_error = "" if entry["last_error"] is None else f"last error {entry['last_error']}"
    if _follows_fleet(entry) or entry["success_threshold"] is None:
        return [last_error]
    passed, needed = number(entry["probes_passed"] or 0), number(entry["success_threshold"])
    return [last_error, f"{plural(entry['probes_in_flight'] or 0, 'probe')} running, {passed} of {needed} succeeded"]


def _counts(entry: Mapping[str, Any]) -> str:
    if entry["failure_count"] is None:
        return ""
    parts = [f"{plural(entry['failure_count'], 'failure')} counted"]
    if entry["failure_rate"] is not None:
        parts.append(f"failure rate {percent(entry['failure_rate'])}")
    if entry["slow_call_rate"] is not None:
        parts.append(f"slow call rate {percent(entry['slow_call_rate'])}")
    return ", ".join(parts)


def _follows_fleet(entry: Mapping[str, Any]) -> bool:
    """Return whether another process of the fleet runs the probe."""
    cause = entry["cause"]
    return cause is not None and cause["trigger"] == "fleet_probing" and not entry["probes_in_flight"]


def next_step(breaker: "Breaker", now: float) -> str:
    """Say what happens next; nothing while a breaker is closed."""
    state = breaker.state
    if state == CLOSED:
        return ""
    if state == "half_open":
        return "closes or opens as the fleet does" if _follows_fleet(breaker.entry) else "a probe decides"
    if state == "disabled":
        return _disabled_until(breaker, now)
    if breaker.probe_at is None:
        return "stays so until reset" if breaker.entry["shadow"] else "rejects all calls until reset"
    left = breaker.probe_at - now
    return f"probe in {duration(math.ceil(min(left, _LONGEST_SECONDS)))}" if left > 0 else "the next call is a probe"


def _disabled_until(breaker: "Breaker", now: float) -> str:
    """Say when a disabled breaker closes."""
    cause = breaker.entry["cause"]
    if cause is None or cause["for_seconds"] is None:
        return "admits all calls until reset"
    left = cause["for_seconds"] - (now - breaker.since)
    if left <= 0:
        return "the next call closes it"
    return f"admits all calls for {duration(math.ceil(min(left, _LONGEST_SECONDS)))} more"


def waited(breaker: "Breaker", now: float) -> float | None:
    """Return how much of the wait for a probe is over, from 0 to 1; None if there is nothing to wait for."""
    probe_at, since = breaker.probe_at, breaker.since
    if probe_at is None or breaker.state not in {"open", "forced_open"}:
        return None
    if probe_at <= now:
        return 1.0
    return min(1.0, max(0.0, 1 - (probe_at - now) / (probe_at - since))) if probe_at > since else None


def time_in_state(breaker: "Breaker", now: float) -> str:
    """Say how long a breaker has been in its state."""
    return f"for {duration(now - breaker.since)}"


def mode(breaker: "Breaker") -> str:
    """Say what a breaker does differently from others, and what came of it; nothing if it does nothing differently."""
    shadow = breaker.entry["shadow"]
    if shadow is None:
        return ""
    if not shadow["would_reject"]:
        return "shadow: rejects nothing"
    would, failed, succeeded = map(number, (shadow["would_reject"], shadow["failed"], shadow["succeeded"]))
    return f"shadow: rejects nothing, would have rejected {would} ({failed} failed, {succeeded} succeeded)"


def outage(breaker: "Breaker", now: float) -> str:
    """Say what has happened since a breaker was closed; nothing if it is closed, or has just opened."""
    course = breaker.entry["outage"]
    if course is None or not (course["probes_failed"] or course["rejected"]):
        return ""
    failed, rejected, errors = course["probes_failed"], course["rejected"], course["errors"]
    kinds = ", ".join(f"{number(times)} x {kind}" for kind, times in errors.items())
    parts = [
        f"outage for {duration(now - course['since'])}",
        f"{plural(failed, 'probe')} failed" if failed else "",
        f"errors so far: {kinds}" if failed and kinds else "",
        f"{plural(rejected, 'call')} rejected" if rejected else "",
        f"it began with: {cause_text(course['cause'])}" if failed else "",
    ]
    return printable("; ".join(filter(None, parts)))


def is_about(breaker: "Breaker", text: str) -> bool:
    """Return whether a text occurs in the name or in the cause, in either case of its letters."""
    return text.casefold() in f"{breaker.name}\n{why(breaker)}".casefold()


def transition_text(transition: "TransitionEntry") -> str:
    """Say which breaker changed its state, from which state to which, and why."""
    states = f"{word(transition.old)} -> {word(transition.new)}"
    return f"{printable(transition.breaker)}: {states}: {printable(cause_text(transition.cause))}"


def transition_is_about(transition: "TransitionEntry", text: str) -> bool:
    """Return whether a text occurs in the breaker's name or in the cause, in either case of its letters."""
    return text.casefold() in f"{transition.breaker}\n{cause_text(transition.cause)}".casefold()


def counted(counts: Mapping[str, int]) -> str:
    """Say how many breakers are in which state."""
    parts = ", ".join(f"{number(count)} {word(state)}" for state, count in counts.items())
    return f"{plural(sum(counts.values()), 'breaker')}: {parts}" if parts else "no breakers"


def fleet_status(fleet: "FleetEntry | None") -> str:
    """Say whether the fleet is reachable, and who makes which probe; nothing if there is no fleet."""
    if fleet is None:
        return ""
    problem = "each process decides alone" if fleet.problem is None else fleet.problem
    probes = [f"{worker} probes {name}" for name, worker in fleet.probes.items()]
    parts = ["fleet reachable" if fleet.connected else f"fleet unreachable: {problem}", *probes[:_MOST_PROBES]]
    if len(probes) > _MOST_PROBES:
        parts.append(plural(len(probes) - _MOST_PROBES, "more probe"))
    return printable("; ".join(parts))


def missed(updates: int, transitions: int) -> str:
    """Say how much the client has missed because it was too much at once; nothing if it has missed nothing."""
    parts = [(updates, "update"), (transitions, "transition")]
    text = " and ".join(plural(count, noun) for count, noun in parts if count)
    return f"{text} missed" if text else ""
