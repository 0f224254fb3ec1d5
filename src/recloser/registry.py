"""The registry, what its `lint()` returns, and its ledger: names that the root does not hold."""

from recloser._core.homes import publish as _publish
from recloser._registry import BreakerRegistry
from recloser._registry.lint import Finding
from recloser._registry.totals import Entry, Ledger, Totals

__all__ = ["BreakerRegistry", "Entry", "Finding", "Ledger", "Totals"]

_publish(globals())
