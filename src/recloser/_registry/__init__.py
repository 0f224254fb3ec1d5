"""Many breakers by name and per key, in a bounded number, with shared defaults."""

from recloser._registry.lint import Finding
from recloser._registry.registry import BreakerRegistry
from recloser._registry.totals import Entry, Ledger, Totals

__all__ = ["BreakerRegistry", "Entry", "Finding", "Ledger", "Totals"]
