"""The public names at the root, pinned: a name that comes or goes is a decision, and shows up here."""

import types

import recloser

ROOT = [
    "Answer",
    "BreakerRegistry",
    "BulkheadFullError",
    "CallFailed",
    "CallIgnored",
    "CallRejected",
    "CallSucceeded",
    "CallTimeoutError",
    "Cause",
    "CircuitBreaker",
    "CircuitBreakerOpenError",
    "CircuitState",
    "ConfigurationWarning",
    "ConsecutiveFailures",
    "Constant",
    "ConstantBackoff",
    "CountWindow",
    "Event",
    "EventStream",
    "EventsDropped",
    "ExponentialBackoff",
    "FailureCount",
    "FailureRate",
    "Fallback",
    "FallbackExhaustedError",
    "LastKnownGood",
    "LateOutcome",
    "NoAnswer",
    "Outcome",
    "Permit",
    "ProbeAdmitted",
    "RateLimitedError",
    "RecloserError",
    "RejectedError",
    "SlowCallRate",
    "Snapshot",
    "StateChanged",
    "TimeWindow",
    "Trigger",
    "fallback",
]


def test_the_root_exports_exactly_the_pinned_names() -> None:
    assert sorted(recloser.__all__) == ROOT


def test_the_root_exports_at_most_40_names() -> None:
    assert len(recloser.__all__) <= 40


def test_every_exported_name_exists() -> None:
    assert [name for name in recloser.__all__ if not hasattr(recloser, name)] == []


def test_nothing_public_at_the_root_is_left_out_of_all() -> None:
    public = {
        name
        for name, value in vars(recloser).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public - set(recloser.__all__) == set()
