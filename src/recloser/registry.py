"""The registry, and what its `lint()` returns: names for annotations that the root does not hold."""

from recloser._registry import BreakerRegistry, Finding

__all__ = ["BreakerRegistry", "Finding"]
