"""`registry.lint()`: valid settings that are known to do harm."""

import pytest

from recloser import (
    BreakerRegistry,
    CircuitBreaker,
    ConsecutiveFailures,
    CountWindow,
    ExponentialBackoff,
    FailureCount,
    FailureRate,
    SlowCallRate,
)
from recloser import registry as public

HARMFUL = [
    ({"failure_threshold": 1}, "failure_threshold", 1, "1 failure in a row happens to"),
    ({"failure_threshold": 2}, "failure_threshold", 2, "2 failures in a row happen to"),
    ({"trip_when": ConsecutiveFailures(2, within_seconds=60)}, "trip_when.failures", 2, "2 failures in a row"),
    ({"trip_when": FailureCount(1)}, "trip_when.failures", 1, "1 failure in the last 60 s happens to every"),
    (
        {"trip_when": FailureCount(2, window=CountWindow(9)) | FailureCount(3)},
        "trip_when[0].failures",
        2,
        "2 failures in the last 9 calls happen to every",
    ),
    ({"trip_when": FailureCount(5) | ConsecutiveFailures(1)}, "trip_when[1].failures", 1, "1 failure in a row"),
    ({"trip_when": FailureRate(0.5, minimum_calls=4)}, "trip_when.minimum_calls", 4, "a rate over 4 calls"),
    (
        {"trip_when": SlowCallRate(0.5, slow_call_seconds=1, minimum_calls=1) | FailureCount(5)},
        "trip_when[0].minimum_calls",
        1,
        "a rate over 1 call says",
    ),
    ({"reset_timeout_seconds": 0.9}, "reset_timeout_seconds", 0.9, "flaps"),
    ({"reset_timeout_seconds": 0}, "reset_timeout_seconds", 0, "flaps"),
    ({"reset_timeout_seconds": 601}, "reset_timeout_seconds", 601, "minutes after the dependency has recovered"),
    (
        {"reset_timeout_seconds": ExponentialBackoff(initial_seconds=0.5)},
        "reset_timeout_seconds.initial_seconds",
        0.5,
        "flaps",
    ),
    (
        {"reset_timeout_seconds": ExponentialBackoff(maximum_seconds=3_600)},
        "reset_timeout_seconds.maximum_seconds",
        3_600,
        "minutes after the dependency has recovered",
    ),
]
HARMLESS = [
    {},
    {"failure_threshold": 3},
    {"trip_when": FailureRate(0.5, minimum_calls=5) | SlowCallRate(slow_call_seconds=1, minimum_calls=5)},
    {"reset_timeout_seconds": 1},
    {"reset_timeout_seconds": 600},
    {"reset_timeout_seconds": ExponentialBackoff(initial_seconds=1, maximum_seconds=600)},
    {"trip_when": FailureCount(3)},
]


@pytest.mark.parametrize(("settings", "setting", "value", "message"), HARMFUL, ids=lambda case: str(case)[:40])
def test_a_harmful_setting_is_found_and_explained(
    settings: dict[str, object], setting: str, value: float, message: str
) -> None:
    registry = BreakerRegistry()
    registry.breaker("payments", **settings)
    (finding,) = registry.lint()
    assert (finding.breaker, finding.setting, finding.value) == ("payments", setting, value)
    assert message in finding.message
    assert str(finding).startswith(f"payments: {setting} = {value:g}: ")


@pytest.mark.parametrize("settings", HARMLESS, ids=str)
def test_other_settings_are_left_alone(settings: dict[str, object]) -> None:
    registry = BreakerRegistry(**settings)
    registry.breaker("payments")
    assert registry.lint() == []


def test_every_part_of_a_definition_is_checked() -> None:
    registry = BreakerRegistry(
        trip_when=ConsecutiveFailures(1) | FailureRate(0.5, minimum_calls=1),
        reset_timeout_seconds=ExponentialBackoff(initial_seconds=0.1, maximum_seconds=1_000),
    )
    assert len(registry.lint()) == 4


def test_a_harmful_default_is_found_once() -> None:
    registry = BreakerRegistry(failure_threshold=1)
    registry.breaker("payments", reset_timeout_seconds=30)
    registry.breaker("orders", failure_threshold=2)
    assert [(finding.breaker, finding.value) for finding in registry.lint()] == [("defaults", 1), ("orders", 2)]


def test_a_harmful_group_is_found_once() -> None:
    registry = BreakerRegistry()
    registry.per_key("web", key=str, failure_threshold=1)
    for key in ("a", "b"):
        registry.breaker(f"web[{key}]")
    assert [finding.breaker for finding in registry.lint()] == ["web[...]"]


def test_the_type_of_a_finding_can_be_imported() -> None:
    registry = public.BreakerRegistry(failure_threshold=1)
    assert [type(finding) for finding in registry.lint()] == [public.Finding]


def test_an_added_breaker_is_checked_too() -> None:
    registry = BreakerRegistry()
    registry.add(CircuitBreaker("payments", failure_threshold=1))
    assert [finding.breaker for finding in registry.lint()] == ["payments"]


@pytest.mark.anyio
async def test_the_current_settings_are_checked() -> None:
    registry = BreakerRegistry(failure_threshold=1)
    registry.breaker("payments")
    registry.reconfigure(failure_threshold=5)
    assert registry.lint() == []
    registry.breaker("payments").reconfigure(failure_threshold=2)
    assert [finding.value for finding in registry.lint()] == [2]
