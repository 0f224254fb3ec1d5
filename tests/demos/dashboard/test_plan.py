import pytest

from demos.dashboard.plan import dependencies
from recloser import BreakerRegistry


def test_fast_dependencies_go_through_the_same_phases_in_less_time() -> None:
    for slow, fast in zip(dependencies(fast=False), dependencies(fast=True), strict=True):
        assert [phase.name for phase in fast.phases] == [phase.name for phase in slow.phases]
        seconds = sum(phase.seconds for phase in slow.phases)
        assert sum(phase.seconds for phase in fast.phases) == pytest.approx(seconds / 8)
        assert fast.reset_timeout_seconds == slow.reset_timeout_seconds / 8
        assert (fast.pause_seconds, fast.callers) == (slow.pause_seconds, slow.callers)


@pytest.mark.parametrize("fast", [False, True])
def test_every_dependency_has_a_breaker_and_one_of_them_only_watches(*, fast: bool) -> None:
    registry = BreakerRegistry()
    breakers = [each.protect(registry, each.name, 4.0) for each in dependencies(fast=fast)]
    assert [breaker.name for breaker in breakers] == ["orders", "search", "payments", "recommendations"]
    assert [breaker.name for breaker in breakers if breaker.health()["shadow"]] == ["recommendations"]
    assert {breaker.reset_timeout_seconds for breaker in breakers} == {4.0}


def test_a_slow_answer_comes_before_the_client_gives_up() -> None:
    for fast in (False, True):
        for each in dependencies(fast=fast):
            assert all(1.5 * phase.latency_seconds < each.timeout_seconds for phase in each.phases)
