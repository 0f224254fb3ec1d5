import pytest

from recloser.cli.demo.plan import DEFAULT, FAST, Plan


@pytest.mark.parametrize("plan", [DEFAULT, FAST], ids=["default", "fast"])
def test_an_outage_is_longer_than_the_memory_so_that_the_default_is_seen_too(plan: Plan) -> None:
    outage_seconds = sum(phase.seconds for phase in plan.phases if phase.down)
    assert plan.timeout_seconds < plan.memory_ttl_seconds < outage_seconds / 2
