"""The SDK of OpenTelemetry, and what its reader has collected."""

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader

import recloser

NAME = "circuit_breaker.name"


class Sdk:
    """A meter provider of its own, and what its reader has collected."""

    def __init__(self, *others: MetricReader) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader, *others], shutdown_on_exit=False)

    def metrics(self) -> dict[str, object]:
        data = self.reader.get_metrics_data()
        scopes = (
            [] if data is None else [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        )
        assert {(scope.scope.name, scope.scope.version) for scope in scopes} <= {("recloser", recloser.__version__)}
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str, *attributes: str) -> dict[object, object]:
        """Returns the points of a metric by the values of some of their attributes."""
        metric = self.metrics().get(name)
        points = [] if metric is None else metric.data.data_points
        return {tuple(point.attributes.get(key) for key in attributes): point for point in points}

    def values(self, name: str, *attributes: str) -> dict[object, float]:
        return {key: point.value for key, point in self.points(name, *attributes).items()}
