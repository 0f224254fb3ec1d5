"""What a dashboard sends, made by hand."""

import json
from datetime import UTC, datetime
from typing import Any

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC).timestamp()
TOTALS = ("success_total", "failure_total", "ignored_total", "cancelled_total", "rejected_total")
CAUSE = "5 consecutive failures (threshold 5)"
"""How the cause of `cause()` reads."""


def at(seconds: float = 0.0) -> str:
    return datetime.fromtimestamp(NOON + seconds, UTC).isoformat()


def cause(**members: object) -> dict[str, Any]:
    whole = {
        "trigger": "tripped",
        "kind": "consecutive_failures",
        "rule": "5 consecutive failures",
        "observed": 5,
        "threshold": 5,
        "calls": None,
        "counted": None,
        "window": None,
        "slow_call_seconds": None,
        "last_error": None,
        "reason": None,
        "author": None,
        "for_seconds": None,
    }
    return whole | members


def entry(state: str = "closed", **members: object) -> dict[str, Any]:
    whole = {
        "state": state,
        "cause": cause(),
        "last_error": None,
        "rule": "5 consecutive failures",
        "shadow": None,
        "attempt": 1,
        "failure_count": 5,
        "failure_rate": None,
        "slow_call_rate": None,
        "probes_in_flight": 0,
        "probes_passed": 0,
        "success_threshold": 1,
        "time_in_state_seconds": 2.0,
        "retry_after": 8.0 if state == "open" else 0.0,
        **dict.fromkeys(TOTALS, 0),
    }
    return whole | members


def transition(breaker: str = "payments", new: str = "open", seconds: float = 0.0, seq: int = 1) -> dict[str, Any]:
    return {"seq": seq, "at": at(seconds), "breaker": breaker, "old": "closed", "new": new, "cause": cause()}


def snapshot(breakers: dict[str, Any] | None = None, seconds: float = 0.0, **members: object) -> dict[str, Any]:
    about = {"version": 2, "interval_seconds": 1.0, "quiet_seconds": 15.0, "breakers_per_update": 1_000, "run": "a"}
    whole = {
        "timestamp": at(seconds),
        "breakers": {} if breakers is None else breakers,
        "dashboard": about,
        "fleet": None,
        "transitions": [],
        "dropped": 0,
    }
    return whole | members


def update(changed: dict[str, Any] | None = None, seconds: float = 1.0, **members: object) -> dict[str, Any]:
    whole = {"timestamp": at(seconds), "changed": changed or {}, "removed": [], "transitions": [], "fleet": None}
    return {**whole, "dropped": 0, **members}


def event(kind: str, data: dict[str, Any], number: int = 1) -> bytes:
    return f"event: {kind}\nid: a-{number}\ndata: {json.dumps(data)}\n\n".encode()


def overview() -> dict[str, Any]:
    """Returns what a dashboard says about one breaker that is open, and one that was forced open and forgotten."""
    trip = {"kind": None, "trigger": "tripped", "error_type": "TimeoutError", "error_status": None, "peer": "db:5432"}
    group = {"id": "a", "trip": trip, "since": at(-60), "count": 1, "breaker": "payments", "state": "open"}
    return {
        "total": 2,
        "counts": {"open": 1, "forced_open": 1},
        "groups": [{**group, "closed": 0, "closing_since": None}],
        "other_causes": 0,
        "last_outage": None,
        "forgotten": [{"breaker": "mail", "state": "forced_open", "since": at(-7_200), "author": "ann"}],
    }
