"""Finds settings that are valid but known to cause outages in production."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recloser._core.defaults import AnyOf, ConsecutiveFailures, ConstantBackoff
from recloser._core.trip import FailureCount, FailureRate, SlowCallRate
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
    """A setting that is valid but known to cause outages.

    Attributes:
        breaker: The name of the breaker; `defaults` for the defaults of a registry, `name[...]` for a per-key group.
        setting: The path of the setting, for example `trip_when[1].minimum_calls`.
        value: The value of the setting.
        message: What happens, and what to set instead.
    """

    breaker: str
    setting: str
    value: float
    message: str

    def __str__(self) -> str:
        """Return the breaker, the setting, its value and the message as one line."""
        return f"{self.breaker}: {self.setting} = {self.value:g}: {self.message}"


def lint(name: str, settings: Settings) -> Iterator[Finding]:
    """Iterate over the findings in the settings of one breaker."""
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
            f"a rate over {calls} {plural(calls, 'call')} says little: a single bad call in a quiet hour opens the "
            f"breaker; use 10-20 calls, or a rule of consecutive failures if there is little traffic",
        )


def _lint_failures(name: str, path: str, rule: ConsecutiveFailures | FailureCount) -> Iterator[Finding]:
    if rule.failures < FEWEST_FAILURES:
        where = "in a row" if isinstance(rule, ConsecutiveFailures) else f"in {rule.window}"
        happen = "happens" if rule.failures == 1 else "happen"
        yield Finding(
            name,
            path,
            rule.failures,
            f"{rule.failures} {plural(rule.failures, 'failure')} {where} {happen} to every healthy dependency: a lost "
            "packet or a restart then rejects all calls for the whole reset timeout; use 5-10",
        )


def _lint_reset(name: str, parts: dict[str, float]) -> Iterator[Finding]:
    for path, seconds in parts.items():
        if seconds < SHORTEST_RESET_SECONDS:
            yield Finding(
                name,
                path,
                seconds,
                "probes follow each other so fast that a recovering dependency gets no rest, and the breaker flaps "
                "between open and half-open; use 30-60 s, or a backoff that starts at 1 s or more",
            )
        elif seconds > LONGEST_RESET_SECONDS:
            yield Finding(
                name,
                path,
                seconds,
                "calls are still rejected minutes after the dependency has recovered; use 30-60 s, or a backoff of at "
                "most 600 s",
            )
