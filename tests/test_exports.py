"""The public names at the root, pinned: a name that comes or goes is a decision, and shows up here."""

import subprocess
import sys
import types

import pytest

import recloser
from recloser import Retry

ROOT = [
    "Answer",
    "BreakerRegistry",
    "Bulkhead",
    "CallTimeoutError",
    "CircuitBreaker",
    "CircuitBreakerOpenError",
    "CircuitState",
    "ConsecutiveFailures",
    "Constant",
    "CountWindow",
    "Event",
    "ExponentialBackoff",
    "FailureCount",
    "FailureRate",
    "Fallback",
    "Hedge",
    "LastKnownGood",
    "NoAnswer",
    "Permit",
    "Pipeline",
    "RateLimit",
    "RecloserError",
    "RejectedError",
    "Retry",
    "RetryBudget",
    "SlowCallRate",
    "StateChanged",
    "TimeWindow",
    "Timeout",
    "rejection_of",
]


def test_the_root_exports_exactly_the_pinned_names() -> None:
    assert sorted(recloser.__all__) == ROOT


def test_the_root_exports_at_most_34_names() -> None:
    assert len(recloser.__all__) <= 34


def test_every_exported_name_exists() -> None:
    assert [name for name in recloser.__all__ if not hasattr(recloser, name)] == []


def test_a_breaker_alone_imports_no_policies_fallbacks_or_registry() -> None:
    script = "import sys, recloser; recloser.CircuitBreaker(); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    packages = {".".join(name.split(".")[:2]) for name in done.stdout.split() if name.startswith("recloser.")}
    assert packages == {"recloser._breaker", "recloser._core", "recloser.errors", "recloser.events"}


def test_a_name_that_the_root_imports_later_is_imported_once() -> None:
    del vars(recloser)["Retry"]
    assert recloser.Retry is Retry
    assert vars(recloser)["Retry"] is Retry
    assert "Retry" in dir(recloser)


def test_a_name_that_the_root_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'recloser' has no attribute 'CircuitBraker'$"):
        recloser.CircuitBraker  # type: ignore[attr-defined] # noqa: B018 - to be refused


def test_nothing_public_at_the_root_is_left_out_of_all() -> None:
    public = {
        name
        for name, value in vars(recloser).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public - set(recloser.__all__) == set()
