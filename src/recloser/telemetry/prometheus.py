"""Metrics for Prometheus: a collector over a registry, for `prometheus_client`."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Literal

try:
    from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry
except ModuleNotFoundError as _error:
    raise ImportError(
        "recloser.telemetry.prometheus needs prometheus_client: pip install 'recloser[prometheus]'"
    ) from _error

from recloser.telemetry import _families, _resilience4j
from recloser.telemetry._instrumentation import Instrumentation, Targets
from recloser.telemetry._names import boundaries_of, checked_registry
from recloser.telemetry._policy_metrics import Policies
from recloser.telemetry._readings import Readings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from prometheus_client import Metric

    from recloser import BreakerRegistry, Pipeline
    from recloser.telemetry._policy_metrics import CountedPolicy

__all__ = ["BreakerCollector", "instrument"]

NAMINGS = {"recloser": _families.breaker_families, "resilience4j": _resilience4j.breaker_families}

_TARGETS = Targets("collector registry")


def instrument(
    registry: BreakerRegistry,
    *,
    policies: Iterable[CountedPolicy | Pipeline] = (),
    collector_registry: CollectorRegistry = REGISTRY,
    naming: Literal["recloser", "resilience4j"] = "recloser",
    max_breakers: int = 1000,
    durations: bool | Sequence[float] = False,
) -> Instrumentation:
    """Export the breakers of a registry, and policies, to Prometheus.

    It registers a `BreakerCollector`. Call it right after you have created the registry: of earlier calls, the metrics
    only have the totals of breakers that still exist.

    Args:
        registry: The registry of the breakers.
        policies: As for `BreakerCollector`.
        collector_registry: Where the metrics go; by default `prometheus_client.REGISTRY`.
        naming: As for `BreakerCollector`. To have both, call this twice.
        max_breakers: As for `BreakerCollector`.
        durations: As for `BreakerCollector`.

    Returns:
        An object that unregisters the collector by `close()`, or at the end of a `with` block.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range, or the registry or a policy is exported to this collector registry
            already.
        ImportError: prometheus_client is not installed; raised when the module is imported.
    """
    if not isinstance(collector_registry, CollectorRegistry):
        raise TypeError(f"collector_registry must be a prometheus_client.CollectorRegistry, not {collector_registry!r}")
    reporting = Policies(policies).reporting
    with ExitStack() as cleanup:
        collector = BreakerCollector(
            registry,
            policies=[each.policy for each in reporting],
            naming=naming,
            max_breakers=max_breakers,
            durations=durations,
        )
        cleanup.callback(collector.close)
        _TARGETS.claim(cleanup, registry, reporting, collector_registry, naming)
        collector_registry.register(collector)
        cleanup.callback(_unregister, collector_registry, collector)
        return Instrumentation(cleanup.pop_all())


class BreakerCollector(Collector):
    """Exports the breakers of a registry, and policies, to Prometheus; for those who register collectors themselves.

    The totals that breakers keep anyway are read at each scrape, so calls cost nothing. Only `durations` cost each call
    two readings of the clock and a count in a bucket. Any thread may scrape. No counter decreases when breakers are
    evicted and created again. Create the collector together with the registry: of earlier calls, it only knows the
    totals of breakers that still exist.

    Args:
        registry: The registry of the breakers.
        policies: Each `Retry`, `Bulkhead`, `RateLimit`, `Hedge` and `Fallback`, functions that a `Fallback` decorates,
            and pipelines, which stand for their policies. Those of one kind need different names. Their metrics have
            recloser's own names, whatever the naming.
        naming: `recloser`, or `resilience4j` for the names that the Grafana dashboards of resilience4j use.
        max_breakers: How many breakers have metrics of their own, >= 1: the first ones, permanently. All others are
            added up under the name `__other__`, which bounds the number of time series.
        durations: Whether to measure how long calls take; or the upper bounds of the histogram's buckets in seconds.
            Calls that end after their generation have no duration. No event is needed.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range, or two policies of one kind have one name.
        ImportError: prometheus_client is not installed; raised when the module is imported.
    """

    def __init__(
        self,
        registry: BreakerRegistry,
        *,
        policies: Iterable[CountedPolicy | Pipeline] = (),
        naming: Literal["recloser", "resilience4j"] = "recloser",
        max_breakers: int = 1000,
        durations: bool | Sequence[float] = False,
    ) -> None:
        checked_registry(registry)
        if naming not in NAMINGS:
            raise ValueError(f"naming must be 'recloser' or 'resilience4j', not {naming!r}")
        bounds = boundaries_of(durations)
        self._policies = Policies(policies)
        self._families = NAMINGS[naming]
        self._readings = Readings(registry, max_breakers, bounds)

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the metrics are not known before there are breakers."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the current values of all metrics; called by `prometheus_client`."""
        breakers = self._families(self._readings.read())
        return [*breakers, *_families.families(self._policies.metrics, self._policies.read())]

    def close(self) -> None:
        """Stop counting transitions and measuring durations; the rest is still read."""
        self._readings.close()


def _unregister(collector_registry: CollectorRegistry, collector: BreakerCollector) -> None:
    with suppress(KeyError):  # somebody else has unregistered it
        collector_registry.unregister(collector)
