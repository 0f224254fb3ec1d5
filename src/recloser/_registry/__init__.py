"""Many breakers under one roof: by name and per key, bounded, with one set of defaults."""

from recloser._registry.lint import Finding
from recloser._registry.registry import BreakerRegistry
from recloser._registry.totals import Entry, Ledger, Totals

__all__ = ["BreakerRegistry", "Entry", "Finding", "Ledger", "Totals"]
