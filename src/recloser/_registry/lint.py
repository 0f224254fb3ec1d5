"""Finds settings that are valid and known to do harm: each was the cause of outages in somebody's production."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recloser._core.backoff import ConstantBackoff
from recloser._core.trip import AnyOf, ConsecutiveFailures, FailureCount, FailureRate, SlowCallRate
from recloser._core.wording import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recloser._core.settings import Settings

FEWEST_FAILURES = 3
FEWEST_CALLS = 5
SHORTEST_RESET_SECONDS = 1.0
LONGEST_RESET_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """A setting that the field warns against.

    Attributes:
        breaker: Name of the breaker; `defaults` for the defaults of a registry, `name[...]` for a per-key group.
        setting: The setting, with the path to the part of it that matters: `trip_when[1].minimum_calls`.
        value: What it is set to.
        message: What happens, and what to set instead.
    """

    breaker: str
    setting: str
    value: float
    message: str

    def __str__(self) -> str:
        """Say where, what, and what happens."""
        return f"{self.breaker}: {self.setting} = {self.value:g}: {self.message}"


def lint(name: str, settings: Settings) -> Iterator[Finding]:
    """Return what the field warns against in the settings of one breaker."""
    rule = settings.trip_when
    if isinstance(rule, AnyOf):
        for index, part in enumerate(rule.rules):
            yield from _lint_rule(name, f"trip_when[{index}]", part)
    elif isinstance(rule, ConsecutiveFailures) and rule.within_seconds is None:
        yield from _lint_failures(name, "failure_threshold", rule)
    else:
        yield from _lint_rule(name, "trip_when", rule)
    backoff = settings.backoff
    if isinstance(backoff, ConstantBackoff):
        yield from _lint_reset(name, {"reset_timeout_seconds": backoff.seconds})
    else:
        named = {"initial_seconds": backoff.initial_seconds, "maximum_seconds": backoff.maximum_seconds}
        yield from _lint_reset(name, {f"reset_timeout_seconds.{part}": seconds for part, seconds in named.items()})


def _lint_rule(name: str, path: str, rule: object) -> Iterator[Finding]:
    if isinstance(rule, ConsecutiveFailures | FailureCount):
        yield from _lint_failures(name, f"{path}.failures", rule)
    elif isinstance(rule, FailureRate | SlowCallRate) and rule.minimum_calls < FEWEST_CALLS:
        calls = rule.minimum_calls
        yield Finding(
            name,
            f"{path}.minimum_calls",
            calls,
            f"a rate of {calls} {plural(calls, 'call')} is no measurement: a single bad call in a quiet hour opens the "
            f"breaker; take 10-20 calls, or a rule of consecutive failures where there is little traffic",
        )


def _lint_failures(name: str, path: str, rule: ConsecutiveFailures | FailureCount) -> Iterator[Finding]:
    if rule.failures < FEWEST_FAILURES:
        where = "in a row" if isinstance(rule, ConsecutiveFailures) else f"in {rule.window}"
        happen = "happens" if rule.failures == 1 else "happen"
        yield Finding(
            name,
            path,
            rule.failures,
            f"{rule.failures} {plural(rule.failures, 'failure')} {where} {happen} to every dependency that is well: a "
            "lost packet or a restart then rejects all calls for the whole reset timeout; take 5-10",
        )


def _lint_reset(name: str, parts: dict[str, float]) -> Iterator[Finding]:
    for path, seconds in parts.items():
        if seconds < SHORTEST_RESET_SECONDS:
            yield Finding(
                name,
                path,
                seconds,
                "probes come so fast that a dependency on its way up gets no rest, and the breaker flaps between "
                "open and half-open; take 30-60 s, or a backoff that starts at 1 s or more",
            )
        elif seconds > LONGEST_RESET_SECONDS:
            yield Finding(
                name,
                path,
                seconds,
                "calls go on being rejected for minutes after the dependency is back, and nobody finds out; take "
                "30-60 s, or a backoff of at most 600 s",
            )
