"""Many breakers by name and per key, in a bounded number, with shared defaults."""

from recloser._core.homes import publish
from recloser._registry.registry import BreakerRegistry

__all__ = ["BreakerRegistry"]

publish(globals(), home="recloser")
