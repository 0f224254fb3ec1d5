"""What a dashboard sends, made by hand."""

import json
from datetime import UTC, datetime
from typing import Any

NOON = datetime(2030, 1, 2, 12, tzinfo=UTC).timestamp()
TOTALS = ("success_total", "failure_total", "ignored_total", "cancelled_total", "rejected_total")
OPEN_SENTENCE = "Circuit breaker 'payments' is open for 2.0 s: 5 consecutive failures: it is: down; all calls fail."


def at(seconds: float = 0.0) -> str:
    return datetime.fromtimestamp(NOON + seconds, UTC).isoformat()


def entry(state: str = "closed", **members: object) -> dict[str, Any]:
    whole = {
        "state": state,
        "time_in_state_seconds": 2.0,
        "retry_after": 8.0 if state == "open" else 0.0,
        "explanation": f"Circuit breaker 'x' is {state.replace('_', ' ')} for 2.0 s: no reason.",
        "shadow": False,
        **dict.fromkeys(TOTALS, 0),
    }
    return whole | members


def transition(breaker: str = "payments", new: str = "open", seconds: float = 0.0, seq: int = 1) -> dict[str, Any]:
    return {"seq": seq, "at": at(seconds), "breaker": breaker, "old": "closed", "new": new, "cause": "5 failures"}


def snapshot(breakers: dict[str, Any] | None = None, seconds: float = 0.0, **members: object) -> dict[str, Any]:
    about = {"version": 1, "interval_seconds": 1.0, "quiet_seconds": 15.0, "breakers_per_update": 1_000, "run": "a"}
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
