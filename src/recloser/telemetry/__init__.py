"""Metrics, span events and log lines about breakers: the modules `prometheus`, `opentelemetry` and `logging`."""

__all__: list[str] = []
