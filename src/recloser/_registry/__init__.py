"""Many breakers under one roof: by name and per key, bounded, with one set of defaults."""

from recloser._registry.ledger import Entry, Ledger, Totals
from recloser._registry.lint import Finding
from recloser._registry.registry import BreakerRegistry

__all__ = ["BreakerRegistry", "Entry", "Finding", "Ledger", "Totals"]
