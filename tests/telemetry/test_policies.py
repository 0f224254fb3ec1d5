"""The metrics of policies, with both exporters."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry

from recloser import BreakerRegistry, Bulkhead, Constant, Fallback, Pipeline, RateLimit, Retry, Timeout
from recloser.telemetry import opentelemetry, prometheus
from recloser.telemetry.prometheus import BreakerCollector
from tests.telemetry.kit import answer
from tests.telemetry.scrapes import Scrape, scrape, scrape_registry

pytestmark = pytest.mark.anyio


class Counting:
    """Stands in for a policy: it has counted what it is told."""

    def __init__(self, kind: str, **counts: object) -> None:
        self.kind = kind
        self.name = f"my {kind}"
        self._counts = counts

    def health(self) -> Mapping[str, Any]:
        return {"kind": self.kind, "name": self.name, **self._counts}


POLICIES = [
    Counting(
        "retry",
        succeeded_first_total=1,
        succeeded_retried_total=2,
        failed_total=3,
        exhausted_total=4,
        retries_total=5,
        budget_refused_total=6,
    ),
    Counting("bulkhead", max_concurrent=1, max_queue=2, running=3, waiting=4, admitted_total=5, rejected_total=6),
    Counting("rate_limit", admitted_total=1, delayed_total=2, rejected_total=3),
    Counting("hedge", calls_total=1, hedges_total=2, won_by_hedge_total=3, failed_total=4),
    Counting(
        "fallback",
        links={
            "primary": {"answers_total": 1, "errors_total": 2},
            "cached": {"answers_total": 3, "errors_total": 4},
        },
        exhausted_total=5,
    ),
]
VALUES = {
    ("retry_calls_total", "my retry", "success"): 1,
    ("retry_calls_total", "my retry", "success_after_retry"): 2,
    ("retry_calls_total", "my retry", "failure"): 3,
    ("retry_calls_total", "my retry", "exhausted"): 4,
    ("retry_calls_total", "my retry", "budget_refused"): 6,
    ("retry_retries_total", "my retry"): 5,
    ("bulkhead_max_concurrent", "my bulkhead"): 1,
    ("bulkhead_max_queue", "my bulkhead"): 2,
    ("bulkhead_calls_running", "my bulkhead"): 3,
    ("bulkhead_calls_waiting", "my bulkhead"): 4,
    ("bulkhead_admissions_total", "my bulkhead"): 5,
    ("bulkhead_rejections_total", "my bulkhead"): 6,
    ("rate_limit_admissions_total", "my rate_limit"): 1,
    ("rate_limit_delays_total", "my rate_limit"): 2,
    ("rate_limit_rejections_total", "my rate_limit"): 3,
    ("hedge_calls_total", "my hedge"): 1,
    ("hedge_hedges_total", "my hedge"): 2,
    ("hedge_wins_total", "my hedge"): 3,
    ("hedge_failures_total", "my hedge"): 4,
    ("fallback_answers_total", "my fallback", "primary"): 1,
    ("fallback_answers_total", "my fallback", "cached"): 3,
    ("fallback_errors_total", "my fallback", "primary"): 2,
    ("fallback_errors_total", "my fallback", "cached"): 4,
    ("fallback_exhaustions_total", "my fallback"): 5,
}
"""By the name and the labels' values in Prometheus."""


class Collected:
    """A meter provider of its own, and what its reader has collected."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def values(self) -> dict[tuple[str, ...], float]:
        """Returns all values by metric and attributes."""
        data = self._reader.get_metrics_data()
        metrics = (
            [
                metric
                for resource in data.resource_metrics
                for scope in resource.scope_metrics
                for metric in scope.metrics
            ]
            if data
            else []
        )
        return {
            (metric.name, *point.attributes.values()): point.value
            for metric in metrics
            for point in metric.data.data_points
        }


@pytest.fixture
def collected() -> Iterator[Collected]:
    collected = Collected()
    yield collected
    collected.provider.shutdown()


def values_of(told: Scrape) -> dict[tuple[str, ...], float]:
    """Returns the values by metric and labels, without the breakers'."""
    return {(name, *(value for _, value in labels)): value for (name, labels), value in told.samples.items()}


def names_of(*policies: object) -> set[str]:
    return scrape(BreakerCollector(BreakerRegistry(), policies=policies)).labels("name")


def test_prometheus_is_told_what_policies_have_counted() -> None:
    assert values_of(scrape(BreakerCollector(BreakerRegistry(), policies=POLICIES))) == VALUES


