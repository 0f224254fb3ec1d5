"""The registry, what its `health()` and its `lint()` return, and its ledger: names that the root does not hold."""

from recloser._breaker.health import (
    BreakerHealth,
    CauseHealth,
    EventLoopHealth,
    OutageHealth,
    RegistryHealth,
    ShadowHealth,
)
from recloser._core.homes import publish as _publish
from recloser._registry import BreakerRegistry
from recloser._registry.duration_totals import DurationTotals
from recloser._registry.lint import Finding
from recloser._registry.totals import Entry, Ledger, Totals

__all__ = [
    "BreakerHealth",
    "BreakerRegistry",
    "CauseHealth",
    "DurationTotals",
    "Entry",
    "EventLoopHealth",
    "Finding",
    "Ledger",
    "OutageHealth",
    "RegistryHealth",
    "ShadowHealth",
    "Totals",
]

_publish(globals())
