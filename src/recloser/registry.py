"""The registry, what its `lint()` returns, and its ledger: names that the root does not hold."""

from recloser._registry import BreakerRegistry, Entry, Finding, Ledger, Totals

__all__ = ["BreakerRegistry", "Entry", "Finding", "Ledger", "Totals"]
