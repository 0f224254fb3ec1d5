"""`registry.breaker(name)`: created once, found afterwards, and not redefined."""

import pytest

from recloser import (
    BreakerRegistry,
    CircuitBreaker,
    ConsecutiveFailures,
    ExponentialBackoff,
    FailureCount,
    FailureRate,
    TimeWindow,
)
from recloser.testing import ManualClock


def is_odd(result: object) -> bool:
    return bool(result)


class UnhashablePredicate:
    __hash__ = None

    def __call__(self, _: BaseException) -> bool:
        return True


def test_a_breaker_is_created_once_and_found_afterwards() -> None:
    registry = BreakerRegistry()
    payments = registry.breaker("payments")
    assert isinstance(payments, CircuitBreaker)
    assert registry.breaker("payments") is payments
    assert (payments.name, len(registry)) == ("payments", 1)


def test_a_breaker_has_the_defaults_and_its_overrides() -> None:
    registry = BreakerRegistry(failure_threshold=7, reset_timeout_seconds=30)
    breaker = registry.breaker("payments", reset_timeout_seconds=10)
    assert (breaker.failure_threshold, breaker.reset_timeout_seconds) == (7, 10)


def test_without_defaults_a_breaker_is_as_it_is_made_by_itself() -> None:
    assert BreakerRegistry().breaker("x").engine.machine.settings == CircuitBreaker("x").engine.machine.settings


def test_a_breaker_has_the_clock_of_the_registry(clock: ManualClock) -> None:
    breaker = BreakerRegistry(clock=clock, failure_threshold=1).breaker("payments")
    breaker.try_acquire_nowait().fail()
    clock.advance(20)
    assert breaker.retry_after == 40


def test_an_override_of_the_threshold_replaces_a_rule_of_the_defaults() -> None:
    registry = BreakerRegistry(trip_when=FailureRate(0.5))
    assert registry.breaker("payments", failure_threshold=3).engine.machine.settings.trip_when == ConsecutiveFailures(3)


@pytest.mark.parametrize(
    "overrides",
    [{}, {"failure_threshold": 3, "failed_result": is_odd}, {"expected_exception": UnhashablePredicate()}],
    ids=["none", "some", "unhashable"],
)
def test_breakers_of_the_same_definition_agree(overrides: dict[str, object]) -> None:
    registry = BreakerRegistry()
    one, other = (registry.breaker(name, **overrides) for name in ("one", "other"))
    assert one.engine.machine.settings == other.engine.machine.settings
    assert registry.breaker("one", **overrides) is one


def test_breakers_of_the_same_definition_share_their_settings() -> None:
    registry = BreakerRegistry()
    one, other = (registry.breaker(name, failure_threshold=3) for name in ("one", "other"))
    assert one.engine.machine.settings is other.engine.machine.settings


def test_many_different_definitions_use_a_bounded_memory() -> None:
    registry = BreakerRegistry()
    for threshold in range(1, 600):
        assert registry.breaker(f"{threshold}", failure_threshold=threshold).failure_threshold == threshold
    assert len(registry.defined.definitions.shared) <= 256


def test_the_same_definition_again_is_no_conflict() -> None:
    registry = BreakerRegistry(failure_threshold=7)
    payments = registry.breaker("payments", reset_timeout_seconds=30)
    assert registry.breaker("payments", reset_timeout_seconds=30) is payments
    assert registry.breaker("payments", failure_threshold=7) is payments
    assert registry.breaker("payments", trip_when=ConsecutiveFailures(7), reset_timeout_seconds=30.0) is payments


def test_a_conflicting_definition_is_refused_with_both_named_and_nothing_else() -> None:
    registry = BreakerRegistry()
    registry.breaker("payments", failure_threshold=3, reset_timeout_seconds=30)
    with pytest.raises(ValueError, match="'payments' is already defined differently") as caught:
        registry.breaker("payments", failure_threshold=5, reset_timeout_seconds=ExponentialBackoff(), max_probes=1)
    message = str(caught.value)
    assert "failure_threshold is 3, not 5; reset" in message
    assert "reset_timeout_seconds is 30, not ExponentialBackoff(" in message
    assert "max_probes" not in message


