"""The types that users of telemetry see: each line must be accepted by mypy --strict and by pyright strict."""

# pyright: strict

import logging
from typing import assert_type

from prometheus_client import REGISTRY, CollectorRegistry

from recloser import (
    BreakerRegistry,
    Bulkhead,
    Constant,
    Fallback,
    Hedge,
    Pipeline,
    RateLimit,
    Retry,
    Timeout,
)
from recloser.events import Snapshot
from recloser.registry import Ledger, Totals
from recloser.telemetry import Instrumentation, opentelemetry, prometheus
from recloser.telemetry.logging import LogListener, is_no_transition
from recloser.telemetry.prometheus import BreakerCollector

registry = BreakerRegistry()

REGISTRY.register(BreakerCollector(registry, naming="resilience4j", max_breakers=10, durations=(0.1, 1)))

with opentelemetry.instrument(registry, durations=True, rejection_span_events=True) as instrumentation:
    assert_type(instrumentation, Instrumentation)
with prometheus.instrument(registry, collector_registry=CollectorRegistry(), durations=(0.1, 1)) as instrumentation:
    assert_type(instrumentation, Instrumentation)
prometheus.instrument(registry, naming="resilience4j", max_breakers=10).close()


@Fallback(Constant(0))
async def price() -> int:
    return 5


prometheus.instrument(
    registry, policies=[Retry(2), Bulkhead(2), RateLimit(2, per_seconds=1), Hedge(1), price, Pipeline(Retry(3))]
)
opentelemetry.instrument(registry, policies=(Fallback(Constant(None)), Pipeline(Retry(3), Bulkhead(2))))
prometheus.instrument(registry, policies=[Timeout(1)])  # type: ignore[list-item]  # pyright: ignore - it counts nothing

listener = LogListener(logging.getLogger("app"), rejections_every_seconds=None)
registry.subscribe(listener, kinds=listener.kinds)
logging.getLogger("recloser").addFilter(is_no_transition)

for entry in Ledger(registry, max_breakers=5).read():
    assert_type(entry.name, str)
    assert_type(entry.totals, Totals)
    assert_type(entry.totals.rejected, int)
    assert_type(entry.snapshots, tuple[Snapshot, ...])
