"""Metrics for Prometheus: a collector over a registry, for `prometheus_client`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

try:
    from prometheus_client.registry import Collector
except ModuleNotFoundError as _error:
    raise ImportError(
        "recloser.telemetry.prometheus needs prometheus_client: pip install 'recloser[prometheus]'"
    ) from _error

from recloser import StateChanged
from recloser.events import CallFailed, CallIgnored, CallSucceeded
from recloser.registry import Ledger
from recloser.telemetry import _families, _resilience4j
from recloser.telemetry._families import Reading
from recloser.telemetry._names import boundaries_of, checked_registry
from recloser.telemetry._tallies import DurationTally, TransitionTally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prometheus_client import Metric

    from recloser import BreakerRegistry

__all__ = ["BreakerCollector"]

NAMINGS = {"recloser": _families.families, "resilience4j": _resilience4j.families}


class BreakerCollector(Collector):
    """Exports the breakers of a registry to Prometheus: `prometheus_client.REGISTRY.register(collector)`.

    The totals that breakers keep anyway are read at each scrape, so calls cost nothing; only `durations` are measured
    for each call. Any thread may scrape. No counter decreases when breakers are evicted and created again. Create the
    collector together with the registry: of earlier calls, it only knows the totals of breakers that still exist.

    Args:
        registry: The registry of the breakers.
        naming: `recloser`, or `resilience4j` for the names that the Grafana dashboards of resilience4j use.
        max_breakers: How many breakers have metrics of their own, >= 1: the first ones, permanently. All others are
            added up under the name `__other__`, which bounds the number of time series.
        durations: Whether to measure how long calls take; or the upper bounds of the histogram's buckets in seconds.
            Costs some microseconds per call.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
        ImportError: prometheus_client is not installed; raised when the module is imported.
    """

    def __init__(
        self,
        registry: BreakerRegistry,
        *,
        naming: Literal["recloser", "resilience4j"] = "recloser",
        max_breakers: int = 1000,
        durations: bool | Sequence[float] = False,
    ) -> None:
        checked_registry(registry)
        if naming not in NAMINGS:
            raise ValueError(f"naming must be 'recloser' or 'resilience4j', not {naming!r}")
        bounds = boundaries_of(durations)
        self._families = NAMINGS[naming]
        self._ledger = Ledger(registry, max_breakers=max_breakers)
        self._transitions = TransitionTally(self._ledger.name_of)
        self._durations = None if bounds is None else DurationTally(bounds, self._ledger.name_of)
        self._unsubscribe: list[Callable[[], None]] = [registry.subscribe(self._transitions, kinds=StateChanged)]
        if self._durations is not None:
            timed = (CallSucceeded, CallFailed, CallIgnored)
            self._unsubscribe.append(registry.subscribe(self._durations, kinds=timed))

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the metrics are not known before there are breakers."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the current values of all metrics; called by `prometheus_client`."""
        durations = self._durations
        return list(
            self._families(
                Reading(
                    self._ledger.read(),
                    self._transitions.read(),
                    None if durations is None else durations.read(),
                    () if durations is None else durations.bounds,
                )
            )
        )

    def close(self) -> None:
        """Unsubscribe from the registry: transitions and durations are no longer counted; the rest is still read."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
