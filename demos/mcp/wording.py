"""The texts that the views share."""

import json
from collections import Counter
from collections.abc import Collection, Iterator

from demos.mcp.dependencies import BREAKERS
from demos.mcp.facts import Exchange, Health, Report

__all__ = ["answers", "asked", "changes", "failure", "reached", "still", "wait"]


def asked(exchange: Exchange) -> str:
    """Return a call as it is written in Python."""
    arguments = ", ".join(f"{name}={json.dumps(value)}" for name, value in exchange.ask.arguments.items())
    return f"{exchange.ask.tool}({arguments})"


def answers(exchange: Exchange) -> Iterator[tuple[str, str]]:
    """Yield each answer with its label: how often it came, and where from."""
    if exchange.note:
        yield "1 x probe", exchange.note
    for text, times in exchange.answers:
        yield f"{times} x {exchange.ask.kind}", text


def failure(name: str) -> str:
    """Return how a dependency fails."""
    return "the file of the database is corrupt" if name == "database" else f"the service {name} answers 503"


def reached(report: Report) -> str:
    """Return how many calls have reached each dependency."""
    counts = report.reached or Counter[str]()
    return ", ".join(f"{name} {counts[name]}" for name in BREAKERS if counts[name]) or "nothing"


def changes(report: Report) -> list[tuple[str, str, str]]:
    """Return each breaker whose state has changed, with the old and the new one."""
    return [
        (name, report.before[name].state, breaker.state)
        for name, breaker in report.after.items()
        if breaker.state != report.before[name].state
    ]


def still(health: Health, but: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return each state with the breakers that are in it, without those in `but`."""
    rest: dict[str, list[str]] = {}
    for name, breaker in health.items():
        if name not in but:
            rest.setdefault(breaker.state, []).append(name)
    if not but and len(rest) == 1:
        return [("all", state) for state in rest]
    return [(state, ", ".join(names)) for state, names in sorted(rest.items())]


def wait(seconds: float, health: Health) -> str:
    """Return how long to wait, and the times that health reports."""
    times = ", ".join(f"{name} {breaker.retry_after or 0.0:.1f}" for name, breaker in health.items())
    return f"health says when to retry, in seconds: {times}; so the client waits {seconds:.1f} s"
