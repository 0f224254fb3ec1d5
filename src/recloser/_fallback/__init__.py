"""Fallbacks: what answers when a dependency is down."""

from recloser._core.homes import publish
from recloser._fallback.answers import Answer
from recloser._fallback.fallback import Fallback
from recloser._fallback.links import Constant
from recloser._fallback.memory import LastKnownGood

__all__ = ["Answer", "Constant", "Fallback", "LastKnownGood"]

publish(globals(), home="recloser")
