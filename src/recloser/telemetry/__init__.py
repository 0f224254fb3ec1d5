"""Metrics, span events and log lines about breakers: the modules `prometheus`, `opentelemetry` and `logging`."""

from recloser.lowlevel import publish as _publish
from recloser.telemetry._instrumentation import Instrumentation

__all__ = ["Instrumentation"]

_publish(globals())
