"""What is wrong with all breakers together: the causes that they are open for, as fields.

The unit is the cause: breakers that opened by the same kind of rule, with the same error, of the same peer. What a
cause is called, and the sentence about all of them, clients make of the fields.
"""

import os
import socket
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from recloser.dashboard._ended import OutageFields
from recloser.dashboard._sample import MANUAL, BreakerEntry

MOST_CAUSES = 8
LINGERS = timedelta(seconds=60)
"""How long a cause is shown after its last breaker has closed."""
FORGOTTEN_SECONDS = 3_600.0
"""From when on a breaker that was set by hand, without an end, counts as forgotten."""

_CAUSE = ("kind", "trigger", "error_type", "error_status", "peer", "observed", "threshold", "window")


def instance_name() -> str:
    """Return the name of this process: its host, and its number there."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Overview:
    """Sums up entries that are given one after the other.

    Args:
        ended: The outages that are over, the one that ended first first.
        now: The time of the overview.
    """

    def __init__(self, ended: list[OutageFields], now: datetime) -> None:
        self._ended = ended
        self._now = now
        self._counts: Counter[str] = Counter()
        self._groups: dict[str, dict[str, Any]] = {}
        self._open: set[str] = set()
        self._forgotten: list[dict[str, Any]] = []

    def add(self, name: str, entry: BreakerEntry) -> None:
        """Count a breaker."""
        state, shadow = entry["state"], entry["shadow"]
        if state == "closed":
            self._counts["in_shadow" if shadow else state] += 1
            return
        self._counts["shadow_open" if shadow else state] += 1
        if shadow is None and entry["group"] == MANUAL:
            self._remind(name, entry)
        elif shadow is None and entry["outage"] is not None:
            self._open.add(name)
            self._join(name, entry)

    def _remind(self, name: str, entry: BreakerEntry) -> None:
        cause, seconds = entry["cause"], entry["time_in_state_seconds"]
        if cause is None or seconds is None or cause["for_seconds"] is not None or seconds < FORGOTTEN_SECONDS:
            return
        since = (self._now - timedelta(seconds=min(seconds, 1e9))).isoformat(timespec="minutes")
        self._forgotten.append({"breaker": name, "state": entry["state"], "since": since, "author": cause["author"]})

    def _join(self, name: str, entry: BreakerEntry) -> None:
        key, outage = entry["group"], entry["outage"]
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = self._group(key, outage)
        group["count"] += 1
        group |= {"breaker": None, "state": None} if group["count"] > 1 else {"breaker": name, "state": entry["state"]}
        if outage["since"] < group["since"]:
            group |= {"since": outage["since"], "trip": _trip_of(outage)}

    def _group(self, key: str, outage: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "id": key,
            "trip": _trip_of(outage),
            "since": outage["since"],
            "count": 0,
            "breaker": None,
            "state": None,
            "closed": 0,
            "closing_since": None,
            "ended_at": None,
        }

    def fields(self) -> dict[str, Any]:
        """Return the overview as JSON-ready fields."""
        self._add_ended()
        groups = sorted(self._groups.values(), key=lambda group: (-group["count"], group["since"], group["id"]))
        counts = self._counts
        return {
            "instance": instance_name(),
            "total": counts.total() - counts["in_shadow"] - counts["shadow_open"],
            "counts": {state: count for state, count in counts.items() if count},
            "groups": groups[:MOST_CAUSES],
            "other_causes": max(0, len(groups) - MOST_CAUSES),
            "last_outage": self._last_outage(),
            "forgotten": sorted(self._forgotten, key=lambda each: (each["since"], each["breaker"])),
        }

    def _add_ended(self) -> None:
        """Count the breakers that have closed since their cause began; a cause that is over is shown for a while."""
        recently = (self._now - LINGERS).isoformat()
        closed: dict[str, set[str]] = {}
        for outage in self._ended:
            key, ended_at = outage["group"], outage["ended_at"]
            group = self._groups.get(key)
            if outage["breaker"] in self._open or key == MANUAL:
                continue
            if group is None and ended_at >= recently:
                group = self._groups[key] = self._group(key, outage)
            if group is None or ended_at < group["since"]:
                continue
            group["since"] = min(group["since"], outage["since"])
            closed.setdefault(key, set()).add(outage["breaker"])
            group["closing_since"] = group["closing_since"] or ended_at
            group["closed"] = len(closed[key])
            group["ended_at"] = None if group["count"] else ended_at

    def _last_outage(self) -> dict[str, Any] | None:
        """Return the cause that was over last, with all breakers that were open for it without a break."""
        last = next((each for each in reversed(self._ended) if each["group"] != MANUAL), None)
        if last is None:
            return None
        since, names = last["since"], {last["breaker"]}
        for each in reversed(self._ended):
            if each["group"] == last["group"] and each["ended_at"] >= since:
                since = min(since, each["since"])
                names.add(each["breaker"])
        return {"trip": _trip_of(last), "since": since, "ended_at": last["ended_at"], "count": len(names)}


def _trip_of(outage: Mapping[str, Any]) -> dict[str, Any]:
    cause = outage["cause"]
    return {key: cause[key] for key in _CAUSE}
