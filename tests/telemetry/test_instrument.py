"""`recloser.telemetry.prometheus.instrument()`: registers a collector, and unregisters it again."""

import gc
import weakref

import pytest
from prometheus_client import REGISTRY, CollectorRegistry

from recloser import BreakerRegistry
from recloser.telemetry import Instrumentation
from recloser.telemetry.prometheus import instrument
from recloser.testing import ManualClock
from tests.telemetry.kit import make, succeed
from tests.telemetry.scrapes import scrape_registry

CALLS = "circuit_breaker_calls_total"
OF_PAYMENTS = {"name": "payments", "outcome": "success"}


def test_the_metrics_are_in_the_default_registry_until_it_is_closed(clock: ManualClock) -> None:
    registry = make(clock)
    with instrument(registry) as instrumentation:
        succeed(registry, "payments")
        assert isinstance(instrumentation, Instrumentation)
        assert REGISTRY.get_sample_value(CALLS, OF_PAYMENTS) == 1
    assert REGISTRY.get_sample_value(CALLS, OF_PAYMENTS) is None
    assert not registry.fan_in.dispatcher.entries


def test_the_metrics_are_in_the_registry_that_was_asked_for(clock: ManualClock) -> None:
    registry, ours = make(clock), CollectorRegistry()
    with instrument(registry, collector_registry=ours, max_breakers=1, durations=(0.5,)):
        for name in ("payments", "search"):
            succeed(registry, name)
        told = scrape_registry(ours)
    assert told.labels("name") == {"payments", "__other__"}
    assert told.labels("le") == {"0.5", "+Inf"}
    assert REGISTRY.get_sample_value(CALLS, OF_PAYMENTS) is None


def test_closing_again_changes_nothing(clock: ManualClock) -> None:
    registry, ours = make(clock), CollectorRegistry()
    first = instrument(registry, collector_registry=ours)
    first.close()
    with instrument(registry, collector_registry=ours):
        first.close()
        succeed(registry, "payments")
        assert ours.get_sample_value(CALLS, OF_PAYMENTS) == 1


def test_a_collector_that_somebody_else_has_unregistered_can_be_closed(clock: ManualClock) -> None:
    registry, ours = make(clock), CollectorRegistry()
    with instrument(registry, collector_registry=ours):
        [collector] = ours._collector_to_names  # noqa: SLF001 - prometheus_client has no other way to list them
        ours.unregister(collector)
    assert not registry.fan_in.dispatcher.entries


def test_a_registry_is_exported_to_one_place_once(clock: ManualClock) -> None:
    registry, ours = make(clock), CollectorRegistry()
    with instrument(registry, collector_registry=ours) as first:
        with pytest.raises(ValueError, match=r"^registry reports to this collector registry already: .*close\(\)"):
            instrument(registry, collector_registry=ours)
        assert len(registry.fan_in.dispatcher.entries) == 1
        with (
            instrument(registry, collector_registry=ours, naming="resilience4j"),
            instrument(registry, collector_registry=CollectorRegistry()),
            instrument(make(clock), collector_registry=ours),
        ):
            pass
        first.close()
        instrument(registry, collector_registry=ours).close()


def test_a_registry_that_nobody_holds_is_forgotten(clock: ManualClock) -> None:
    registry, ours = make(clock), CollectorRegistry()
    instrument(registry, collector_registry=ours)
    gone = weakref.ref(registry)
    del registry, ours
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"registry": 5}, TypeError, "registry must be a BreakerRegistry, not 5"),
        (
            {"collector_registry": "x"},
            TypeError,
            "collector_registry must be a prometheus_client.CollectorRegistry, not",
        ),
        ({"naming": "micrometer"}, ValueError, "naming must be 'recloser' or 'resilience4j', not 'micrometer'"),
        ({"max_breakers": 0}, ValueError, "max_breakers must be an integer >= 1, not 0"),
        ({"durations": ()}, ValueError, "each finite, > 0 and above the last"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    ours = CollectorRegistry()
    with pytest.raises(error, match=message):
        instrument(**{"registry": BreakerRegistry(), "collector_registry": ours, **arguments})
    assert not list(ours.collect())
