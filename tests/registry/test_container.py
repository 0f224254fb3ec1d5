"""The registry as a mapping of names, and control of all its breakers at once."""

import pytest

from recloser import BreakerRegistry, CircuitBreaker, CircuitState


def test_a_breaker_is_found_by_its_name() -> None:
    registry = BreakerRegistry()
    breaker = registry.breaker("payments")
    assert registry["payments"] is breaker


@pytest.mark.parametrize(
    ("names", "wanted", "message"),
    [
        (["payments", "orders"], "payment", "there is no circuit breaker 'payment'; did you mean 'payments'?"),
        (
            ["web[a]", "web[b]"],
            "web[c]",
            "there is no circuit breaker 'web[c]'; did you mean 'web[b]' or 'web[a]'?",
        ),
        (["orders"], "payments", "there is no circuit breaker 'payments'; there are orders; breaker() creates one"),
        ([], "payments", "there is no circuit breaker 'payments'; there are none; breaker() creates one"),
        (["orders"], 7, "there is no circuit breaker 7; there are orders; breaker() creates one"),
    ],
)
def test_a_name_that_is_missing_is_a_key_error_with_those_that_are_close(
    names: list[str], wanted: str, message: str
) -> None:
    registry = BreakerRegistry()
    for name in names:
        registry.breaker(name)
    with pytest.raises(KeyError) as caught:
        registry[wanted]
    assert caught.value.args == (message,)
    assert wanted not in registry
    assert len(registry) == len(names)


def test_names_and_breakers_are_in_the_registry_or_not() -> None:
    registry = BreakerRegistry()
    breaker = registry.breaker("payments")
    assert breaker in registry
    assert "payments" in registry
    assert CircuitBreaker("payments") not in registry
    assert CircuitBreaker("orders") not in registry
    assert 7 not in registry


def test_a_registry_is_true_without_breakers() -> None:
    assert BreakerRegistry()


def test_reset_closes_all_breakers() -> None:
    registry = BreakerRegistry()
    one, two, three = (registry.breaker(name) for name in ("a", "b", "c"))
    one.force_open("maintenance")
    two.disable()
    registry.reset("maintenance is over", author="ann")
    assert {breaker.state for breaker in (one, two, three)} == {CircuitState.CLOSED}
    assert {str(breaker.snapshot().cause) for breaker in registry} == {"reset by ann: maintenance is over"}


def test_reset_with_a_reason_that_is_no_string_is_refused() -> None:
    registry = BreakerRegistry()
    registry.breaker("payments").disable()
    with pytest.raises(TypeError, match="reason must be a string, not 7"):
        registry.reset(7)
    assert registry["payments"].state is CircuitState.DISABLED
