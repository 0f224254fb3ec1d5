"""The sentence about all breakers together: what is wrong, and since when. The dashboard's page says the same one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from recloser.cli.client.formatting import duration, number, percent, plural, printable, rate

__all__ = ["Headline", "cause_name", "detail", "headline", "notes"]

Fields = Mapping[str, Any]
"""Checked fields of an overview: times are in seconds since 1970."""

MOST_NOTES = 3
_TIMEOUTS = ("Timeout", "DeadlineExceeded", "TimedOut")
_BROKEN_OFF = {
    "ConnectionResetError",
    "ConnectionAbortedError",
    "BrokenPipeError",
    "ReadError",
    "WriteError",
    "RemoteProtocolError",
    "IncompleteReadError",
    "ServerDisconnectedError",
}
_NOT_FOUND = {"gaierror", "herror", "ClientConnectorDNSError"}


class Headline(NamedTuple):
    """A sentence in two parts: what stands out, and the rest."""

    lead: str
    rest: str

    def __str__(self) -> str:
        """Return the whole sentence."""
        return self.lead + self.rest


def cause_name(trip: Fields) -> str:
    """Return what breakers are open for, in words."""
    peer, status = trip["peer"], trip["error_status"]
    if trip["kind"] == "slow_call_rate":
        return f"slow answers from {peer}" if peer else "slow answers"
    if status is not None:
        return f"{peer} answers {status:.0f}" if peer else f"HTTP status {status:.0f}"
    error = (trip["error_type"] or "").rpartition(".")[2]
    return _error_name(error, peer) if error else _TRIGGERS.get(trip["trigger"], "failures")


_TRIGGERS = {"fleet_opened": "the fleet opened", "fleet_probing": "the fleet opened"}


def _error_name(error: str, peer: str | None) -> str:
    if error == "ConnectionRefusedError":
        return f"connection refused by {peer}" if peer else "connection refused"
    if any(each in error for each in _TIMEOUTS):
        return f"no answer from {peer} in time" if peer else "no answer in time"
    if error in _BROKEN_OFF:
        return f"{peer} broke off" if peer else "connection broken off"
    if error in _NOT_FOUND:
        return f"{peer} not found (DNS)" if peer else "name not found (DNS)"
    if error.startswith("SSL") or "Certificate" in error:
        return f"TLS with {peer} failed" if peer else "TLS failed"
    return f"{error} from {peer}" if peer else error


def headline(overview: Fields, now: float) -> Headline:
    """Return the sentence: what is wrong, since when, and why.

    Args:
        overview: What the server says about all breakers.
        now: The server's time.
    """
    counts, total = overview["counts"], overview["total"]
    groups = [group for group in overview["groups"] if group["count"]]
    if groups:
        return _open(overview, groups, now)
    if counts.get("forced_open") or counts.get("disabled"):
        return Headline(f"{_by_hand(counts)} by hand", ", nothing has opened by itself.")
    if total:
        return Headline(
            "", "The only breaker is closed." if total == 1 else f"All {number(total)} breakers are closed."
        )
    shadow = sum(counts.values())
    return Headline("", f"{plural(shadow, 'breaker')} in shadow mode." if shadow else "No breakers yet.")


def _open(overview: Fields, groups: list[Fields], now: float) -> Headline:
    first, count, total = groups[0], _open_count(overview), overview["total"]
    cause = cause_name(first["trip"])
    are = "is" if count == 1 else "are"
    if len(groups) > 1:
        since = moment(first["since"], now)
        rest = f": {number(first['count'])} since {since}, {cause}."
        return _printable(f"{number(count)} of {number(total)} breakers {are} open", rest)
    if first["closed"]:
        have = "has" if first["closed"] == 1 else "have"
        since = f", {number(first['closed'])} {have} closed since {moment(first['closing_since'], now)}: {cause}."
        return _printable(f"{number(count)} of {number(total)} breakers {are} still open", since)
    if count == 1 and first["breaker"] is not None:
        return _printable(f"{first['breaker']} is {first['state'].replace('_', ' ')}", f": {cause}.")
    return _printable(
        f"{number(count)} of {number(total)} breakers {are} open", f" since {moment(first['since'], now)}: {cause}."
    )


def _printable(lead: str, rest: str) -> Headline:
    return Headline(printable(lead), printable(rest))


def _open_count(overview: Fields) -> float:
    counts: Mapping[str, float] = overview["counts"]
    return counts.get("open", 0) + counts.get("half_open", 0)


def _by_hand(counts: Mapping[str, float]) -> str:
    forced, disabled = counts.get("forced_open", 0), counts.get("disabled", 0)
    parts = [(forced, "forced open"), (disabled, "disabled")]
    return " and ".join(
        f"{plural(count, 'breaker')} {'is' if count == 1 else 'are'} {word}" for count, word in parts if count
    )


def detail(overview: Fields, now: float, rejected: float | None, offered: float | None) -> str:
    """Return what else there is to say, in at most three short sentences.

    Args:
        overview: What the server says about all breakers.
        now: The server's time.
        rejected: How many calls are rejected per second; None if that is not known.
        offered: How many there are in all.
    """
    groups = [group for group in overview["groups"] if group["count"]]
    if not groups:
        return _before(overview, now)
    parts: list[str] = []
    if rejected and offered:
        parts.append(f"{rate(rejected)} calls/s rejected, {percent(rejected / offered)} of all calls")
    count, half_open = _open_count(overview), overview["counts"].get("half_open", 0)
    if count == 1:
        parts.append(f"Since {moment(groups[0]['since'], now)}, {duration(now - groups[0]['since'])}")
    causes = len(groups) - 1 + overview["other_causes"]
    if causes:
        rest = count - groups[0]["count"]
        parts.append(f"{number(rest)} {'is' if rest == 1 else 'are'} open for {plural(causes, 'other cause')}")
    if half_open and count > 1:
        parts.append(f"{number(half_open)} of them {'is' if half_open == 1 else 'are'} half open")
    return "".join(f"{part}. " for part in parts).rstrip()


def _before(overview: Fields, now: float) -> str:
    last = overview["last_outage"]
    if last is None:
        return ""
    span = f"from {moment(last['since'], now)} to {moment(last['ended_at'], now)}"
    text = f"Before that: {plural(last['count'], 'breaker')} open {span}, {cause_name(last['trip'])}."
    return printable(f"For {duration(now - last['ended_at'])}. {text}")


def notes(overview: Fields, now: float) -> list[str]:
    """Return what was set by hand, without an end, and may have been forgotten: at most three lines, and a rest."""
    forgotten = overview["forgotten"]
    lines = [
        f"{each['breaker']} has been {each['state'].replace('_', ' ')} for {duration(now - each['since'])}, "
        "without an end" + (f", by {each['author']}" if each["author"] else "")
        for each in forgotten[:MOST_NOTES]
    ]
    rest = len(forgotten) - MOST_NOTES
    return [printable(line) for line in [*lines, *([f"and {number(rest)} more"] if rest > 0 else [])]]


def moment(at: float, now: float) -> str:
    """Return a time of day in UTC, with the day if it is another one."""
    then, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    if then.date() == today.date():
        return f"{then:%H:%M}"
    return f"{_DAYS[then.weekday()]} {then.day} {_MONTHS[then.month - 1]} {then:%H:%M}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
