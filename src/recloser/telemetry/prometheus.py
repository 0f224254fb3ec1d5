"""Metrics for Prometheus: a collector over a registry, for `prometheus_client`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

try:
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ImportError(
        "recloser.telemetry.prometheus needs prometheus_client: pip install 'recloser[prometheus]'"
    ) from error

from recloser import BreakerRegistry, CallFailed, CallIgnored, CallSucceeded, StateChanged
from recloser.registry import Ledger
from recloser.telemetry import _families, _resilience4j
from recloser.telemetry._families import Reading
from recloser.telemetry._names import boundaries_of
from recloser.telemetry._tallies import Durations, Transitions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prometheus_client import Metric

__all__ = ["BreakerCollector"]

NAMINGS = {"recloser": _families.families, "resilience4j": _resilience4j.families}


class BreakerCollector(Collector):
    """Shows what the breakers of a registry do to Prometheus: `prometheus_client.REGISTRY.register(collector)`.

    Whatever a breaker counts anyway is read when Prometheus asks, so a call costs nothing; only `durations` are
    measured call by call. Scrapes may come from any thread. No counter goes back when breakers are evicted and made
    again. Make it where the registry is made: what was before is counted by the breakers that are still there.

    Args:
        registry: Whose breakers.
        naming: `recloser`, or `resilience4j` for the names that its Grafana dashboards know.
        max_breakers: How many breakers have metrics of their own, >= 1: those that come first, for good. All others
            add up under the name `__other__`, so that the number of time series is bounded.
        durations: Whether to measure how long calls take; or the upper bounds of the histogram's buckets in seconds.
            Costs each call of each breaker some microseconds.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is out of its range.
        ImportError: prometheus_client is not installed; raised by the import of the module.
    """

    def __init__(
        self,
        registry: BreakerRegistry,
        *,
        naming: Literal["recloser", "resilience4j"] = "recloser",
        max_breakers: int = 1000,
        durations: bool | Sequence[float] = False,
    ) -> None:
        if not isinstance(registry, BreakerRegistry):
            raise TypeError(f"registry must be a BreakerRegistry, not {registry!r}")
        if naming not in NAMINGS:
            raise ValueError(f"naming must be 'recloser' or 'resilience4j', not {naming!r}")
        bounds = boundaries_of(durations)
        self._families = NAMINGS[naming]
        self._ledger = Ledger(registry, max_breakers=max_breakers)
        self._transitions = Transitions(self._ledger.name_of)
        self._durations = None if bounds is None else Durations(bounds, self._ledger.name_of)
        self._leave: list[Callable[[], None]] = [registry.subscribe(self._transitions, kinds=StateChanged)]
        if self._durations is not None:
            timed = (CallSucceeded, CallFailed, CallIgnored)
            self._leave.append(registry.subscribe(self._durations, kinds=timed))

    def describe(self) -> Iterable[Metric]:
        """Return nothing: which metrics there are is not asked before there is something to tell."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return all metrics as they are now; for `prometheus_client`."""
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
        """Stop to listen to the breakers: transitions and durations count no further; the rest is still read."""
        for leave in self._leave:
            leave()
