"""Scrapes as Prometheus makes them: over HTTP, parsed; in its own text format or in OpenMetrics."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

from prometheus_client import CollectorRegistry, Metric, generate_latest, start_http_server
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from recloser.telemetry.prometheus import BreakerCollector

Series = tuple[str, tuple[tuple[str, str], ...]]
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Scrape:
    """What one scrape told.

    Args:
        families: As a parser returns them.
    """

    def __init__(self, families: list[Metric]) -> None:
        self.families = families
        samples = [sample for family in families for sample in family.samples]
        self.samples: dict[Series, float] = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples
        }
        assert len(self.samples) == len(samples), "a series is there twice"

    def value(self, sample: str, **labels: str) -> float | None:
        """Returns the value of a series, None if there is none."""
        return self.samples.get((sample, tuple(sorted(labels.items()))))

    def values(self, sample: str) -> dict[tuple[str, ...], float]:
        """Returns the values of all series of a name, by their labels in the order of the labels' names."""
        return {
            tuple(value for _, value in labels): figure
            for (name, labels), figure in self.samples.items()
            if name == sample
        }

    def labels(self, label: str) -> set[str]:
        """Returns all values of a label."""
        return {value for _, labels in self.samples for key, value in labels if key == label}

    def counters(self) -> dict[Series, float]:
        """Returns what must never go back."""
        counting = {
            sample.name
            for family in self.families
            if family.type in {"counter", "histogram", "summary"}
            for sample in family.samples
        }
        return {series: value for series, value in self.samples.items() if series[0] in counting}


def scrape(collector: BreakerCollector) -> Scrape:
    """Scrapes without a server."""
    registry = CollectorRegistry()
    registry.register(collector)
    return scrape_registry(registry)


def scrape_registry(registry: CollectorRegistry) -> Scrape:
    """Scrapes without a server, whatever is registered."""
    return Scrape(list(parse_text(generate_latest(registry).decode())))


@contextmanager
def served(collector: BreakerCollector) -> Iterator[str]:
    """Serves a collector on a free port of loopback; hands out the address."""
    registry = CollectorRegistry()
    registry.register(collector)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def scrape_over_http(address: str, *, openmetrics: bool = False) -> Scrape:
    """Scrapes as Prometheus does."""
    headers = {"Accept": OPENMETRICS} if openmetrics else {}
    with urlopen(Request(address, headers=headers), timeout=10) as response:  # noqa: S310 - it is http, on loopback
        text = response.read().decode()
    return Scrape(list(parse_openmetrics(text) if openmetrics else parse_text(text)))