@pytest.mark.parametrize(
    ("defined", "wanted", "message"),
    [
        ({"failure_threshold": 3}, {"trip_when": FailureCount(5)}, "trip_when is ConsecutiveFailures(failures=3"),
        ({"trip_when": ConsecutiveFailures(3)}, {"failure_threshold": 5}, "failure_threshold is 3, not 5"),
        ({"trip_when": FailureCount(3)}, {"failure_threshold": 5}, "s=10)), not failure_threshold=5;"),
        (
            {"trip_when": ConsecutiveFailures(3, within_seconds=9)},
            {"failure_threshold": 3},
            "trip_when is ConsecutiveFailures(failures=3, within_seconds=9.0), not failure_threshold=3",
        ),
    ],
)
def test_a_conflict_is_described_with_the_arguments_of_the_code(
    defined: dict[str, object], wanted: dict[str, object], message: str
) -> None:
    registry = BreakerRegistry()
    registry.breaker("payments", **defined)
    with pytest.raises(ValueError, match="already defined differently") as caught:
        registry.breaker("payments", **wanted)
    assert message in str(caught.value)


def test_a_conflict_names_exception_types_as_they_are_written() -> None:
    registry = BreakerRegistry()
    registry.breaker("payments", expected_exception=OSError)
    with pytest.raises(ValueError, match=r"expected_exception is OSError, not \(OSError, KeyError\)"):
        registry.breaker("payments", expected_exception=(OSError, KeyError))


def test_a_conflict_changes_nothing() -> None:
    registry = BreakerRegistry()
    payments = registry.breaker("payments")
    with pytest.raises(ValueError, match="max_probes is 1, not 2"):
        registry.breaker("payments", max_probes=2)
    assert registry.breaker("payments") is payments
    assert payments.engine.machine.settings.max_probes == 1


@pytest.mark.parametrize("name", [5, None, [], b"x"], ids=repr)
def test_a_name_that_is_no_string_is_refused(name: object) -> None:
    with pytest.raises(TypeError, match="name must be a string, not"):
        BreakerRegistry().breaker(name)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"max_breakers": 0}, ValueError, "max_breakers must be an integer >= 1, not 0"),
        ({"max_breakers": 1.5}, TypeError, "max_breakers must be an integer >= 1, not 1.5"),
        ({"clock": 5}, TypeError, "clock must be a function"),
        ({"failure_treshold": 5}, TypeError, "unknown setting failure_treshold; known are"),
        ({"failure_threshold": 0}, ValueError, "failure_threshold must be an integer >= 1, not 0"),
        ({"trip_when": FailureRate(0.5), "failure_threshold": 1}, ValueError, "exclude each other"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        BreakerRegistry(**arguments)


def test_bad_overrides_are_refused_and_make_no_breaker() -> None:
    registry = BreakerRegistry()
    with pytest.raises(ValueError, match="reset_timeout_seconds must be a finite number of seconds >= 0, not nan"):
        registry.breaker("payments", reset_timeout_seconds=float("nan"))
    assert "payments" not in registry


def test_get_finds_a_breaker_and_creates_none() -> None:
    registry = BreakerRegistry()
    assert registry.get("payments") is None
    payments = registry.breaker("payments")
    assert registry.get("payments") is payments
    assert len(registry) == 1


def test_a_registry_contains_the_names_of_its_breakers() -> None:
    registry = BreakerRegistry()
    registry.breaker("payments")
    assert "payments" in registry
    assert "orders" not in registry
    assert 5 not in registry
    assert [breaker.name for breaker in registry] == ["payments"]
    assert repr(registry) == "<BreakerRegistry of 1>"


def test_a_breaker_made_elsewhere_can_be_added() -> None:
    registry, payments = BreakerRegistry(), CircuitBreaker("payments", failure_threshold=9)
    assert registry.add(payments) is payments
    assert registry.breaker("payments") is payments
    assert registry.add(payments) is payments
    assert len(registry) == 1


def test_an_added_breaker_is_defined_by_its_own_settings() -> None:
    registry = BreakerRegistry()
    payments = registry.add(CircuitBreaker("payments", failure_threshold=9))
    assert registry.breaker("payments", failure_threshold=9) is payments
    with pytest.raises(ValueError, match="failure_threshold is 9, not 5"):
        registry.breaker("payments", failure_threshold=5)


def test_a_name_that_is_taken_is_refused() -> None:
    registry = BreakerRegistry()
    payments = registry.breaker("payments")
    with pytest.raises(ValueError, match="the name 'payments' is taken by another circuit breaker"):
        registry.add(CircuitBreaker("payments"))
    assert registry.breaker("payments") is payments


def test_only_breakers_can_be_added() -> None:
    with pytest.raises(TypeError, match="breaker must be a CircuitBreaker, not 'payments'"):
        BreakerRegistry().add("payments")


def test_a_window_of_other_buckets_is_another_definition() -> None:
    registry = BreakerRegistry()
    registry.breaker("payments", trip_when=FailureRate(0.5, window=TimeWindow(60, buckets=10)))
    with pytest.raises(ValueError, match="buckets=10.* not .*buckets=6"):
        registry.breaker("payments", trip_when=FailureRate(0.5, window=TimeWindow(60, buckets=6)))