def test_opentelemetry_is_told_what_policies_have_counted(collected: Collected) -> None:
    subjects = sorted(policy.kind for policy in POLICIES)
    expected = {}
    for (name, *labels), value in VALUES.items():
        subject = next(subject for subject in subjects if name.startswith(subject))
        rest = name.removeprefix(f"{subject}_").removesuffix("_total")
        expected[f"{subject}.{rest}", *labels] = value
    with opentelemetry.instrument(BreakerRegistry(), policies=POLICIES, meter_provider=collected.provider):
        assert collected.values() == expected
    assert collected.values() == {}


def test_a_kind_that_nobody_names_has_no_metrics() -> None:
    told = scrape(BreakerCollector(BreakerRegistry(), policies=[POLICIES[3]]))
    subjects = {family.name.partition("_")[0] for family in told.families}
    assert subjects == {"circuit", "hedge"}


async def test_a_real_policy_is_told_as_it_is_now() -> None:
    bulkhead = Bulkhead(2, name="users")
    collector = BreakerCollector(BreakerRegistry(), policies=iter([bulkhead]))
    seen: list[Scrape] = []

    async def work() -> None:
        seen.append(scrape(collector))

    await bulkhead.call(work)
    seen.append(scrape(collector))
    assert [told.value("bulkhead_calls_running", name="users") for told in seen] == [1, 0]
    assert [told.value("bulkhead_admissions_total", name="users") for told in seen] == [1, 1]


async def test_a_function_under_a_fallback_is_told_by_its_name() -> None:
    @Fallback(Constant("none"))
    async def price() -> str:
        return await answer()

    await price()
    collector = BreakerCollector(BreakerRegistry(), policies=[price])
    name = price.__qualname__
    assert scrape(collector).value("fallback_answers_total", name=name, source="price") == 1


def test_a_pipeline_stands_for_its_policies() -> None:
    bulkhead, retry = Bulkhead(2, name="users"), Retry(2, name="again")
    inner = Pipeline(bulkhead, BreakerRegistry().breaker("breaker"), Timeout(1, name="timeout"))
    outer = Pipeline(Fallback(Constant(None), name="default"), retry, inner)
    assert names_of(outer) == {"default", "again", "users"}
    assert names_of(outer, inner, bulkhead, bulkhead) == {"default", "again", "users"}


def test_policies_of_different_kinds_may_have_one_name() -> None:
    assert names_of(Bulkhead(2, name="users"), RateLimit(2, per_seconds=1, name="users")) == {"users"}


def test_two_policies_of_one_kind_and_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two of kind bulkhead are named 'users': give one of them another name"):
        names_of(Bulkhead(2, name="users"), Pipeline(Bulkhead(2, name="users")))


@pytest.mark.parametrize(
    ("policies", "wrong"),
    [
        (Retry(2), "not <Retry"),
        ("retry", "not 'retry'"),
        (5, "not 5"),
        ([5], "not with 5"),
        ([Timeout(1)], "not with <Timeout"),
        ([answer], "not with <function"),
    ],
)
def test_what_is_no_policy_with_counts_is_refused(policies: object, wrong: str) -> None:
    message = "^policies must be an iterable of Retry, Bulkhead, RateLimit, Hedge, Fallback and Pipeline objects, "
    with pytest.raises(TypeError, match=message + wrong):
        BreakerCollector(BreakerRegistry(), policies=policies)


def test_a_policy_reports_to_one_collector_registry_once() -> None:
    registry, ours, bulkhead = BreakerRegistry(), CollectorRegistry(), Bulkhead(2, name="users")
    with prometheus.instrument(registry, policies=[bulkhead], collector_registry=ours):
        with pytest.raises(ValueError, match="^the bulkhead policy 'users' reports to this collector registry already"):
            prometheus.instrument(registry, policies=[bulkhead], collector_registry=ours, naming="resilience4j")
        prometheus.instrument(registry, collector_registry=ours, naming="resilience4j").close()
    with prometheus.instrument(registry, policies=[bulkhead], collector_registry=ours, naming="resilience4j"):
        assert scrape_registry(ours).value("bulkhead_max_concurrent", name="users") == 2


def test_a_policy_reports_to_one_meter_provider_once(collected: Collected) -> None:
    bulkhead = Bulkhead(2, name="users")
    with opentelemetry.instrument(BreakerRegistry(), policies=[bulkhead], meter_provider=collected.provider):
        with pytest.raises(ValueError, match="^the bulkhead policy 'users' reports to this meter provider already"):
            opentelemetry.instrument(BreakerRegistry(), policies=[bulkhead], meter_provider=collected.provider)
        assert collected.values()["bulkhead.max_concurrent", "users"] == 2
